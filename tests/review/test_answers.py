"""What is taken for a reviewer's file, and what is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medswin.errors import InputError
from medswin.review.answers import REASONS, read_review

GOOD: dict[str, Any] = {
    "review_version": 1, "case": "one", "package": "ab" * 32, "model": "finder", "input_sha256": "cd" * 32,
    "labels_sha256": "ef" * 32, "shape": [12, 14, 10], "affine": np.diag([-1.0, 1, 2, 1]).tolist(),
    "structures": [{"value": 1, "name": "head"}, {"value": 2, "name": "tail"}], "verdict": "accept", "reviewer": "r7",
    "finished": "2026-11-26T10:00:00.000Z", "seconds": 61, "edited": None,
    "answers": [
        {"value": 1, "answer": "accept", "reason": "", "text": ""},
        {"value": 2, "answer": "reject", "reason": "leak", "text": "too large"},
    ],
}  # fmt: skip
EDIT = {"value": 1, "answer": "edit", "reason": "", "text": ""}


def write(folder: Path, values: Any) -> Path:
    path = folder / "review.json"
    path.write_text(json.dumps(values))
    return path


def test_a_review_is_read_as_it_was_saved(tmp_path: Path) -> None:
    review = read_review(write(tmp_path, GOOD))
    assert (review.case, review.reviewer, review.seconds, review.shape) == ("one", "r7", 61.0, (12, 14, 10))
    assert review.structures == {1: "head", 2: "tail"}
    assert np.array_equal(review.affine, np.diag([-1.0, 1, 2, 1]))
    assert review.answer(2).reason == "leak"
    assert (review.usable, review.edited) == (False, None)
    assert review.finished.isoformat() == "2026-11-26T10:00:00+00:00"


def test_a_corrected_label_map_is_named(tmp_path: Path) -> None:
    answers = [EDIT, GOOD["answers"][0] | {"value": 2}]
    review = read_review(
        write(tmp_path, GOOD | {"answers": answers, "edited": {"file": "a.nii.gz", "voxels_changed": 3}})
    )
    assert (review.usable, review.edited) == (True, "a.nii.gz")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"review_version": 2}, "review_version is 2, this medswin reads 1"),
        ({"case": "../../etc/passwd"}, "must be a plain file name"),
        ({"case": ["one"]}, "a text of at most 255 characters"),
        ({"labels_sha256": "ef"}, "a SHA-256 of 64 hex digits is 'ef'"),
        ({"labels_sha256": None}, "a SHA-256"),
        ({"answers": GOOD["answers"][:1]}, "does not answer on each structure once"),
        ({"answers": [GOOD["answers"][0]] * 2}, "does not answer on each structure once"),
        ({"answers": [GOOD["answers"][0] | {"answer": "maybe"}, GOOD["answers"][1]]}, "'maybe' is none of 'accept'"),
        ({"answers": [GOOD["answers"][0] | {"reason": "x"}, GOOD["answers"][1]]}, "'x' is none of"),
        ({"answers": [GOOD["answers"][0] | {"text": "x" * 2001}, GOOD["answers"][1]]}, "at most 2000 characters"),
        ({"answers": [EDIT, GOOD["answers"][1]]}, "said to be edited where nothing was corrected"),
        ({"edited": {"file": "a.nii.gz"}}, "or the other way round"),
        ({"answers": [EDIT, GOOD["answers"][1]], "edited": {"file": "../a.nii.gz"}}, "must be a plain file name"),
        ({"shape": [12, 14]}, "is damaged"),
        ({"shape": [12, 14, -1]}, "a count from 0"),
        ({"affine": [[1, 0], [0, 1]]}, "is none"),
        ({"affine": [["1", 0, 0, 0]] * 4}, "a number is '1'"),
        ({"seconds": True}, "a number is 'True'"),
        ({"finished": "yesterday"}, "is damaged"),
        ({"finished": "2026-11-26T10:00:00"}, "a time with its zone is '2026-11-26T10:00:00'"),
        ({"structures": 7}, "is damaged"),
    ],
)
def test_what_no_page_writes_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    path = write(tmp_path, GOOD | change)
    with pytest.raises(InputError, match="Repair: ") as raised:
        read_review(path)
    assert words in str(raised.value)
    assert str(raised.value).startswith(str(path))


@pytest.mark.parametrize("key", sorted(GOOD))
def test_nothing_may_be_missing(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError, match=r"review\.json: "):
        read_review(write(tmp_path, {name: value for name, value in GOOD.items() if name != key}))


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    path.write_bytes(b" " * 5_000_001)
    with pytest.raises(InputError, match="larger than 5 MB"):
        read_review(path)


def test_each_reason_has_words() -> None:
    assert all(REASONS.values())
