"""Distances in the few dimensions of a UMAP embedding."""

from __future__ import annotations

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from medswin.errors import ConfigError
from medswin.ood.contract import Features, OODDetector, is_count
from medswin.ood.knn import KNearestNeighbors
from medswin.ood.mahalanobis import Mahalanobis

NEIGHBORS = 15
HALVINGS = 64
DISTANCES = {"mahalanobis": Mahalanobis, "knn": KNearestNeighbors}


class UMAP(OODDetector):
    """Mahalanobis or k-nearest-neighbour distance between places in a UMAP embedding. Higher = more unusual.

    The embedding is learned on the training scans alone (McInnes et al. 2018, arXiv 1802.03426); Woodland et al. embed
    the scans to be judged together with them, which no hospital can do. A new scan lies at the mean of its `NEIGHBORS`
    nearest training scans' places, weighted by UMAP's membership strengths: where umap-learn's ``transform`` starts,
    without its random steps after that, so that a score is always the same. No new scan can thus lie outside of the
    training scans' places, however unusual it is: to compare with. umap-learn (the extra ``umap``) is needed to fit,
    not to score.

    Args:
        n_components: dimensions of the embedding, at most N - 2.
        distance: ``"mahalanobis"`` or ``"knn"``, with their default arguments.
    """

    unbounded = False
    saved = ("mean_", "scale_", "scaled_", "embedding_")
    mean_: Features
    scale_: Features
    scaled_: Features
    embedding_: Features
    tree_: NearestNeighbors
    within_: OODDetector

    def __init__(self, n_components: int = 4, distance: str = "knn") -> None:
        self.n_components = n_components
        self.distance = distance

    def _fit(self, train_ND: Features) -> None:
        if not is_count(self.n_components):
            raise ConfigError(f"n_components must be a whole number from 1 on, got {self.n_components!r}")
        if self.distance not in DISTANCES:
            raise ConfigError(f"distance {self.distance!r} is not known", repair=f"use one of: {', '.join(DISTANCES)}")
        train_ND = train_ND[np.lexsort(train_ND.T)]  # the embedding is drawn at random, row by row
        scaler = StandardScaler().fit(train_ND)
        self.mean_ = np.asarray(scaler.mean_, dtype=np.float64)
        self.scale_ = np.asarray(scaler.scale_, dtype=np.float64)
        self.scaled_ = np.ascontiguousarray((train_ND - self.mean_) / self.scale_)
        self.embedding_ = _embedded(self.scaled_, self.n_components)

    def _restore(self) -> None:
        near = min(NEIGHBORS, len(self.scaled_))
        self.tree_ = NearestNeighbors(n_neighbors=near, algorithm="ball_tree").fit(self.scaled_)
        self.within_ = DISTANCES[self.distance]().fit(self.embedding_)

    def _score(self, features_ND: Features) -> Features:
        if len(features_ND) == 0:
            return np.zeros(0)
        distances, places = self.tree_.kneighbors((features_ND - self.mean_) / self.scale_)
        weights_NK = _memberships(distances)
        placed = (weights_NK[..., None] * self.embedding_[places]).sum(1) / weights_NK.sum(1)[:, None]
        return self.within_.score(placed)


def _memberships(distances_NK: Features) -> Features:
    """exp(-(d - d_nearest) / s), s such that a scan's memberships add up to the binary log of their number."""
    beyond = distances_NK - distances_NK[:, :1]
    enough = np.log2(max(beyond.shape[1], 2))
    low = np.full(len(beyond), 1e-12)
    high = np.maximum(beyond.max(axis=1), 1e-9) * 1e3
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        over = np.exp(-beyond / middle[:, None]).sum(1) > enough
        low, high = np.where(over, low, middle), np.where(over, middle, high)
    return np.asarray(np.exp(-beyond / high[:, None]))


def _embedded(scaled_ND: Features, wanted: int) -> Features:
    count = len(scaled_ND)
    kept = max(min(wanted, count - 2), 1)
    if count < 4:  # too few for a graph of neighbours
        return np.ascontiguousarray(scaled_ND[:, :kept])
    try:
        from umap import UMAP as Learner  # noqa: N811
    except ImportError as error:
        raise ConfigError("UMAP needs umap-learn", repair="pip install 'medswin[umap]', or use pca") from error
    learner = Learner(n_components=kept, n_neighbors=min(NEIGHBORS, count - 1), random_state=0, n_jobs=1)
    return np.asarray(learner.fit_transform(scaled_ND), dtype=np.float64)
