"""Predictions go to files and come back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io import read_case, write_case
from medswin.io.scan import no_orientation
from medswin.labels import Code, Label, LabelSet
from medswin.prediction import OODResult, Prediction

LABELS = np.zeros((4, 5, 6), np.uint8)
LABELS[1:3, 1:3, 1:3], LABELS[0, 4, 5] = 1, 2
PREDICTION = Prediction(
    case="a.b",
    labels=LABELS,
    affine=np.array([[0.1, 0.2, 0, 1 / 3], [-0.2, 0.1, 0, 5], [0, 0, 1.5, 7], [0, 0, 0, 1]]),
    label_set=LabelSet((
        Label(1, "head", (1, 2, 3), Code("1", "SCT", "Head"), Code("2", "SCT", "Left")), Label(2, "tail", (4, 5, 6)),
    )),
    ood=OODResult("review", 1.5, 1.2, 0.02, 60, 0.05, ("unusual", "check it"), {"knn": 1.5, "other": float("nan")}),
    findings=(Finding("forms-disagree", "warn", "Odd.", "look"), Finding("x", "note", "y")),
    provenance={"model": "tiny", "seconds": 0.25, "window": [8, 8, 8]},
)  # fmt: skip


def same(a: Prediction, b: Prediction) -> None:
    assert np.array_equal(a.labels, b.labels)
    assert np.array_equal(a.affine, b.affine)  # to the last bit of float64, though NIfTI keeps float32
    assert repr(replace(a, labels=LABELS, affine=np.eye(4))) == repr(replace(b, labels=LABELS, affine=np.eye(4)))


def test_a_case_comes_back_as_it_went(tmp_path: Path) -> None:
    paths = write_case(tmp_path / "out", PREDICTION)
    assert [p.name for p in paths] == ["a.b.nii.gz", "a.b.json"]
    same(read_case(paths[1]), PREDICTION)
    assert np.allclose(nib.load(paths[0]).affine, PREDICTION.affine)
    values = json.loads(paths[1].read_text())
    assert values["case_version"] == 1
    assert values["volumes_ml"] == pytest.approx({"head": 8 * 0.075 / 1000, "tail": 0.075 / 1000})
    assert values["cut_off"] == ["tail"]
    assert values["ood"]["parts"] == {"knn": 1.5, "other": None}


def test_a_scan_that_was_not_checked(tmp_path: Path) -> None:
    prediction = replace(PREDICTION, ood=OODResult("not checked"), findings=(), provenance={})
    same(read_case(write_case(tmp_path, prediction)[1]), prediction)


def test_labels_of_a_scan_without_orientation_have_none(tmp_path: Path) -> None:
    affine = np.diag([-1.0, 1, 1, 1])
    affine[:3, 3] = (1.5, -2, -2.5)  # what such a file implies
    prediction = replace(PREDICTION, affine=affine, findings=(no_orientation("The header says nothing"),))
    image, described = write_case(tmp_path, prediction)
    header = nib.load(image).header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
    same(read_case(described), prediction)


def test_a_case_is_replaced_json_first_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    described = write_case(tmp_path, PREDICTION)[1]
    monkeypatch.setattr("medswin.io.cases.write_labels", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_case(tmp_path, PREDICTION)
    assert not described.exists()


@pytest.mark.parametrize("case", ["", ".", "..", "a/b", "/a", "a\\b", ".hidden", "a\0b"])
def test_names_that_are_no_file_names(tmp_path: Path, case: str) -> None:
    with pytest.raises(InputError, match="must be a plain file name"):
        write_case(tmp_path / "out", replace(PREDICTION, case=case))
    assert list(tmp_path.iterdir()) == []


def test_provenance_that_json_cannot_hold_stops_before_anything_is_touched(tmp_path: Path) -> None:
    described = write_case(tmp_path, PREDICTION)[1]
    before = {p: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(InputError, match="cannot be put into JSON"):
        write_case(tmp_path, replace(PREDICTION, provenance={"x": object()}))
    assert {p: p.read_bytes() for p in tmp_path.iterdir()} == before
    same(read_case(described), PREDICTION)


def spoil(path: Path, change: dict) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"case_version": 2}, "its case_version is 2, this medswin reads 1"),
        ({"case_version": None}, "its case_version is None"),
        ({"structures": [{"value": 1}]}, "is damaged"),
        ({"structures": [{"value": 1, "name": "head", "color": [1, 2, 3]}]}, "holds the values 2"),
        ({"ood": {}}, "is damaged"),
        ({"ood": None}, "is damaged"),
        ({"affine": [[1]]}, "4 x 4"),
        ({"labels_file": "gone.nii.gz"}, "no such file"),
        ({"labels_sha256": "0"}, "was not written with a.b.json, or was changed"),
    ],
)
def test_damaged_cases(tmp_path: Path, change: dict, words: str) -> None:
    described = write_case(tmp_path, PREDICTION)[1]
    spoil(described, change)
    with pytest.raises(InputError) as caught:
        read_case(described)
    assert words in str(caught.value)


def test_the_label_file_is_sought_beside_the_description_only(tmp_path: Path) -> None:
    described = write_case(tmp_path / "a", PREDICTION)[1]
    (tmp_path / "a" / "a.b.nii.gz").rename(tmp_path / "a.b.nii.gz")
    spoil(described, {"labels_file": "../a.b.nii.gz"})
    with pytest.raises(InputError, match="no such file"):
        read_case(described)
