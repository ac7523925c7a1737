"""Folders beside folders: nothing is dropped, everything odd is named."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medswin.errors import InputError
from medswin.metrics import evaluate_folder

NAMES = ["Anterior", "Posterior"]


def label_map() -> np.ndarray:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[2:6, 2:4, 2:6], labels[2:6, 4:6, 2:6] = 1, 2
    return labels


def write(folder: Path, case: str, labels: np.ndarray, spacing: float = 1.0) -> None:
    folder.mkdir(exist_ok=True)
    affine = np.diag([spacing, spacing, spacing, 1.0])
    nib.save(nib.Nifti1Image(labels.astype(np.uint8), affine), folder / f"{case}.nii.gz")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Four references; a and b right, c half missed, d without prediction, and one prediction too many."""
    pred, label = tmp_path / "pred", tmp_path / "label"
    for case in "abcd":
        write(label, case, label_map())
    for case in "abx":
        write(pred, case, label_map())
    write(pred, "c", np.where(label_map() == 1, 1, 0))
    return pred, label


def test_missing_predictions_count_as_misses(folders: tuple[Path, Path]) -> None:
    result = evaluate_folder(*folders, NAMES)
    assert result["missing"] == ["d"]
    assert result["extra"] == ["x"]
    assert result["failed"] == []
    assert result["n_cases"] == 4
    assert result["structures"]["Anterior"]["dice"] == 0.75
    assert result["structures"]["Posterior"]["dice"] == 0.5
    assert result["structures"]["Posterior"]["missed"] == 2
    assert result["structures"]["Posterior"]["both"] == 2
    assert result["structures"]["Posterior"]["hd95_mm"] == pytest.approx(2 * np.sqrt(3 * 64) / 4)
    assert result["mean"]["dice"] == 0.625
    assert result["mean"]["dice_ci95"] is None
    assert {s["state"] for s in result["cases"]["d"].values()} == {"missed"}


def test_ready_for_json(folders: tuple[Path, Path]) -> None:
    result = evaluate_folder(*folders, NAMES, dict.fromkeys("ab", "p") | {"c": "q", "d": "r"})
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_intervals_are_by_person(folders: tuple[Path, Path]) -> None:
    result = evaluate_folder(*folders, NAMES, {"a": "p", "b": "p", "c": "q", "d": "q"})
    assert result["n_people"] == 2
    # Of two people p is always right in Anterior and q in one of two scans.
    assert result["structures"]["Anterior"]["dice_ci95"] == [0.5, 1.0]
    one = evaluate_folder(*folders, NAMES, dict.fromkeys("abcd", "p"))
    assert one["structures"]["Anterior"]["dice_ci95"] is None


def test_what_cannot_be_read_is_a_miss_with_its_reason(folders: tuple[Path, Path]) -> None:
    pred, label = folders
    (pred / "a.nii.gz").write_text("no image")
    write(pred, "b", label_map()[:5])
    write(pred, "d", label_map() * 3)
    result = evaluate_folder(pred, label, NAMES)
    assert [row["case"] for row in result["failed"]] == ["a", "b", "d"]
    assert result["missing"] == []
    assert result["structures"]["Anterior"]["dice"] == 0.25
    assert result["structures"]["Anterior"]["missed"] == 3
    assert all(len(row["message"]) > 20 for row in result["failed"])


def test_a_reference_that_cannot_be_read_takes_no_part(folders: tuple[Path, Path]) -> None:
    pred, label = folders
    (label / "c.nii.gz").write_text("no image")
    result = evaluate_folder(pred, label)
    assert [row["case"] for row in result["failed"]] == ["c"]
    assert set(result["cases"]) == {"a", "b", "d"}
    assert list(result["structures"]) == ["label 1", "label 2"]


def test_spacing_comes_from_the_reference(tmp_path: Path) -> None:
    pred, label = tmp_path / "pred", tmp_path / "label"
    write(label, "a", label_map(), spacing=2.0)
    write(pred, "a", np.roll(label_map(), 1, axis=2), spacing=2.0)
    row = evaluate_folder(pred, label, NAMES)["cases"]["a"]["Anterior"]
    assert row["hd95_mm"] == 2.0
    assert row["nsd"] < 1.0
    assert row["label_volume_ml"] == pytest.approx(32 * 8 / 1000)


def test_spacing_follows_the_axes_of_the_array(tmp_path: Path) -> None:
    # The array's last axis runs from left to right in steps of 3 mm, so a shift along it is 3 mm.
    affine = np.array([[0, 0, 3.0, 0], [0, 1.0, 0, 0], [1.0, 0, 0, 0], [0, 0, 0, 1.0]])
    for folder, labels in (("label", label_map()), ("pred", np.roll(label_map(), 1, axis=2))):
        (tmp_path / folder).mkdir()
        nib.save(nib.Nifti1Image(labels, affine), tmp_path / folder / "a.nii.gz")
    result = evaluate_folder(tmp_path / "pred", tmp_path / "label", NAMES)
    assert result["cases"]["a"]["Anterior"]["hd95_mm"] == 3.0


