"""The words of the verdict and the table of volumes."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medswin.errors import InputError
from medswin.labels import LabelSet
from medswin.ood.judge import UNLIKE
from medswin.ood.scale import CAP
from medswin.prediction import OODResult, Prediction
from medswin.review import numbers, significant, verdict_words, volume_rows
from medswin.review.words import BEYOND_SCALE, score_words

NAMES = LabelSet.from_names(["head", "tail", "body"])


def prediction(labels: np.ndarray, spacing: tuple[float, float, float] = (1, 1, 1)) -> Prediction:
    return Prediction("case", labels, np.diag([*spacing, 1.0]), NAMES, OODResult("accept"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (3.1, "3.10"),
        (1234.5, "1230"),
        (0.012345, "0.0123"),
        (9.996, "10.0"),
        (999.6, "1000"),
        (2e-7, "0.000000200"),
        (2.125, "2.13"),
        (2.345, "2.35"),  # which is stored as slightly more than that
    ],
)
def test_three_significant_figures(value: float, text: str) -> None:
    assert significant(value) == text


@given(st.floats(1e-6, 1e6), st.integers(1, 5))
def test_significant_figures_are_that_many_and_near(value: float, digits: int) -> None:
    text = significant(value, digits)
    assert float(text) == pytest.approx(value, rel=0.5 * 10.0 ** (1 - digits) * (1 + 1e-9))
    assert "e" not in text.lower()
    if "." in text:
        assert len(Decimal(text).as_tuple().digits) == digits


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_what_is_no_volume_is_refused(value: float) -> None:
    with pytest.raises(InputError, match="finite value"):
        significant(value)


def test_volumes_parts_and_cut_edges() -> None:
    labels = np.zeros((10, 10, 10), dtype=np.uint8)
    labels[1:3, 1:3, 1:3] = 1
    labels[3, 3, 3] = 1  # touches the cube by a corner only: still one part
    labels[6:8, 6, 0:2] = 2
    labels[6, 9, 6] = 2
    head, tail, body = volume_rows(prediction(labels, (1, 2, 0.5)))
    assert (head.voxels, head.volume_ml, head.parts, head.cut_off, head.notes) == (9, 0.009, 1, False, ())
    assert (tail.voxels, tail.parts, tail.cut_off) == (5, 2, True)
    assert tail.notes == ("cut off at the scan edge: the true volume may be larger", "in 2 separate parts: check them")
    assert (body.voxels, body.volume_ml, body.parts, body.notes) == (0, 0.0, 0, ("not found in this scan",))


def test_every_verdict_has_its_own_lamp_headline_and_advice() -> None:
    words = [verdict_words(verdict) for verdict in ("accept", "review", "reject", "not checked")]
    assert [word.lamp for word in words] == ["green", "amber", "red", "grey"]
    assert len({word.headline for word in words}) == len({word.advice for word in words}) == 4


def test_not_checked_is_not_a_pass() -> None:
    words = verdict_words("not checked")
    assert "not a pass" in words.meaning
    assert numbers(OODResult("not checked")) == ()


def test_the_numbers_are_said_in_words() -> None:
    ood = OODResult("review", 7.31, 4.1, 0.049, 60, 0.05, parts={"mahalanobis": 7.312, "knn": 0.5})
    assert dict(numbers(ood)) == {
        "Score": "7.31 (higher = more unusual)",
        "Limit": "4.1 (accepted up to here)",
        "p-value": "0.049: share of those people (and this scan) at least as unusual",
        "Limit set on": "60 people kept out of training",
        "False alarms": "5 % of scans like the training scans, about 1 in 20, are not accepted",
        "By detector": "mahalanobis 7.31, knn 0.5",
    }


def test_marks_are_not_told_as_scores() -> None:
    """Of a scan that is unlike in size, and of a detector whose numbers overflow; the judge's own marks are meant."""
    assert min(UNLIKE, CAP) == BEYOND_SCALE
    told = dict(numbers(OODResult("reject", UNLIKE, 4.1, 1 / 41, 40, 0.05, parts={"mahalanobis": CAP, "knn": 0.5})))
    assert told["Score"] == "beyond the scale (higher = more unusual)"
    assert told["By detector"] == "mahalanobis beyond the scale, knn 0.5"
    assert "e+" not in " ".join(told.values())
    assert "1000000" not in " ".join(told.values())
    assert [score_words(s, ".3f") for s in (2.0, UNLIKE, float("nan"))] == ["2.000", "beyond the scale", "-"]


def test_the_expected_dice_says_for_what_it_holds() -> None:
    told = dict(numbers(OODResult("accept", expected_dice=(0.87, 0.8, 0.912))))
    assert told == {
        "Expected Dice": "0.87 (0.80-0.91): nine in ten of a mixture of usual and degraded scans lie within, which is "
        "no promise for this one"
    }


def test_no_p_value_is_finer_than_the_people_allow() -> None:
    assert dict(numbers(OODResult("reject", 99.0, 4.1, 1 / 41, 40, 0.05)))["p-value"] == (
        "at most 0.024: none of the 40 people was as unusual"
    )
    assert dict(numbers(OODResult("reject", 99.0, 4.1, 1e-9, 40, 0.05)))["p-value"].startswith("at most 0.024")
