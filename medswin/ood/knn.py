"""Distance to the k-th nearest training scan."""

from __future__ import annotations

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.preprocessing import normalize as unit_length

from medswin.errors import ConfigError
from medswin.ood.contract import Features, OODDetector, is_count


class KNearestNeighbors(OODDetector):
    """Euclidean distance to the k-th nearest training scan. Higher = more unusual.

    Source: Sun et al. 2022 (arXiv 2204.06507), who scale features to length 1 first; Woodland et al. do not, and
    count the neighbours from 0, so that their k is k + 1 here.

    The score is meant for new scans. A training scan finds itself at distance 0 and scores too low; who needs the
    scores of training scans fits on the others and leaves the scan's own person out, as `medswin.ood.judge` does.
    The fitted state holds the training scans' features, not the scans.

    Args:
        k: which neighbour, from 1 on; with fewer than k training scans the farthest one is taken (``k_``).
        normalize: scale each scan's features to Euclidean length 1 first, so that only their direction counts. A
            vector of zeros stays as it is.
        n_components: reduce to this many principal components of standardised features first, learned on the training
            scans; at most N - 1 and D of them are taken. None = no reduction.
        woodland: count the neighbours from 0, so that ``k=2`` is the third nearest.
    """

    train_: Features
    center_: Features
    axes_: Features
    k_: int
    tree_: NearestNeighbors

    def __init__(
        self, k: int = 5, normalize: bool = False, n_components: int | None = None, woodland: bool = False
    ) -> None:
        self.k = k
        self.normalize = normalize
        self.n_components = n_components
        self.woodland = woodland

    @property
    def saved(self) -> tuple[str, ...]:  # type: ignore[override]
        """The training scans' features, and where these are reduced, how."""
        return ("train_", "k_") if self.n_components is None else ("train_", "k_", "center_", "axes_")

    def _fit(self, train_ND: Features) -> None:
        if not is_count(self.k):
            raise ConfigError(f"k must be a whole number from 1 on, got {self.k!r}")
        if self.n_components is not None:
            if not is_count(self.n_components):
                raise ConfigError(f"n_components must be a whole number from 1 on or null, got {self.n_components!r}")
            kept = min(self.n_components, len(train_ND) - 1, train_ND.shape[1])
            scaler = StandardScaler().fit(train_ND)
            pca = PCA(kept, svd_solver="full").fit(scaler.transform(train_ND))
            self.center_ = np.asarray(scaler.mean_, dtype=np.float64)
            self.axes_ = np.ascontiguousarray(pca.components_.T / scaler.scale_[:, None])
        self.train_ = self._prepared(train_ND)
        self.k_ = min(self.k + (1 if self.woodland else 0), len(train_ND))

    def _restore(self) -> None:
        # A ball tree takes differences before it squares; scikit-learn's brute force expands the square and loses
        # half of the digits where features are large beside their differences.
        self.k_ = int(self.k_)
        self.tree_ = NearestNeighbors(n_neighbors=self.k_, algorithm="ball_tree").fit(self.train_)

    def _score(self, features_ND: Features) -> Features:
        if len(features_ND) == 0:
            return np.zeros(0)
        distances, _ = self.tree_.kneighbors(self._prepared(features_ND))
        return np.ascontiguousarray(distances[:, -1])

    def _prepared(self, features_ND: Features) -> Features:
        if self.n_components is not None:
            features_ND = (features_ND - self.center_) @ self.axes_
        return np.asarray(unit_length(features_ND)) if self.normalize and len(features_ND) else features_ND
