"""Intervals of means beside what is known of them."""

from __future__ import annotations

import numpy as np
import pytest

from medswin.metrics import mean_interval


def test_a_constant_has_no_spread() -> None:
    assert mean_interval([0.9] * 4, "aabc") == pytest.approx((0.9, 0.9))


def test_nothing_is_said_of_one_person() -> None:
    assert mean_interval([0.8, 0.9], "aa") is None
    assert mean_interval([], []) is None


def test_close_to_the_normal_interval_for_many_people() -> None:
    values = np.random.default_rng(0).normal(0.9, 0.05, 400)
    low, high = mean_interval(values, range(400)) or (0.0, 0.0)
    half = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_copies_of_a_persons_scan_add_no_certainty() -> None:
    values = np.random.default_rng(1).normal(size=30)
    once = mean_interval(values, range(30))
    assert mean_interval(np.repeat(values, 4), np.repeat(np.arange(30), 4).tolist()) == pytest.approx(once)
    low, high = mean_interval(np.repeat(values, 4), range(120)) or (0.0, 0.0)
    assert once is not None
    assert high - low < 0.6 * (once[1] - once[0])


def test_two_people_with_unequal_numbers_of_scans() -> None:
    # Draws of two people: aa (mean 0), ab and ba (mean 1/4 over the four scans), bb (mean 1).
    assert mean_interval([0, 0, 0, 1], "aaab") == (0.0, 1.0)
    low, high = mean_interval([0, 0, 0, 1], "aaab", level=0.3) or (0.0, 0.0)
    assert (low, high) == (0.25, 0.25)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(2).normal(size=20)
    assert mean_interval(values, range(20)) == mean_interval(values, range(20))
    assert mean_interval(values, range(20)) != mean_interval(values, range(20), seed=1)
