"""All figures of one case, drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from medswin.errors import InputError, ShapeError
from medswin.labels import LabelSet
from medswin.metrics import evaluate_case, missed_case

LABELS = LabelSet.from_names(["Anterior", "Posterior", "Left out", "Made up", "Nowhere"])
MM = (1.0, 1.0, 2.0)


def rows(text: str) -> np.ndarray:
    """A picture of one slice as (X, Y, 1) labels."""
    return np.array([[int(v) for v in line.split()] for line in text.strip().splitlines()], np.uint8)[:, :, None]


LABEL = rows("""
    1 1 0 0
    1 1 2 2
    0 0 3 0
""")
PRED = rows("""
    1 1 0 4
    0 0 2 2
    0 0 0 0
""")


def test_each_structure_has_its_row() -> None:
    scores = evaluate_case(PRED, LABEL, MM, LABELS)
    assert list(scores) == list(LABELS.names)
    assert {name: row["state"] for name, row in scores.items()} == {
        "Anterior": "both", "Posterior": "both", "Left out": "missed", "Made up": "invented", "Nowhere": "neither",
    }  # fmt: skip
    assert [row["dice"] for row in scores.values()] == [2 * 2 / 6, 1.0, 0.0, 0.0, 1.0]
    assert [row["nsd"] for row in scores.values()] == [1.0, 1.0, 0.0, 0.0, 1.0]
    field = np.sqrt(3**2 + 4**2 + 2**2)
    assert [row["hd95_mm"] for row in scores.values()] == pytest.approx([1.0, 0.0, field, field, 0.0])
    assert [row["volume_ml"] for row in scores.values()] == [0.004, 0.004, 0.0, 0.002, 0.0]
    assert [row["label_volume_ml"] for row in scores.values()] == [0.008, 0.004, 0.002, 0.0, 0.0]


def test_a_case_without_prediction_is_missed_in_everything() -> None:
    scores = missed_case(LABEL, MM, LABELS)
    assert {(row["dice"], row["nsd"], row["state"]) for row in scores.values()} == {(0.0, 0.0, "missed")}
    assert [row["hd95_mm"] for row in scores.values()] == pytest.approx([np.sqrt(29)] * 5)
    assert scores["Anterior"]["label_volume_ml"] == 0.008


def test_values_that_are_no_structure_are_named() -> None:
    two = LabelSet.from_names(["Anterior", "Posterior"])
    with pytest.raises(InputError, match=r"reference holds the values \[3\]"):
        evaluate_case(np.zeros_like(LABEL), LABEL, MM, two)
    with pytest.raises(InputError, match=r"prediction holds the values \[4\]"):
        evaluate_case(PRED, np.zeros_like(LABEL), MM, two)


def test_two_grids() -> None:
    with pytest.raises(ShapeError, match="cannot be compared"):
        evaluate_case(PRED, LABEL[:2], MM, LABELS)