def test_a_reference_that_is_rightly_empty(tmp_path: Path) -> None:
    for folder in ("pred", "label"):
        write(tmp_path / folder, "a", np.zeros((4, 4, 4)))
    result = evaluate_folder(tmp_path / "pred", tmp_path / "label", NAMES)
    assert result["structures"]["Anterior"]["neither"] == 1
    assert result["mean"]["dice"] == 1.0
    with pytest.raises(InputError, match="no structure is drawn in any"):
        evaluate_folder(tmp_path / "pred", tmp_path / "label")


def test_structures_are_the_values_that_occur(tmp_path: Path) -> None:
    pred, label = tmp_path / "pred", tmp_path / "label"
    write(label, "a", np.where(label_map() == 1, 255, 0))
    write(pred, "a", np.where(label_map() == 2, 7, 0))
    result = evaluate_folder(pred, label)
    assert result["labels"] == ["label 7", "label 255"]
    assert [row["state"] for row in result["cases"]["a"].values()] == ["invented", "missed"]
    assert result["mean"]["dice"] == 0.0


def test_what_occurs_nowhere_raises_no_mean(folders: tuple[Path, Path]) -> None:
    result = evaluate_folder(*folders, [*NAMES, "Nowhere"])
    assert result["absent"] == ["Nowhere"]
    assert list(result["structures"]) == NAMES
    assert result["mean"] == evaluate_folder(*folders, NAMES)["mean"]


def test_values_of_a_file_that_is_not_compared_are_no_structures(folders: tuple[Path, Path]) -> None:
    pred, label = folders
    write(pred, "x", label_map() * 9)  # no reference
    write(pred, "b", label_map()[:5] * 9)  # another grid
    assert evaluate_folder(pred, label)["labels"] == ["label 1", "label 2"]


@pytest.mark.parametrize("names", [None, NAMES])
def test_an_image_is_no_label_map(folders: tuple[Path, Path], names: list[str] | None) -> None:
    pred, label = folders
    write(label, "a", np.arange(512).reshape(8, 8, 8) % 140)
    nib.save(nib.Nifti1Image(np.linspace(0, 1, 512, dtype=np.float32).reshape(8, 8, 8), np.eye(4)), pred / "b.nii.gz")
    failed = {row["case"]: row["message"] for row in evaluate_folder(pred, label, names)["failed"]}
    assert "holds 139 values, so it is an image" in failed["a"]
    assert "not whole numbers" in failed["b"]
    for case in "bcd":
        (label / f"{case}.nii.gz").unlink()
    with pytest.raises(InputError, match=r"none of 1 references can be used.*label maps rather than images"):
        evaluate_folder(pred, label, names)


def test_an_atlas_of_many_structures_is_no_image(tmp_path: Path) -> None:
    atlas = np.arange(1, 65).reshape(4, 4, 4).repeat(3, 0).repeat(3, 1).repeat(3, 2)
    for folder in ("pred", "label"):
        write(tmp_path / folder, "a", atlas)
    assert len(evaluate_folder(tmp_path / "pred", tmp_path / "label")["structures"]) == 64


def test_foreign_values_are_named_but_not_all(folders: tuple[Path, Path]) -> None:
    pred, label = folders
    write(pred, "a", np.arange(512).reshape(8, 8, 8) % 10)
    message = evaluate_folder(pred, label, NAMES)["failed"][0]["message"]
    assert "holds the values 3, 4, 5, 6, 7 and 2 more" in message


def test_a_name_without_a_file_is_counted(
    folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pred, label = folders
    monkeypatch.setattr("medswin.metrics.evaluate.find_scans", lambda folder: sorted(folder.iterdir()))
    (label / "b.nii.gz").unlink()
    (label / "b.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    result = evaluate_folder(pred, label)
    assert [row["case"] for row in result["failed"]] == ["b"]
    assert result["n_cases"] == 3


def test_two_files_are_compared_whatever_their_names(folders: tuple[Path, Path]) -> None:
    pred, label = folders
    result = evaluate_folder(pred / "c.nii.gz", label / "a.nii.gz", NAMES)
    assert result["cases"]["a"]["Anterior"]["dice"] == 1.0
    assert result["cases"]["a"]["Posterior"]["state"] == "missed"


def test_folders_that_do_not_belong_together(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pred, label = folders
    write(tmp_path / "other", "y", label_map())
    with pytest.raises(InputError, match="none of 1 predictions is named like one of 4 references"):
        evaluate_folder(tmp_path / "other", label, NAMES)
    with pytest.raises(InputError, match="3 cases have no person"):
        evaluate_folder(pred, label, NAMES, {"a": "p"})
    nib.save(nib.Nifti1Image(label_map(), np.eye(4)), pred / "a.nii")
    with pytest.raises(InputError, match="the same case"):
        evaluate_folder(pred, label, NAMES)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty"):
        evaluate_folder(tmp_path / "empty", label, NAMES)
