"""The one number that lies farthest outside of what the training scans had."""

from __future__ import annotations

import numpy as np

from medswin.ood.contract import Features, OODDetector

WIDTH = 1.644854  # standard deviations of a normal distribution from its middle to its 95 % quantile
LEAST = 0.02  # of a number's own size: so finely it was the same for all training scans, and so much may it differ


class Ranges(OODDetector):
    r"""Largest distance of any number from its middle, in units of its spread. Higher = more unusual.

    .. math:: s(x) = \max_i |x_i - m_i| / w_i

    with m the median over the training scans and w the distance from it to the 5 % or the 95 % quantile, whichever
    lies on x's side, brought to the standard deviation of a normal distribution; w is no less than the standard
    deviation itself, or a fiftieth of the number's own size where it hardly varies. Meant for few numbers that people
    can read: sizes, intensities, volumes.
    """

    saved = ("middle_", "below_", "above_")
    reads = ("appearance",)
    middle_: Features
    below_: Features
    above_: Features

    def _fit(self, train_ND: Features) -> None:
        low, self.middle_, high = np.quantile(train_ND, (0.05, 0.5, 0.95), axis=0)
        least = np.maximum(train_ND.std(axis=0), np.maximum(LEAST * np.abs(self.middle_), 1e-6))
        self.below_ = np.maximum((self.middle_ - low) / WIDTH, least)
        self.above_ = np.maximum((high - self.middle_) / WIDTH, least)

    def distances(self, features_ND: Features) -> Features:
        """(N, D) distance of each number from its middle, in units of its spread."""
        away = features_ND - self.middle_
        return np.asarray(np.where(away < 0, -away / self.below_, away / self.above_))

    def _score(self, features_ND: Features) -> Features:
        return np.asarray(self.distances(features_ND).max(axis=1, initial=0.0))
