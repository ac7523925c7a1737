"""The number that lies farthest outside, in units of its spread."""

from __future__ import annotations

import numpy as np
import pytest

from medswin.ood.ranges import Ranges


def test_a_normal_number_is_measured_in_standard_deviations() -> None:
    train = np.random.default_rng(0).normal(10, 2, (20_000, 1))
    assert Ranges().fit(train).score(np.array([[18.0], [2.0], [10.0]])) == pytest.approx([4, 4, 0], abs=0.15)


def test_each_side_has_its_own_spread_and_the_worst_number_counts() -> None:
    """A long tail upwards: far below is more unusual than as far above."""
    train = np.column_stack([np.random.default_rng(1).exponential(5, 5000) + 20, np.full(5000, 100.0)])
    ranges = Ranges().fit(train)
    middle, away = ranges.middle_, np.array([12.0, 0.0])
    up, down = ranges.score(np.stack([middle + away, middle - away]))
    assert down > 1.2 * up
    assert ranges.score(middle[None] + np.array([[0.0, 10.0]]))[0] == pytest.approx(
        5.0
    )  # a constant: a fiftieth of its size


def test_a_count_that_is_nearly_always_one_does_not_alarm_at_two() -> None:
    pieces = np.ones((100, 1))
    pieces[:4] = 2
    assert Ranges().fit(pieces).score(np.array([[2.0]]))[0] < 6
