"""Mahalanobis distance beside closed forms, naive twins and scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from medswin.errors import ConfigError, InputError
from medswin.ood import Mahalanobis

CROSS = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 2.0], [0.0, -2.0]])


@pytest.fixture
def rows() -> np.ndarray:
    mix = np.random.default_rng(5).normal(size=(5, 5))
    return np.random.default_rng(6).normal(size=(60, 5)) @ mix + 7.0


def naive(train: np.ndarray, new: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    inverse = np.linalg.inv(covariance)
    return np.array([np.sqrt((x - train.mean(0)) @ inverse @ (x - train.mean(0))) for x in new])


@pytest.mark.parametrize("standardize", [True, False])
def test_cross_of_four_scans(standardize: bool) -> None:
    # Variances are 2/3 and 8/3, the features uncorrelated: (1, 0) and (0, 2) are both sqrt(3/2) from the middle.
    detector = Mahalanobis("empirical", standardize=standardize).fit(CROSS)
    new = [[1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [1.0, 2.0]]
    np.testing.assert_allclose(detector.score(new), np.sqrt([1.5, 1.5, 0.0, 3.0]), atol=1e-12)


@pytest.mark.parametrize("standardize", [True, False])
def test_empirical_equals_the_published_formula(rows: np.ndarray, standardize: bool) -> None:
    new = np.random.default_rng(7).normal(size=(9, 5)) * 5
    expected = naive(rows, new, np.cov(rows.T))
    scores = Mahalanobis("empirical", standardize=standardize).fit(rows).score(new)
    np.testing.assert_allclose(scores, expected, rtol=1e-8)


def test_ledoit_wolf_equals_scikit_learn(rows: np.ndarray) -> None:
    new = np.random.default_rng(7).normal(size=(9, 5)) * 5
    expected = np.sqrt(LedoitWolf().fit(rows).mahalanobis(new))
    np.testing.assert_allclose(Mahalanobis(standardize=False).fit(rows).score(new), expected, rtol=1e-9)


def test_standardized_ledoit_wolf_ignores_units(rows: np.ndarray) -> None:
    new, units = rows[:9] + 1.0, np.array([1.0, 1e-6, 1e6, 10.0, 0.1])
    expected = Mahalanobis().fit(rows).score(new)
    np.testing.assert_allclose(Mahalanobis().fit(rows * units + 4).score(new * units + 4), expected, rtol=1e-6)


@pytest.mark.parametrize("covariance", ["ledoit_wolf", "empirical"])
def test_components_equal_the_steps_one_by_one(rows: np.ndarray, covariance: str) -> None:
    new = np.random.default_rng(7).normal(size=(9, 5)) * 5
    scaler = StandardScaler().fit(rows)
    pca = PCA(3).fit(scaler.transform(rows))
    train, test = (pca.transform(scaler.transform(x)) for x in (rows, new))
    estimate = np.cov(train.T) if covariance == "empirical" else LedoitWolf().fit(train).covariance_
    scores = Mahalanobis(covariance, n_components=3).fit(rows).score(new)  # type: ignore[arg-type]
    np.testing.assert_allclose(scores, naive(train, test, estimate), rtol=1e-8)


def test_too_many_components_are_cut_to_what_the_scans_span() -> None:
    rows = np.random.default_rng(0).normal(size=(6, 20))
    detector = Mahalanobis("empirical", n_components=256).fit(rows)
    assert detector.whitening_.shape == (20, 5)


def test_a_singular_covariance_gives_the_distance_inside_the_span() -> None:
    # All scans lie on the line y = x, where the distance is that of one dimension.
    line = np.array([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])
    detector = Mahalanobis("empirical", standardize=False).fit(line)
    np.testing.assert_allclose(detector.score([[2.0, 2.0], [5.0, -5.0]]), [2.0, 0.0], atol=1e-9)


def test_near_singular_features_never_make_the_square_negative() -> None:
    # The published code takes the absolute value of the square here; a whitened vector has a length instead.
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(30, 3)) @ rng.normal(size=(3, 200)) + 1e-9 * rng.normal(size=(30, 200))
    for covariance in ("ledoit_wolf", "empirical"):
        scores = Mahalanobis(covariance).fit(rows).score(rng.normal(size=(50, 200)))  # type: ignore[arg-type]
        assert np.isfinite(scores).all()
        assert (scores >= 0).all()


def test_shrinkage_notices_what_the_empirical_inverse_cannot() -> None:
    rng = np.random.default_rng(2)
    plane = rng.normal(size=(30, 3)) @ rng.normal(size=(3, 40))
    off_plane = rng.normal(size=(1, 40)) * 5
    shrunk = Mahalanobis().fit(plane)
    assert shrunk.score(off_plane)[0] > 5 * shrunk.score(plane).max()


def test_a_dead_feature_that_wakes_up_counts() -> None:
    rows = np.c_[np.random.default_rng(3).normal(size=(30, 3)), np.zeros(30)]
    detector = Mahalanobis().fit(rows)
    asleep, awake = detector.score([[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 50.0]])
    assert awake > asleep + 10


def test_scans_that_are_all_alike_are_refused() -> None:
    for standardize in (True, False):
        with pytest.raises(InputError, match="the same for all training scans"):
            Mahalanobis(standardize=standardize).fit(np.ones((10, 4)))


@pytest.mark.parametrize("params", [{"covariance": "mcd"}, {"n_components": 0}, {"n_components": 2.5}])
def test_arguments_out_of_range(params: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(params))):
        Mahalanobis(**params).fit(CROSS)  # type: ignore[arg-type]
