"""What a reviewer said of a case: ``review.json``, as the review page saves it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.cases import check_case_name
from medswin.io.files import read_json

REVIEW_VERSION = 1
ANSWERS = ("accept", "edit", "reject")
REASONS = {
    "": "no reason",
    "boundary": "the boundary is off",
    "leak": "it leaks into something else",
    "missed": "a part is missing",
    "wrong-structure": "it is another structure",
    "wrong-side": "it is the other side's",
    "image-quality": "the image is too poor",
    "anatomy": "unusual anatomy or surgery",
    "other": "other, see the remark",
}

LONGEST_NAME = 64  # of a reviewer's pseudonym

_LARGEST_BYTES = 5_000_000
_LONGEST_TEXT = 2000
_REPAIR = "save the review again from its page"


@dataclass(frozen=True)
class Answer:
    """What was said of one structure.

    Attributes:
        value: of the structure in the label map.
        answer: one of `ANSWERS`.
        reason: one of `REASONS`.
        text: a remark; may be empty.
    """

    value: int
    answer: str
    reason: str
    text: str


@dataclass(frozen=True, eq=False)
class Review:
    """A reviewer's file.

    Attributes:
        case, package, model: of the prediction; ``package`` is the package's id.
        input_sha256: of the scan's files; None where it was not known.
        labels_sha256: of the label map's file.
        shape, affine: of the label map.
        structures: value -> name.
        verdict: on the scan.
        reviewer: a pseudonym; may be empty.
        finished: when it was saved.
        seconds: that the page was looked at.
        answers: one for each structure.
        edited: name of the corrected label map's file; None where nothing was corrected.
        voxels_changed: how many of its voxels are not as they were.
    """

    case: str
    package: str
    model: str
    input_sha256: str | None
    labels_sha256: str
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    structures: dict[int, str]
    verdict: str
    reviewer: str
    finished: datetime
    seconds: float
    answers: tuple[Answer, ...]
    edited: str | None
    voxels_changed: int

    def answer(self, value: int) -> Answer:
        """What was said of a structure."""
        return next(one for one in self.answers if one.value == value)

    @property
    def usable(self) -> bool:
        """Whether the label map, as corrected, may teach: no structure was rejected."""
        return all(one.answer != "reject" for one in self.answers)


def read_review(path: Path | str) -> Review:
    """Read a ``review.json``.

    Raises:
        InputError: for a file that cannot be read, is no review or of another version, or in which something is missing
            or is not what a page writes.
    """
    path = Path(path)
    if path.is_file() and path.stat().st_size > _LARGEST_BYTES:
        raise InputError(
            f"is larger than {_LARGEST_BYTES // 1_000_000} MB, which no review is", where=path, repair=_REPAIR
        )
    values = read_json(path)
    version = values.get("review_version")
    if version != REVIEW_VERSION:
        what = f"its review_version is {version!r}, this medswin reads {REVIEW_VERSION}"
        raise InputError(what, where=path, repair="name a review.json, or update medswin")
    try:
        return _review(values)
    except InputError as error:
        raise InputError(error.what, where=path, repair=error.repair or _REPAIR) from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(f"is damaged ({error!r})", where=path, repair=_REPAIR) from error


def _review(values: Mapping[str, Any]) -> Review:
    check_case_name(_text(values["case"], 255))
    structures = {_count(row["value"]): _text(row["name"], 10_000) for row in values["structures"]}
    answers = tuple(_answer(row) for row in values["answers"])
    if sorted(one.value for one in answers) != sorted(structures) or len(structures) != len(values["structures"]):
        raise InputError("it does not answer on each structure once")
    affine = np.array([[_number(value) for value in row] for row in values["affine"]], dtype=np.float64)
    x, y, z = (_count(size) for size in values["shape"])
    if affine.shape != (4, 4) or min(x, y, z) < 1:
        raise InputError(f"its grid of {values['shape']} voxels with the affine {affine.tolist()} is none")
    return Review(
        case=values["case"],
        package=_hash(values["package"]),
        model=_text(values["model"], 255),
        input_sha256=None if values["input_sha256"] is None else _hash(values["input_sha256"]),
        labels_sha256=_hash(values["labels_sha256"]),
        shape=(x, y, z),
        affine=affine,
        structures=structures,
        verdict=_text(values["verdict"], LONGEST_NAME),
        reviewer=_text(values["reviewer"], LONGEST_NAME),
        finished=_time(values["finished"]),
        seconds=_number(values["seconds"]),
        answers=answers,
        edited=_edited(values["edited"], answers),
        voxels_changed=0 if values["edited"] is None else _count(values["edited"]["voxels_changed"], 2**53),
    )


def _answer(row: Mapping[str, Any]) -> Answer:
    said = Answer(
        _count(row["value"]), _among(row["answer"], ANSWERS), _among(row["reason"], list(REASONS)), row["text"]
    )
    _text(said.text, _LONGEST_TEXT)
    return said


def _edited(row: Any, answers: Sequence[Answer]) -> str | None:
    said = any(one.answer == "edit" for one in answers)
    if said != (row is not None):
        raise InputError("a structure is said to be edited where nothing was corrected, or the other way round")
    if row is None:
        return None
    check_case_name(_text(row["file"], 255))
    return str(row["file"])


def _text(value: Any, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise InputError(f"a text of at most {longest} characters is {str(value)[:40]!r}")
    return value


def _among(value: Any, known: Sequence[str]) -> str:
    if value not in known:
        raise InputError(f"{str(value)[:40]!r} is none of {', '.join(map(repr, known))}")
    return str(value)


def _hash(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise InputError(f"a SHA-256 of 64 hex digits is {str(value)[:40]!r}")
    return value


def _count(value: Any, most: int = 100_000) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise InputError(f"a count from 0 to {most} is {str(value)[:40]!r}")
    return value


def _time(value: Any) -> datetime:
    time = datetime.fromisoformat(_text(value, LONGEST_NAME))
    if time.tzinfo is None:
        raise InputError(f"a time with its zone is {value!r}")
    return time


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise InputError(f"a number is {str(value)[:40]!r}")
    return float(value)
