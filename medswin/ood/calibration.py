"""From scores to p-values, by comparison with held-out people (split-conformal)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of scans of held-out people, beside which a new scan's score is ranked.

    What is promised: if the new scan's person is exchangeable with the calibration people (drawn in the same way, and
    none of them used to train or choose anything), a p-value is at most ``a`` with probability at most ``a``. The
    promise is marginal, that is on average over calibration sets and new scans; it is none for a certain kind of
    scan, nor for one calibration set. It says nothing about how many unlike scans are found.

    People rather than scans are exchangeable, so each person weighs 1, shared among their scans: the promise then
    holds for any one scan of a new person (Lee, Barber and Willett 2023, "Distribution-free inference with
    hierarchical data"). Scores that are equal count as at least as unusual.

    Attributes:
        scores: (M,) float64, ascending.
        weights: (M,) one over the number of scans of the score's person; they add up to ``people``.
        people: number of people.
    """

    scores: NDArray[np.float64]
    weights: NDArray[np.float64]
    people: int

    @classmethod
    def fit(cls, scores: NDArray[np.float64], people: Sequence[Hashable]) -> Calibration:
        """Calibrate on the scores of ``len(people)`` scans, ``people[i]`` being the person of scan i.

        Raises:
            InputError: without a scan, with another number of people than scores, or with a score that is NaN.
        """
        if len(scores) == 0 or len(scores) != len(people):
            raise InputError(
                f"calibration needs at least one scan, and the person of each: got {len(scores)} scores and "
                f"{len(people)} people",
                repair="hold people out of training for calibration",
            )
        if np.isnan(scores).any():
            raise InputError("a calibration score is NaN", repair="check the features of the calibration scans")
        scans = Counter(people)
        order = np.argsort(scores, kind="stable")
        weights = np.array([1.0 / scans[person] for person in people])
        return cls(np.asarray(scores, dtype=np.float64)[order], weights[order], len(scans))

    def as_unusual(self, score: float) -> float:
        """How many people are at least as unusual as ``score``, a person counting by the share of their scans."""
        return math.fsum(self.weights[self.scores >= score])

    def scans_as_unusual(self, score: float) -> int:
        """How many of their scans are."""
        return int((self.scores >= score).sum())

    def p_value(self, score: float) -> float:
        """(1 + people at least as unusual) / (people + 1): in [1 / (people + 1), 1], small = unusual.

        No claim finer than 1 / (people + 1) can be made, however unusual a scan is.
        """
        return (1.0 + self.as_unusual(score)) / (self.people + 1)

    def limit(self, rate: float) -> float:
        """The largest calibration score whose p-value is above ``rate``: scans up to it are accepted."""
        from_top = np.cumsum(self.weights[::-1])[::-1]
        first_equal = np.searchsorted(self.scores, self.scores, side="left")
        # a hair of rounding must not tell: at the border `p_value` decides
        likely = np.flatnonzero((1 + from_top[first_equal]) / (self.people + 1) > rate - 1e-9)[::-1]
        found = next((i for i in likely if self.p_value(float(self.scores[i])) > rate), None)
        return -math.inf if found is None else float(self.scores[found])

    @property
    def middle(self) -> float:
        """Median score, people weighing alike: the first score with half of the people at or below it."""
        half = np.searchsorted(np.cumsum(self.weights), self.people / 2 - 1e-9)
        return float(self.scores[min(int(half), len(self.scores) - 1)])
