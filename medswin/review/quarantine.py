"""The way back: cases that a reviewer decided on go into a quarantine, see `medswin.io.quarantine`."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.cases import described_case, read_case
from medswin.io.files import output_folder, read_bytes, sha256
from medswin.io.geometry import base_affine
from medswin.io.grid import Grid
from medswin.io.lock import locked
from medswin.io.nifti import write_image, write_labels
from medswin.io.quarantine import Record, paths, read_records, write_records
from medswin.io.reopen import reopened
from medswin.io.scan import Scan
from medswin.prediction import Prediction
from medswin.review.agreement import Agreement, agreement
from medswin.review.answers import LONGEST_NAME, Review, read_review
from medswin.review.saved import saved_labels

_TEST = "imagesTs"
_WAIT_S = 60.0
_REPAIR = "name the folder of predictions whose page was answered (-p), or review the case anew"


@dataclass(frozen=True)
class TakenIn:
    """A review that was taken in.

    Attributes:
        case: its name.
        usable: whether it may teach: no structure was rejected.
        agreement: between model and reviewer, a row a structure.
        unsaid: what the reviewer left open, in words: who answered, and why something was rejected.
    """

    case: str
    usable: bool
    agreement: tuple[Agreement, ...]
    unsaid: tuple[str, ...] = ()


def take_in(
    file: Path | str,
    predictions: Path | str,
    quarantine: Path | str,
    *,
    source: Path | None = None,
    held_out: Container[str] = (),
    reviewer: str | None = None,
) -> TakenIn:
    """Check a reviewer's file against the prediction it answers, and put the case into the quarantine.

    A case that is there already is replaced, unless by an older review. The label map is the model's, or the corrected
    one that lies beside the review; of both image and label map only the part that the model looked at is taken, as the
    rest has no labels. Of a case with a rejected structure only the record is kept.

    Args:
        file: the ``review.json``.
        predictions: folder that ``medswin predict`` wrote.
        quarantine: folder to write to; made where missing.
        source: where the scan lies now, if it was moved.
        held_out: cases that never may teach, because they measure a model; see `medswin.io.held_out`.
        reviewer: a pseudonym, instead of the one in the file.

    Raises:
        InputError: for a review that is damaged, or of another scan, model or label map; a corrected label map that is
            missing, on another grid or not the one that was saved; a held-out case, or one of a data set's test scans;
            where the quarantine holds a later review, or cases of another model.
    """
    file, predictions = Path(file), Path(predictions)
    review = read_review(file)
    if reviewer is not None and len(reviewer) > LONGEST_NAME:
        raise InputError(f"a pseudonym of {len(reviewer)} letters", repair=f"use at most {LONGEST_NAME}")
    described = described_case(predictions / f"{review.case}.json")
    if described is None:
        raise InputError(f"there is no case {review.case} in {predictions}", where=file, repair=_REPAIR)
    prediction = read_case(predictions / f"{review.case}.json")
    _check_same(review, prediction, described, file)
    if review.case in held_out:
        raise InputError(
            f"case {review.case} is of a person who is held out to measure a model", where=file, repair="leave it out"
        )
    with reopened(predictions, described, source) as found:
        if any(_TEST in path.parts for path in found.files):
            raise InputError(f"its scan is a test scan ({_TEST})", where=file, repair="leave it out")
        scan = found.read()
    if apart := scan.grid.difference(Grid.checked(prediction.labels.shape, prediction.affine)):
        raise InputError(f"its scan does not lie on the grid of its label map: {apart}", where=file, repair=_REPAIR)
    labels = saved_labels(review, file, prediction, scan)
    folder = output_folder(quarantine)
    with locked(folder / ".lock", folder, _WAIT_S):  # the list is read, and written anew
        _keep(folder, review, file, prediction, scan, labels, reviewer)
    return TakenIn(review.case, review.usable, agreement(review, prediction, labels), _unsaid(review, reviewer))


def _unsaid(review: Review, reviewer: str | None) -> tuple[str, ...]:
    names = review.structures
    bare = [names[one.value] for one in review.answers if one.answer == "reject" and not (one.reason or one.text)]
    nobody = [] if reviewer or review.reviewer else ["no reviewer is named (--reviewer names one)"]
    return (*nobody, *(f"{name} is rejected without a reason" for name in bare))


def _check_same(review: Review, prediction: Prediction, described: Mapping[str, Any], file: Path) -> None:
    """The review answers this very prediction."""
    said, names = prediction.provenance, {label.value: label.name for label in prediction.label_set}
    differing = {
        "model package": review.package != said.get("package", ""),
        "scan": review.input_sha256 != said.get("input_sha256"),
        "label map": review.labels_sha256 != described["labels_sha256"],
        "grid": review.shape != prediction.labels.shape or not np.allclose(review.affine, prediction.affine, atol=1e-4),
        "structures": review.structures != names,
    }
    if wrong := [what for what, differs in differing.items() if differs]:
        raise InputError(
            f"answers another {' and '.join(wrong)} than {review.case} has now", where=file, repair=_REPAIR
        )


def _keep(
    out: Path,
    review: Review,
    file: Path,
    prediction: Prediction,
    scan: Scan,
    labels: NDArray[np.uint8],
    reviewer: str | None,
) -> None:
    structures = {label.name: label.value for label in prediction.label_set}
    records = read_records(out, structures)
    before = records.get(review.case)
    if before is not None and datetime.fromisoformat(before["finished"]) > review.finished:
        raise InputError(
            f"{out} holds a review of {review.case} that was finished later, {before['finished']}",
            where=file,
            repair="leave this one out",
        )
    record = _record(review, scan, reviewer) | {"image_sha256": None, "labels_sha256": None}
    if review.usable:
        image, label = paths(out, review.case)
        part = _looked_at(prediction, labels)
        affine = _of_part(prediction, part)
        channels = scan.image.numpy()[(slice(None), *part)]
        write_image(image, channels[0] if len(channels) == 1 else channels, affine, oriented=scan.oriented)
        write_labels(label, labels[part], affine, oriented=prediction.oriented)
        record |= {"image_sha256": sha256(read_bytes(image)), "labels_sha256": sha256(read_bytes(label))}
    write_records(out, {**records, review.case: record}, structures)


def _record(review: Review, scan: Scan, reviewer: str | None) -> Record:
    return {
        "case": review.case,
        "usable": review.usable,
        "channels": len(scan.image),
        "edited": review.edited is not None,
        "voxels_changed": review.voxels_changed,
        "model_labels_sha256": review.labels_sha256,
        "input_sha256": review.input_sha256,
        "model": review.model,
        "package": review.package,
        "verdict": review.verdict,
        "reviewer": review.reviewer if reviewer is None else reviewer,
        "finished": review.finished.isoformat(),
        "taken_in": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": review.seconds,
        "answers": [asdict(answer) for answer in review.answers],
    }


def _looked_at(prediction: Prediction, labels: NDArray[np.uint8]) -> tuple[slice, ...]:
    """The part that the model looked at, with what the reviewer drew beyond it."""
    if prediction.region is None:
        return tuple(slice(0, size) for size in labels.shape)
    drawn = np.argwhere(labels)
    spans = zip(*prediction.region, strict=True)
    first, stop = (np.array(ends) for ends in spans)
    if len(drawn):
        first, stop = np.minimum(first, drawn.min(0)), np.maximum(stop, drawn.max(0) + 1)
    return tuple(slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))


def _of_part(prediction: Prediction, part: tuple[slice, ...]) -> NDArray[np.float64]:
    """The affine of a part, whose first voxel is another; a scan without orientation has none there either."""
    affine = prediction.affine.copy()
    if not prediction.oriented:
        return base_affine(tuple(one.stop - one.start for one in part), np.linalg.norm(affine[:3, :3], axis=0))
    affine[:3, 3] += affine[:3, :3] @ [one.start for one in part]
    return affine
