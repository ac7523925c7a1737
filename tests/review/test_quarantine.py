"""The way back from a reviewer's file to a data set that may teach, and what is not let in."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from medswin.errors import InputError
from medswin.io import read_dataset, read_nifti, write_case
from medswin.io.held_out import HeldOut
from medswin.io.private import keep_origins
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction
from medswin.review.agreement import Agreement, table
from medswin.review.quarantine import take_in

NAMES = LabelSet.from_names(["head", "tail"])
AFFINE = np.diag([-1.0, 1.0, 2.0, 1.0])


def labels() -> np.ndarray:
    found = np.zeros((12, 14, 10), dtype=np.uint8)
    found[3:8, 4:9, 3:6], found[9, 9:11, 8] = 1, 2
    return found


def predicted(folder: Path, scans: Path, case: str, *, known: bool = True, **more: Any) -> None:
    scans.mkdir(exist_ok=True, parents=True)
    folder.mkdir(exist_ok=True)
    image = np.random.default_rng(list(case.encode())).normal(100, 20, (12, 14, 10)).astype(np.float32)
    stored = nibabel.Nifti1Image(image, AFFINE if known else None)
    stored.header.set_zooms((1, 1, 2))
    nibabel.save(stored, scans / f"{case}.nii.gz")
    scan = read_nifti(scans / f"{case}.nii.gz")
    digest = hashlib.sha256((scans / f"{case}.nii.gz").read_bytes()).hexdigest()
    said = {"model": "finder", "package": "ab" * 32, "input_sha256": digest}
    more |= {"findings": scan.findings, "provenance": said}
    write_case(folder, Prediction(case, labels(), scan.grid.affine, NAMES, OODResult("review"), **more))
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


def test_what_a_reviewer_left_unsaid_is_told(predictions: Path, tmp_path: Path) -> None:
    taken = take_in(answered(predictions, tmp_path / "r", answers="ra", reviewer=""), predictions, tmp_path / "q")
    assert taken.unsaid == ("no reviewer is named (--reviewer names one)", "head is rejected without a reason")
    assert take_in(answered(predictions, tmp_path / "r"), predictions, tmp_path / "q").unsaid == ()


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
    left = sorted(path.name for path in (tmp_path / "q").rglob("*") if path.is_file())
    assert left == [".lock", "dataset.json", "manifest.json"]
    manifest = json.loads((tmp_path / "q" / "manifest.json").read_text())
    assert (list(manifest["cases"]), manifest["cases"]["one"]["usable"]) == (["one"], False)
    assert json.loads((tmp_path / "q" / "dataset.json").read_text())["training"] == []


def test_a_case_is_there_once_however_often_it_is_taken_in(predictions: Path, tmp_path: Path) -> None:
    predicted(predictions, tmp_path / "scans", "two")
    for case in ("one", "two", "one"):
        take_in(answered(predictions, tmp_path / "r", case), predictions, tmp_path / "q", reviewer="chief")
    assert [case.id for case in read_dataset(tmp_path / "q").cases] == ["one", "two"]
    assert json.loads((tmp_path / "q" / "manifest.json").read_text())["cases"]["one"]["reviewer"] == "chief"


def test_two_imports_at_once_lose_no_case(predictions: Path, tmp_path: Path) -> None:
    cases = ["one", *(f"case{i}" for i in range(5))]
    for case in cases[1:]:
        predicted(predictions, tmp_path / "scans", case)
    files = [answered(predictions, tmp_path / "r", case) for case in cases]
    with ThreadPoolExecutor(len(files)) as pool:
        list(pool.map(lambda file: take_in(file, predictions, tmp_path / "q"), files))
    assert [case.id for case in read_dataset(tmp_path / "q").cases] == sorted(cases)


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
    """Of a pair of scans of one person the first validates: the second may not teach."""
    predicted(tmp_path / "tested", tmp_path / "imagesTs", "one")
    with pytest.raises(InputError, match="its scan is a test scan"):
        take_in(answered(tmp_path / "tested", tmp_path / "r"), tmp_path / "tested", tmp_path / "q")
    held = HeldOut(frozenset({"h_1"}), frozenset({"h_pair1"}), {"by": "pairs"})
    for case in ("h_1", "h_2", "h_3"):
        predicted(tmp_path / "out", tmp_path / "scans", case)
    for case in ("h_1", "h_2"):
        review = answered(tmp_path / "out", tmp_path / "r", case)
        with pytest.raises(InputError, match=f"case {case} is of a person who is held out to measure a model"):
            take_in(review, tmp_path / "out", tmp_path / "q", held_out=held)
    assert not (tmp_path / "q").exists()
    assert take_in(
        answered(tmp_path / "out", tmp_path / "r", "h_3"), tmp_path / "out", tmp_path / "q", held_out=held
    ).usable


def test_an_older_review_does_not_replace_a_later_one(predictions: Path, tmp_path: Path) -> None:
    take_in(answered(predictions, tmp_path / "r", finished="2026-11-26T11:00:00+01:00"), predictions, tmp_path / "q")
    with pytest.raises(InputError, match="finished later, 2026-11-26T11:00:00"):
        take_in(answered(predictions, tmp_path / "r", finished="2026-11-26T09:59:59Z"), predictions, tmp_path / "q")
    take_in(
        answered(predictions, tmp_path / "r", reviewer="b", finished="2026-11-26T10:00:00Z"),
        predictions,
        tmp_path / "q",
    )
    assert json.loads((tmp_path / "q" / "manifest.json").read_text())["cases"]["one"]["reviewer"] == "b"


def test_only_the_part_that_was_looked_at_teaches_and_lies_where_it_lay(tmp_path: Path) -> None:
    """Voxel (2, 3, 0) of the scan is the first of the part; what was drawn beyond, at (9, 9, 8), comes along."""
    predicted(tmp_path / "out", tmp_path / "scans", "one", region=((2, 9), (3, 9), (0, 6)))
    take_in(answered(tmp_path / "out", tmp_path / "r"), tmp_path / "out", tmp_path / "q")
    image, label = (nibabel.load(tmp_path / "q" / part / "one.nii.gz") for part in ("imagesTr", "labelsTr"))
    whole = nibabel.load(tmp_path / "scans" / "one.nii.gz")
    part = np.s_[2:10, 3:11, 0:9]
    assert np.array_equal(image.get_fdata(), whole.get_fdata()[part])
    assert np.array_equal(np.asanyarray(label.dataobj), labels()[part])
    assert np.allclose(image.affine @ [0, 0, 0, 1], whole.affine @ [2, 3, 0, 1])
    assert np.allclose(label.affine, image.affine)


def test_a_scan_without_orientation_teaches_without_one(tmp_path: Path) -> None:
    predicted(tmp_path / "out", tmp_path / "scans", "one", region=((2, 9), (3, 9), (0, 6)), known=False)
    take_in(answered(tmp_path / "out", tmp_path / "r"), tmp_path / "out", tmp_path / "q")
    for part in ("imagesTr", "labelsTr"):
        header = nibabel.load(tmp_path / "q" / part / "one.nii.gz").header
        assert (header["sform_code"], header["qform_code"]) == (0, 0)
        assert header.get_zooms() == (1, 1, 2)


def test_the_table_counts_and_averages() -> None:
    one = Agreement("head", "accept", 1.0, 2.0, 2.0), Agreement("tail", "reject", None, 1.0, None)
    two = Agreement("head", "edit", 0.8, 2.0, 3.0), Agreement("tail", "reject", None, 1.0, None)
    assert table([one, two]) == [("head", "1", "1", "0", "0.900", "+0.500"), ("tail", "0", "0", "2", "-", "-")]
