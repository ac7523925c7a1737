"""What browsers left in a folder, and what of it counts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medswin.errors import InputError
from medswin.io import Scan
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction
from medswin.review.answers import read_review
from medswin.review.saved import find_reviews, last_of_each, saved_labels

AFFINE = np.eye(4)
BEFORE = np.zeros((4, 5, 6), dtype=np.uint8)
BEFORE[1:3, 1:3, 1:3] = 1


def review(path: Path, **more: Any) -> Path:
    values = {
        "review_version": 1, "case": "one", "package": "ab" * 32, "model": "finder", "input_sha256": None,
        "labels_sha256": "ef" * 32, "shape": [4, 5, 6], "affine": AFFINE.tolist(), "seconds": 1, "edited": None,
        "structures": [{"value": 1, "name": "head"}, {"value": 2, "name": "tail"}], "verdict": "accept", "reviewer": "",
        "finished": "2026-11-26T10:00:00Z",
        "answers": [{"value": v, "answer": "accept", "reason": "", "text": ""} for v in (1, 2)],
    }  # fmt: skip
    path.write_text(json.dumps(values | more))
    return path


def test_reviews_are_found_below_folders(tmp_path: Path) -> None:
    for name in ("a/one_review.json", "b/review.json", "b/two.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = find_reviews([tmp_path, tmp_path / "b" / "two.json", tmp_path / "b"])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a/one_review.json", "b/review.json", "b/two.json"]
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match="no file here is called like a review"):
        find_reviews([tmp_path / "c"])


def test_the_last_review_of_a_case_counts_whatever_its_name(tmp_path: Path) -> None:
    """By name, "one_review (1).json" comes before "one_review.json"; the later one is the numbered."""
    first = review(tmp_path / "one_review.json")
    second = review(tmp_path / "one_review (1).json", finished="2026-11-26T12:30:00+02:00")
    other = review(tmp_path / "two_review.json", case="two")
    damaged = tmp_path / "my_review.json"
    damaged.write_text("{")
    files = [damaged, second, first, other]
    assert find_reviews([tmp_path]) == files
    assert last_of_each(files) == ([damaged, second, other], [first])
    assert last_of_each([first, second]) == ([second], [first])


CORRECTED = BEFORE.copy()
CORRECTED[1, 1, 1] = 0
EDITED = {
    "answers": [{"value": v, "answer": a, "reason": "", "text": ""} for v, a in ((1, "edit"), (2, "accept"))],
    "edited": {"file": "one_edited.nii.gz", "voxels_changed": 1},
}


def keep(path: Path, labels: np.ndarray) -> None:
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), path)


def left(file: Path) -> np.ndarray:
    prediction = Prediction("one", BEFORE, AFFINE, LabelSet.from_names(["head", "tail"]), OODResult("accept"))
    return saved_labels(read_review(file), file, prediction, Scan.from_array(BEFORE.astype(np.float32), AFFINE, "one"))


def test_a_corrected_label_map_is_told_from_others_that_a_browser_numbered(tmp_path: Path) -> None:
    file = review(tmp_path / "one_review (2).json", **EDITED)
    with pytest.raises(InputError, match=r"one_edited\.nii\.gz is not beside it"):
        left(file)
    earlier = CORRECTED.copy()
    earlier[2, 2, 2] = 0
    keep(tmp_path / "one_edited.nii.gz", earlier)
    with pytest.raises(
        InputError, match=re.escape("in 2 voxels, one_review (2).json was saved with one that does in 1")
    ):
        left(file)
    keep(tmp_path / "one_edited(1).nii.gz", CORRECTED)
    keep(tmp_path / "one_edited (1) copy.nii.gz", BEFORE)
    assert np.array_equal(left(file), CORRECTED)
    keep(tmp_path / "one_edited (2).nii.gz", CORRECTED)
    assert np.array_equal(left(file), CORRECTED)
    other = BEFORE.copy()
    other[2, 2, 2] = 0
    keep(tmp_path / "one_edited (3).nii.gz", other)
    with pytest.raises(InputError, match="may both belong to it"):
        left(file)


def test_what_was_accepted_was_not_changed(tmp_path: Path) -> None:
    """The head's voxel becomes the tail's: both outlines changed, only the head is said to be edited."""
    labels = BEFORE.copy()
    labels[1, 1, 1] = 2
    keep(tmp_path / "one_edited.nii.gz", labels)
    with pytest.raises(InputError, match="tail was accepted, but its outline was changed"):
        left(review(tmp_path / "review.json", **EDITED))
