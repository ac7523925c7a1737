"""k-nearest-neighbour distance beside pictures and a naive twin."""

from __future__ import annotations

import numpy as np
import pytest

from medswin.errors import ConfigError
from medswin.ood import KNearestNeighbors

LINE = np.array([[0.0], [1.0], [3.0], [7.0]])


# From 2 the scans 1, 3, 0, 7 are 1, 1, 2, 5 away; from 10 the scans 7, 3, 1, 0 are 3, 7, 9, 10 away.
@pytest.mark.parametrize(("k", "expected"), [(1, [1, 3]), (2, [1, 7]), (3, [2, 9]), (4, [5, 10])])
def test_four_scans_on_a_line(k: int, expected: list[float]) -> None:
    np.testing.assert_array_equal(KNearestNeighbors(k).fit(LINE).score([[2.0], [10.0]]), expected)


@pytest.mark.parametrize("normalize", [True, False])
def test_equals_sorted_distances(normalize: bool) -> None:
    rng = np.random.default_rng(0)
    train, new = rng.normal(size=(50, 8)), rng.normal(size=(20, 8))
    scores = KNearestNeighbors(4, normalize=normalize).fit(train).score(new)
    if normalize:
        train, new = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (train, new))
    naive = [sorted(np.linalg.norm(train - x, axis=1))[3] for x in new]
    np.testing.assert_allclose(scores, naive, rtol=1e-12)


def test_small_distances_between_large_features_keep_their_digits() -> None:
    train = 1e6 + np.array([[0.0, 0.0], [1e-3, 0.0], [0.0, 2e-3]])
    scores = KNearestNeighbors(1).fit(train).score(train + np.array([0.0, -1e-4]))
    np.testing.assert_allclose(scores, 1e-4, rtol=1e-4)


def test_normalized_scores_ignore_length() -> None:
    train = np.random.default_rng(1).normal(size=(30, 5))
    detector = KNearestNeighbors(3, normalize=True).fit(train)
    new = np.random.default_rng(2).normal(size=(6, 5))
    np.testing.assert_allclose(detector.score(1000 * new), detector.score(new), rtol=1e-9)


def test_a_vector_of_zeros_has_no_direction_and_lies_one_away() -> None:
    detector = KNearestNeighbors(2, normalize=True).fit(np.eye(4))
    np.testing.assert_allclose(detector.score(np.zeros((1, 4))), [1.0])


def test_with_fewer_scans_than_k_the_farthest_counts() -> None:
    detector = KNearestNeighbors(100).fit(LINE)
    assert detector.k_ == 4
    np.testing.assert_array_equal(detector.score([[10.0]]), [10.0])


@pytest.mark.parametrize("k", [0, -1, 2.5, True])
def test_k_out_of_range(k: object) -> None:
    with pytest.raises(ConfigError, match="k must be"):
        KNearestNeighbors(k).fit(LINE)  # type: ignore[arg-type]
