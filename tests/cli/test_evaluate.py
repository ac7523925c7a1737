"""``medswin evaluate``: figures for known pairs, and a missing prediction that is not forgotten."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medswin.io.nifti import write_labels


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two references of one 2x2x2 cube; case ``a`` is predicted as it is, case ``b`` as half of it."""
    cube = np.zeros((6, 6, 6), np.uint8)
    cube[2:4, 2:4, 2:4] = 1
    half = cube.copy()
    half[3] = 0
    predictions, labels = tmp_path / "predictions", tmp_path / "labels"
    for folder in (predictions, labels):
        folder.mkdir()
    for case, found in (("a", cube), ("b", half)):
        write_labels(labels / f"{case}.nii.gz", cube, np.eye(4))
        write_labels(predictions / f"{case}.nii.gz", found, np.eye(4))
    return predictions, labels


def test_known_pairs(medswin: Callable, pair: tuple[Path, Path], tmp_path: Path) -> None:
    status, out, err = medswin("evaluate", "-p", pair[0], "-l", pair[1], "-o", tmp_path / "new" / "metrics.json")
    assert (status, err) == (0, "")
    assert "label 1" in out
    cases = json.loads((tmp_path / "new" / "metrics.json").read_text())["cases"]
    assert cases["a"]["label 1"]["dice"] == 1.0
    assert cases["b"]["label 1"]["dice"] == pytest.approx(2 * 4 / (4 + 8))


def test_a_missing_prediction_counts_and_is_named(medswin: Callable, pair: tuple[Path, Path], tmp_path: Path) -> None:
    (pair[0] / "a.nii.gz").unlink()
    status, _, err = medswin("evaluate", "-p", pair[0], "-l", pair[1], "-o", tmp_path / "metrics.json")
    assert status == 1
    assert "no prediction for a." in err
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert report["structures"]["label 1"]["dice"] == pytest.approx((0 + 2 / 3) / 2)


def test_an_empty_folder_ends_with_2(medswin: Callable, pair: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    status, _, err = medswin("evaluate", "-p", tmp_path / "empty", "-l", pair[1], "-o", tmp_path / "metrics.json")
    assert (status, len(err.splitlines())) == (2, 1)
    assert str(tmp_path / "empty") in err
    assert not (tmp_path / "metrics.json").exists()
