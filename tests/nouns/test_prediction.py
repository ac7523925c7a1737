"""Predictions: volumes and cut-off structures, from closed forms."""

import json

import numpy as np
import pytest

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction

LABELS = LabelSet.from_names(["inner", "outer"])


def prediction(labels, affine=None, **rest):
    affine = np.eye(4) if affine is None else affine
    return Prediction("case", labels.astype(np.uint8), affine, LABELS, OODResult("not checked"), **rest)


def test_volume_is_voxels_times_the_determinant():
    labels = np.zeros((10, 10, 10))
    labels[2:7, 2:7, 2:6] = 1  # 100 voxels
    turn = np.diag([-2.0, 0.5, 3.0, 1.0])[[1, 0, 2, 3]]  # 3 mm3, axes swapped and one flipped
    assert prediction(labels, turn).volumes_ml == pytest.approx({"inner": 0.3, "outer": 0.0})


def test_a_structure_at_any_face_is_cut_off():
    for axis in range(3):
        for side in (0, -1):
            labels = np.zeros((5, 5, 5))
            labels[2, 2, 2] = 1
            np.moveaxis(labels, axis, 0)[side, 2, 2] = 2
            assert prediction(labels).cut_off == ("outer",)


def test_a_structure_cut_by_the_box_is_cut_off():
    labels = np.zeros((9, 9, 9))
    labels[4, 4, 4] = 1
    labels[4, 4, 6] = 2
    assert prediction(labels).cut_off == ()
    assert prediction(labels, region=((2, 7), (2, 7), (2, 7))).cut_off == ("outer",)


def test_what_is_no_label_map_is_refused():
    with pytest.raises(InputError, match=r"\(X, Y, Z\) labels"):
        prediction(np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("code", "known"), [("no-orientation", False), ("sides-contradict", False), ("forms-disagree", True)]
)
def test_sides_are_unknown_where_a_finding_says_so(code, known):
    assert prediction(np.zeros((2, 2, 2)), findings=(Finding(code, "warn", "x"),)).oriented is known


def test_what_was_not_computed_is_null_in_json_however_deep_and_comes_back():
    ood = OODResult("review", 2.0, reasons=("far",), parts={"knn": 2.0, "other": float("nan")})
    row = json.loads(json.dumps(ood.to_json(), allow_nan=False))
    assert (row["score"], row["p_value"], row["parts"]) == (2.0, None, {"knn": 2.0, "other": None})
    assert repr(OODResult.from_json(row)) == repr(ood)
