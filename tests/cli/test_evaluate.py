"""``medswin evaluate``: figures for known pairs, and a missing prediction that is not forgotten."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from medswin.io.nifti import read_labels, write_labels
from medswin.labels import LabelSet


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


def test_extra_predictions_are_named(medswin: Callable, pair: tuple[Path, Path], tmp_path: Path) -> None:
    (pair[1] / "a.nii.gz").unlink()
    status, out, err = medswin("evaluate", "-p", pair[0], "-l", pair[1], "-o", tmp_path / "metrics.json")
    assert (status, err) == (0, "")
    assert "not compared, as there is no reference: a\n" in out


def test_a_reference_that_cannot_be_read_ends_with_1(
    medswin: Callable, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    (pair[1] / "a.nii.gz").write_text("no image")
    status, _, err = medswin("evaluate", "-p", pair[0], "-l", pair[1], "-o", tmp_path / "metrics.json")
    assert (status, len(err.splitlines())) == (1, 1)
    assert str(pair[1] / "a.nii.gz") in err


def test_nothing_that_could_be_compared_ends_with_2(medswin: Callable, pair: tuple[Path, Path], tmp_path: Path) -> None:
    for case in "ab":
        write_labels(pair[0] / f"{case}.nii.gz", np.ones((3, 3, 3), np.uint8), np.eye(4))
    status, _, err = medswin("evaluate", "-p", pair[0], "-l", pair[1], "-o", tmp_path / "metrics.json")
    assert (status, len(err.splitlines())) == (2, 2)
    for case in "ab":
        for folder in pair:
            write_labels(folder / f"{case}.nii.gz", np.zeros((3, 3, 3), np.uint8), np.eye(4))
    status, _, err = medswin("evaluate", "-p", pair[0], "-l", pair[1], "-o", tmp_path / "metrics.json")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "no structure is drawn" in err


def test_values_that_never_meet_are_pointed_out(medswin: Callable, pair: tuple[Path, Path], tmp_path: Path) -> None:
    for case in "ab":
        white = read_labels(pair[1] / f"{case}.nii.gz") * 255
        write_labels(pair[1] / f"{case}.nii.gz", white, np.eye(4))
    status, _, err = medswin("evaluate", "-p", pair[0], "-l", pair[1], "-o", tmp_path / "metrics.json")
    assert status == 0
    assert "only label 1 in the predictions, only label 255 in the references" in err
    assert json.loads((tmp_path / "metrics.json").read_text())["mean"]["dice"] == 0.0


def case_file(path: Path, *names: str) -> None:
    path.write_text(json.dumps({"case_version": 1, "structures": LabelSet.from_names(list(names)).to_json()}))


def test_case_files_name_the_structures_and_others_do_not(
    medswin: Callable, pair: tuple[Path, Path], tmp_path: Path
) -> None:
    words = ("evaluate", "-p", pair[0], "-l", pair[1], "-o", tmp_path / "metrics.json")
    (pair[0] / "a.json").write_text('{"Modality": "MR"}')
    (pair[0] / "b.json").write_text("[1, 2")
    assert "label 1" in medswin(*words)[1]
    case_file(pair[0] / "b.json", "Head")
    status, out, _ = medswin(*words)
    assert status == 0
    assert "Head" in out
    case_file(pair[0] / "a.json", "Tail")
    status, _, err = medswin(*words)
    assert (status, len(err.splitlines())) == (2, 1)
    assert "names other structures (Head) than" in err
    (pair[0] / "a.json").write_text('{"case_version": 1}')
    status, _, err = medswin(*words)
    assert status == 2
    assert "a.json: names no structures" in err


def test_intervals_by_person(medswin: Callable, pair: tuple[Path, Path], tmp_path: Path) -> None:
    words = ("evaluate", "-p", pair[0], "-l", pair[1], "-o", tmp_path / "metrics.json", "--people", tmp_path / "p.csv")
    (tmp_path / "p.csv").write_text("case,person\na,anna\n")
    status, _, err = medswin(*words)
    assert status == 2
    assert "p.csv: 1 cases are not in it, for example b" in err
    (tmp_path / "p.csv").write_text("case,person\na,anna\nb,bert\n")
    status, out, _ = medswin(*words)
    assert status == 0
    assert "2 cases of 2 people" in out
    assert "0.667-1.000" in out
    written = (tmp_path / "metrics.json").read_text()
    assert json.loads(written)["mean"]["dice_ci95"] == pytest.approx([2 / 3, 1])
    assert "anna" not in written


def test_an_output_that_cannot_be_written_is_refused_first(
    medswin: Callable, pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medswin.metrics.evaluate_folder", None)  # nothing is computed
    (tmp_path / "file").write_text("")
    (tmp_path / "closed").mkdir(mode=0o500)
    outputs = [tmp_path / "file" / "x.json", tmp_path]
    if os.geteuid():  # root may write anywhere
        outputs.append(tmp_path / "closed" / "new" / "x.json")
    for out in outputs:
        status, _, err = medswin("evaluate", "-p", pair[0], "-l", pair[1], "-o", out)
        assert (status, len(err.splitlines())) == (2, 1)
        assert f"medswin: {out}: " in err
        assert "Repair: " in err
