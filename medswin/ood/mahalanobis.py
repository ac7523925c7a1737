"""Distance from the middle of the training features, in units of their own spread."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from scipy.linalg import eigh, inv
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from medswin.errors import ConfigError, InputError
from medswin.ood.contract import Features, OODDetector, is_count

WIDEST = 4096
Covariance = Literal["ledoit_wolf", "empirical"]


class Mahalanobis(OODDetector):
    r"""Mahalanobis distance to one Gaussian over all training scans. Higher = more unusual.

    .. math:: s(x) = \sqrt{(x - \mu)^T \Sigma^{-1} (x - \mu)}

    The distance is computed as the length of a whitened vector, ``|(x - mu) W|`` with ``W W^T`` the inverse of Sigma,
    so that it cannot become the root of a negative number, however many features there are per scan.

    Source: Lee et al. 2018 (arXiv 1807.03888) brought the distance to the features of networks; Woodland et al. 2023
    (UNSURE at MICCAI) to the bottleneck of Swin UNETR, with PCA. They invert the empirical covariance; with fewer
    scans than features that is singular, so Ledoit & Wolf's (2004) shrunk estimate is the default here.

    Args:
        covariance: ``"ledoit_wolf"`` (always invertible) or ``"empirical"`` (divided by N - 1). Where the empirical
            one is singular its pseudo-inverse is taken: directions in which no training scan varies do not count,
            however far a scan lies off in them.
        n_components: reduce to this many principal components first, learned on the training scans; at most N - 1
            and D of them are taken. None = no reduction.
        woodland: invert the empirical covariance as it is and take the root of the absolute value, as Woodland et al.
            published it: with fewer scans than features negative squares of a singular inverse are hidden so. To
            compare with; ``covariance`` does not count, and features are standardised before PCA only, as theirs.
        standardize: bring every feature to mean 0 and variance 1 over the training scans first. Shrinkage then pulls
            towards independent features, each with its own spread; an invertible empirical covariance gives the same
            distances either way. A feature that is constant over the training scans is left unscaled.
    """

    center_: Features
    whitening_: Features
    precision_: Features

    def __init__(
        self,
        covariance: Covariance = "ledoit_wolf",
        n_components: int | None = None,
        standardize: bool = True,
        woodland: bool = False,
    ) -> None:
        self.covariance = covariance
        self.n_components = n_components
        self.standardize = standardize
        self.woodland = woodland

    @property
    def saved(self) -> tuple[str, ...]:  # type: ignore[override]
        """The middle and the whitening, or the middle, the projection and the inverse covariance."""
        return ("center_", "whitening_", "precision_") if self.woodland else ("center_", "whitening_")

    def _fit(self, train_ND: Features) -> None:
        self._check_params()
        wide = train_ND.shape[1]
        if self.n_components is None and wide > WIDEST:
            raise ConfigError(
                f"a covariance of {wide} features is too large", repair="set n_components, for example to 32"
            )
        standardize = self.standardize and not (self.woodland and self.n_components is None)
        scaler = StandardScaler(with_std=standardize).fit(train_ND)
        scale_D = scaler.scale_ if standardize else np.ones(wide)
        self.center_ = np.asarray(scaler.mean_, dtype=np.float64)
        if self.n_components is not None:
            kept = min(self.n_components, len(train_ND) - 1, train_ND.shape[1])
            pca = PCA(kept, svd_solver="full").fit((train_ND - self.center_) / scale_D)
            to_space_DK = pca.components_.T / scale_D[:, None]
        else:
            to_space_DK = np.diag(1.0 / scale_D)
        # All steps are linear, so they fold into one matrix: scale, then project, then whiten.
        centred_NK = (train_ND - self.center_) @ to_space_DK
        if self.woodland:
            self.whitening_ = np.ascontiguousarray(to_space_DK)
            self.precision_ = _inverse(np.atleast_2d(np.cov(centred_NK, rowvar=False)))
        else:
            whitening_KK = _whitening(_covariance(centred_NK, self.covariance))
            self.whitening_ = np.ascontiguousarray(to_space_DK @ whitening_KK)

    def _score(self, features_ND: Features) -> Features:
        whitened = (features_ND - self.center_) @ self.whitening_
        if self.woodland:
            return np.asarray(np.sqrt(np.abs(((whitened @ self.precision_) * whitened).sum(axis=1))))
        return np.asarray(np.linalg.norm(whitened, axis=1))

    def _check_params(self) -> None:
        if self.covariance not in get_args(Covariance):
            raise ConfigError(
                f"covariance {self.covariance!r} is not known", repair=f"use one of: {', '.join(get_args(Covariance))}"
            )
        if self.n_components is not None and not is_count(self.n_components):
            raise ConfigError(f"n_components must be a whole number from 1 on or null, got {self.n_components!r}")


def _covariance(centred_NK: Features, kind: Covariance) -> Features:
    if kind == "ledoit_wolf":
        return np.asarray(LedoitWolf(assume_centered=True).fit(centred_NK).covariance_)
    return np.atleast_2d(np.cov(centred_NK, rowvar=False))


def _inverse(covariance_KK: Features) -> Features:
    try:
        return np.asarray(inv(covariance_KK))
    except np.linalg.LinAlgError as error:
        raise InputError(
            "the covariance of the training features cannot be inverted",
            repair="use covariance ledoit_wolf, or fewer n_components",
        ) from error


def _whitening(covariance_KK: Features) -> Features:
    """W with W W^T = the (pseudo-)inverse: eigenvectors over the roots of the eigenvalues that are not rounding."""
    values, vectors = eigh(covariance_KK)
    kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
    if not kept.any():
        raise InputError(
            "the features are the same for all training scans, so no spread can be learned",
            repair="check that the network's weights are trained and the training scans differ",
        )
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))
