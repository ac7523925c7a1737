"""p-values by hand, by a naive twin, and over many draws of people."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medswin.errors import InputError
from medswin.ood import Calibration


def four() -> Calibration:
    return Calibration.fit(np.array([1.0, 2.0, 3.0, 4.0]), ["a", "b", "c", "d"])


@pytest.mark.parametrize(("score", "p"), [(0.5, 1.0), (1.0, 1.0), (1.5, 0.8), (3.0, 0.6), (4.0, 0.4), (4.1, 0.2)])
def test_four_people(score: float, p: float) -> None:
    assert four().p_value(score) == pytest.approx(p, abs=1e-15)


def test_ties_count_as_at_least_as_unusual() -> None:
    assert Calibration.fit(np.full(9, 2.0), range(9)).p_value(2.0) == 1.0


def test_a_person_weighs_one_however_many_scans() -> None:
    # a: 1 and 5, b: 2, c: 3. At 2.5 stand half of a and all of c.
    calibration = Calibration.fit(np.array([5.0, 2.0, 3.0, 1.0]), ["a", "b", "c", "a"])
    assert calibration.people == 3
    assert calibration.as_unusual(2.5) == 1.5
    assert calibration.p_value(2.5) == 2.5 / 4
    np.testing.assert_array_equal(calibration.scores, [1, 2, 3, 5])
    np.testing.assert_array_equal(calibration.weights, [0.5, 1, 1, 0.5])


def test_limit_is_the_largest_score_that_is_accepted() -> None:
    # p is 0.4 at 4 and 0.2 above it.
    assert four().limit(0.2) == 4.0
    assert four().limit(0.4) == 3.0
    assert four().limit(0.79) == 2.0


def test_middle_person() -> None:
    assert four().middle == 2.0
    assert Calibration.fit(np.array([1.0, 2.0, 9.0]), "abc").middle == 2.0
    assert Calibration.fit(np.array([1.0, 1.1, 1.2, 1.3, 5.0, 6.0]), "aaaabc").middle == 5.0


people_and_scores = st.lists(
    st.tuples(st.integers(0, 6), st.floats(-1e3, 1e3, allow_nan=False)), min_size=1, max_size=25
)


@given(people_and_scores, st.floats(-1e3, 1e3), st.sampled_from([0.05, 0.2, 0.5]))
def test_equals_counting_person_by_person(rows: list[tuple[int, float]], score: float, rate: float) -> None:
    calibration = Calibration.fit(np.array([s for _, s in rows]), [person for person, _ in rows])
    people = {person for person, _ in rows}
    shares = [np.mean([s >= score for q, s in rows if q == person]) for person in people]
    p = calibration.p_value(score)
    assert p == pytest.approx((1 + sum(shares)) / (len(people) + 1))
    assert 1 / (len(people) + 1) <= p <= 1.0 + 1e-12
    rate = max(rate, 1 / (len(people) + 1))
    assert (p > rate) == (score <= calibration.limit(rate))


def test_what_cannot_be_calibrated_is_refused() -> None:
    with pytest.raises(InputError, match="at least one scan"):
        Calibration.fit(np.array([]), [])
    with pytest.raises(InputError, match="2 scores and 1 people"):
        Calibration.fit(np.array([1.0, 2.0]), ["a"])
    with pytest.raises(InputError, match="NaN"):
        Calibration.fit(np.array([1.0, np.nan]), ["a", "b"])


@pytest.mark.parametrize("people", [19, 39, 50])
def test_false_alarms_keep_to_the_rate_with_correlated_scans_of_a_person(people: int) -> None:
    """Every third person has four scans that are nearly alike: the rate must hold for any one scan of a new person."""
    rng, repeats, alarms = np.random.default_rng(people), 3000, 0
    scans = np.where(np.arange(people + 1) % 3 == 0, 4, 1)
    for _ in range(repeats):
        counts = rng.permutation(scans)
        owner = np.repeat(np.arange(people + 1), counts)
        scores = rng.normal(size=people + 1)[owner] + 0.1 * rng.normal(size=len(owner))
        known = owner < people
        new = rng.choice(scores[~known])
        alarms += Calibration.fit(scores[known], owner[known].tolist()).p_value(new) <= 0.05
    # Three standard errors above 5 %; and not idle: at least 2 %.
    assert 0.02 < alarms / repeats < 0.05 + 3 * np.sqrt(0.05 * 0.95 / repeats)


@pytest.mark.parametrize("seed", range(8))
def test_the_limit_is_the_largest_score_whose_p_value_is_above_the_rate(seed: int) -> None:
    """A naive twin, with ties and people of several scans."""
    rng = np.random.default_rng(seed)
    people = np.sort(rng.integers(0, 30, 60)).tolist()
    calibration = Calibration.fit(rng.integers(0, 12, 60).astype(float), people)
    for rate in (0.01, 0.05, 1 / (calibration.people + 1), 0.2, 0.5, 0.99):
        above = [score for score in calibration.scores if calibration.p_value(float(score)) > rate]
        assert calibration.limit(rate) == (above[-1] if above else -np.inf)
