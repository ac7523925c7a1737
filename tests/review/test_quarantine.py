"""The way back from a reviewer's file to a data set that may teach, and what is not let in."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medswin.errors import InputError
from medswin.io import read_dataset, write_case
from medswin.io.private import keep_origins
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction
from medswin.review.agreement import Agreement, table
from medswin.review.quarantine import find_reviews, held_out_of, take_in

NAMES = LabelSet.from_names(["head", "tail"])
AFFINE = np.diag([-1.0, 1.0, 2.0, 1.0])


def labels() -> np.ndarray:
    found = np.zeros((12, 14, 10), dtype=np.uint8)
    found[3:8, 4:9, 3:6], found[9, 9:11, 8] = 1, 2
    return found


def predicted(folder: Path, scans: Path, case: str) -> None:
    scans.mkdir(exist_ok=True, parents=True)
    folder.mkdir(exist_ok=True)
    image = np.random.default_rng(list(case.encode())).normal(100, 20, (12, 14, 10)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(image, AFFINE), scans / f"{case}.nii.gz")
    digest = hashlib.sha256((scans / f"{case}.nii.gz").read_bytes()).hexdigest()
    said = {"model": "finder", "package": "ab" * 32, "input_sha256": digest}
    write_case(folder, Prediction(case, labels(), AFFINE, NAMES, OODResult("review"), provenance=said))
    keep_origins(folder, {case: {"files": [str(scans / f"{case}.nii.gz")]}})


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    predicted(tmp_path / "out", tmp_path / "scans", "one")
    return tmp_path / "out"


def answered(predictions: Path, folder: Path, name: str = "one", answers: str = "aa", **more: Any) -> Path:
    """A review as the page saves it; ``answers`` has a letter a structure: accept, edit or reject."""
    described = json.loads((predictions / f"{name}.json").read_text())
    words = {"a": "accept", "e": "edit", "r": "reject"}
    review = {
        "review_version": 1, "case": name, "package": "ab" * 32, "model": "finder", "verdict": "review",
        "input_sha256": described["provenance"]["input_sha256"], "labels_sha256": described["labels_sha256"],
        "shape": [12, 14, 10], "affine": described["affine"], "reviewer": "r7", "seconds": 61, "edited": None,
        "structures": [{"value": 1, "name": "head"}, {"value": 2, "name": "tail"}],
        "finished": "2026-11-26T10:00:00.000Z",
        "answers": [{"value": i + 1, "answer": words[a], "reason": "", "text": ""} for i, a in enumerate(answers)],
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}_review.json"
    path.write_text(json.dumps(review | more))
    return path


def corrected(folder: Path, mask: np.ndarray, affine: np.ndarray = AFFINE) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(mask, affine), folder / "one_edited.nii.gz")
    changed = int((mask != labels()).sum()) if mask.shape == labels().shape else 1
    return {"edited": {"file": "one_edited.nii.gz", "voxels_changed": changed}}


def test_an_accepted_case_becomes_a_training_case(predictions: Path, tmp_path: Path) -> None:
    taken = take_in(answered(predictions, tmp_path / "r"), predictions, tmp_path / "q")
    assert (taken.case, taken.usable) == ("one", True)
    assert taken.agreement == (
        Agreement("head", "accept", 1.0, pytest.approx(0.15), pytest.approx(0.15)),
        Agreement("tail", "accept", 1.0, pytest.approx(0.004), pytest.approx(0.004)),
    )
    (case,) = read_dataset(tmp_path / "q").cases
    assert case.label is not None
    label, image = nibabel.load(case.label), nibabel.load(case.images[0])
    assert np.array_equal(np.asanyarray(label.dataobj), labels())
    source = nibabel.load(tmp_path / "scans" / "one.nii.gz")
    assert np.array_equal(image.get_fdata(), source.get_fdata())
    assert np.allclose(label.affine, AFFINE)
    assert np.allclose(image.affine, AFFINE)
    assert read_dataset(tmp_path / "q").label_names == {"background": 0, "head": 1, "tail": 2}
    entry = json.loads((tmp_path / "q" / "manifest.json").read_text())["cases"]["one"]
    assert (entry["reviewer"], entry["package"], entry["verdict"]) == ("r7", "ab" * 32, "review")
    assert entry["labels_sha256"] == hashlib.sha256(case.label.read_bytes()).hexdigest()


def test_a_corrected_label_map_teaches_and_is_held_against_the_models(predictions: Path, tmp_path: Path) -> None:
    """The head gives its 25 voxels at z = 5: the model's 75 and the reviewer's 50 have a Dice of 0.8."""
    mask = labels()
    mask[3:8, 4:9, 5] = 0
    more = corrected(tmp_path / "r", mask)
    head, tail = take_in(
        answered(predictions, tmp_path / "r", answers="ea", **more), predictions, tmp_path / "q"
    ).agreement
    assert head == Agreement("head", "edit", pytest.approx(0.8), pytest.approx(0.15), pytest.approx(0.10))
    assert tail.dice == 1.0
    assert np.array_equal(np.asanyarray(nibabel.load(tmp_path / "q" / "labelsTr" / "one.nii.gz").dataobj), mask)


def test_a_rejected_structure_makes_a_record_and_no_lesson(predictions: Path, tmp_path: Path) -> None:
    take_in(answered(predictions, tmp_path / "r"), predictions, tmp_path / "q")
    taken = take_in(answered(predictions, tmp_path / "r", answers="ar"), predictions, tmp_path / "q")
    assert not taken.usable
    assert taken.agreement[1] == Agreement("tail", "reject", None, pytest.approx(0.004), None)
    assert [path.name for path in (tmp_path / "q").rglob("*") if path.is_file()] == ["dataset.json", "manifest.json"]
    manifest = json.loads((tmp_path / "q" / "manifest.json").read_text())
    assert (list(manifest["cases"]), manifest["cases"]["one"]["usable"]) == (["one"], False)
    assert json.loads((tmp_path / "q" / "dataset.json").read_text())["training"] == []


def test_a_case_is_there_once_however_often_it_is_taken_in(predictions: Path, tmp_path: Path) -> None:
    predicted(predictions, tmp_path / "scans", "two")
    for case in ("one", "two", "one"):
        take_in(answered(predictions, tmp_path / "r", case), predictions, tmp_path / "q", reviewer="chief")
    assert [case.id for case in read_dataset(tmp_path / "q").cases] == ["one", "two"]
    assert json.loads((tmp_path / "q" / "manifest.json").read_text())["cases"]["one"]["reviewer"] == "chief"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"package": "cd" * 32}, "answers another model package than one has now"),
        ({"input_sha256": "cd" * 32}, "another scan"),
        ({"labels_sha256": "cd" * 32, "shape": [12, 14, 11]}, "another label map and grid"),
        ({"affine": np.eye(4).tolist()}, "another grid"),
        ({"structures": [{"value": 1, "name": "tail"}, {"value": 2, "name": "head"}]}, "another structures"),
        ({"case": "other"}, "there is no case other"),
    ],
)
def test_a_review_of_something_else_is_refused(
    predictions: Path, tmp_path: Path, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        take_in(answered(predictions, tmp_path / "r", **more), predictions, tmp_path / "q")
    assert not (tmp_path / "q").exists()


def test_a_label_map_that_is_not_the_one_that_was_saved_is_refused(predictions: Path, tmp_path: Path) -> None:
    folder, mask = tmp_path / "r", labels()
    mask[3, 4, 3] = 0
    more = corrected(folder, mask)
    review = answered(predictions, folder, answers="ea", **more)
    with pytest.raises(InputError, match="head was accepted, but its outline was changed"):
        take_in(answered(predictions, folder, answers="ae", **more), predictions, tmp_path / "q")
    review = answered(predictions, folder, answers="ea", **more)
    corrected(folder, np.where(mask == 2, 1, mask).astype(np.uint8))
    with pytest.raises(InputError, match=r"in 3 voxels, one_review\.json was saved with one that does in 1"):
        take_in(review, predictions, tmp_path / "q")
    corrected(folder, np.where(mask == 2, 3, mask).astype(np.uint8))
    with pytest.raises(InputError, match=r"one_edited\.nii\.gz"):
        take_in(review, predictions, tmp_path / "q")
    corrected(folder, mask, np.eye(4))
    with pytest.raises(InputError, match=r"one_edited\.nii\.gz"):
        take_in(review, predictions, tmp_path / "q")
    (folder / "one_edited.nii.gz").unlink()
    with pytest.raises(InputError, match="is not beside it"):
        take_in(review, predictions, tmp_path / "q")
    assert not (tmp_path / "q").exists()


def test_what_measures_a_model_never_teaches_it(tmp_path: Path) -> None:
    predicted(tmp_path / "out", tmp_path / "imagesTs", "one")
    review = answered(tmp_path / "out", tmp_path / "r")
    with pytest.raises(InputError, match="its scan is a test scan"):
        take_in(review, tmp_path / "out", tmp_path / "q")
    (tmp_path / "splits.json").write_text(json.dumps({"training": ["x"], "validation": ["one"], "calibration": ["y"]}))
    held = held_out_of(tmp_path / "splits.json")
    assert held == {"one", "y"}
    with pytest.raises(InputError, match="case one is held out to measure a model"):
        take_in(review, tmp_path / "out", tmp_path / "q", held_out=held)
    (tmp_path / "splits.json").write_text("{}")
    with pytest.raises(InputError, match=r"no splits\.json"):
        held_out_of(tmp_path / "splits.json")


def test_reviews_are_found_below_folders(tmp_path: Path) -> None:
    for name in ("a/one_review.json", "b/review.json", "b/two.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = find_reviews([tmp_path, tmp_path / "b" / "two.json", tmp_path / "b"])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a/one_review.json", "b/review.json", "b/two.json"]
    (tmp_path / "c").mkdir()
    with pytest.raises(InputError, match="no file here is called like a review"):
        find_reviews([tmp_path / "c"])


def test_the_table_counts_and_averages() -> None:
    one = Agreement("head", "accept", 1.0, 2.0, 2.0), Agreement("tail", "reject", None, 1.0, None)
    two = Agreement("head", "edit", 0.8, 2.0, 3.0), Agreement("tail", "reject", None, 1.0, None)
    assert table([one, two]) == [("head", "1", "1", "0", "0.900", "+0.500"), ("tail", "0", "0", "2", "-", "-")]
