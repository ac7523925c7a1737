"""The published formulas of Woodland et al., by a naive twin; and where ours part from them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from medswin.errors import InputError
from medswin.ood import KNearestNeighbors, Mahalanobis


def rows(n: int, width: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, width)) @ rng.normal(size=(width, width)) + 5 * rng.normal(size=width)


def published_mahalanobis(train: np.ndarray, new: np.ndarray) -> np.ndarray:
    """sqrt(|d S^-1 d|) with the empirical covariance, scan by scan."""
    inverse = scipy.linalg.inv(np.cov(train.T))
    away = new - train.mean(0)
    return np.array([np.sqrt(np.abs(d @ inverse @ d)) for d in away])


@pytest.mark.parametrize("seed", range(5))
def test_mahalanobis(seed: int) -> None:
    train, new = rows(60, 12, seed), rows(20, 12, seed + 100)
    ours = Mahalanobis(woodland=True).fit(train).score(new)
    np.testing.assert_allclose(ours, published_mahalanobis(train, new), rtol=1e-8)


@pytest.mark.parametrize("components", [2, 8])
def test_mahalanobis_after_standardised_pca(components: int) -> None:
    train, new = rows(60, 30, 0), rows(20, 30, 1)
    scaler = StandardScaler().fit(train)
    pca = PCA(components).fit(scaler.transform(train))
    small, placed = (pca.transform(scaler.transform(table)) for table in (train, new))
    ours = Mahalanobis(woodland=True, n_components=components).fit(train).score(new)
    np.testing.assert_allclose(ours, published_mahalanobis(small, placed), rtol=1e-8)


@pytest.mark.parametrize("k", [0, 2, 8, 59])
def test_k_counts_from_zero(k: int) -> None:
    train, new = rows(60, 6, 0), rows(20, 6, 1)
    expected = np.sort(cdist(new, train), axis=1)[:, k]
    if k == 0:
        np.testing.assert_allclose(KNearestNeighbors(k=1).fit(train).score(new), expected, rtol=1e-8)
    else:
        np.testing.assert_allclose(KNearestNeighbors(k=k, woodland=True).fit(train).score(new), expected, rtol=1e-8)


def test_knn_after_pca() -> None:
    train, new = rows(60, 30, 0), rows(20, 30, 1)
    scaler = StandardScaler().fit(train)
    pca = PCA(4).fit(scaler.transform(train))
    small, placed = (pca.transform(scaler.transform(table)) for table in (train, new))
    expected = np.sort(cdist(placed, small), axis=1)[:, 4]
    np.testing.assert_allclose(KNearestNeighbors(k=5, n_components=4).fit(train).score(new), expected, rtol=1e-8)


def test_a_singular_covariance_is_told_or_shrunk() -> None:
    """More features than scans: the published inverse is noise or fails; the shrunk one ranks by distance."""
    train = rows(10, 40, 0)
    near, far = train.mean(0) + 0.1, train.mean(0) + 50.0
    scores = Mahalanobis().fit(train).score(np.stack([near, far]))
    assert scores[0] < scores[1]
    constant = np.zeros((5, 2))
    with pytest.raises(InputError, match="cannot be inverted"):
        Mahalanobis(woodland=True).fit(constant)
