"""The Dice that a segmentation can be expected to have, with an interval, where there is no reference."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from medswin.errors import InputError
from medswin.ood.contract import Features

STEEPNESS = (0.1, 1.0, 10.0, 100.0)  # of the penalty, tried on folds of people
FOLDS = 3
BEYOND = 4.0  # standard deviations: what lies farther off is taken to lie there, a line must not run away
COVERAGE = 0.9
LEAST_PEOPLE = 19  # 2 / (1 - COVERAGE) - 1: fewer cannot bound both ends
LEAST = 1e-3


@dataclass(frozen=True, eq=False)
class ExpectedDice:
    r"""A line from what the judge sees to the logit of the Dice, and an interval from held-out people.

    .. math:: \mathrm{logit}(D) = b + \sum_i w_i \tilde{x}_i

    with the numbers standardised and cut off at `BEYOND` standard deviations. It is learned on scans that the network
    did not learn from, as they are and degraded, since training scans say nothing about failures. The interval comes
    from the residuals of other people's scans (split-conformal, people weighing alike), as they are and degraded: of
    such a mixture of new people's scans 90 % have a Dice within it, on average over calibration sets. Nothing is
    promised for one kind of scan among them, or for scans unlike all of them.

    Attributes:
        center, scale, weights: (K,) of the numbers.
        intercept: b.
        low, high: what the interval adds to the logit.
        people: number of people whose scans the interval rests on.
    """

    center: Features
    scale: Features
    weights: Features
    intercept: float
    low: float
    high: float
    people: int

    @classmethod
    def fit(
        cls,
        told_NK: ArrayLike,
        dice_N: ArrayLike,
        people_N: Sequence[Hashable],
        held_out_MK: ArrayLike,
        held_out_dice_M: ArrayLike,
        held_out_people: Sequence[Hashable],
    ) -> ExpectedDice:
        """Learn from scans with a known Dice.

        Args:
            told_NK: what the judge sees of each scan, see `Judge.summary`.
            dice_N: mean Dice of each scan's structures.
            people_N: the person of each scan.
            held_out_MK, held_out_dice_M, held_out_people: of scans of other people, for the interval.

        Raises:
            InputError: for fewer than three people to learn from, or than 19 held out: nine in ten is no claim then.
        """
        told, held_out = np.asarray(told_NK, dtype=np.float64), np.asarray(held_out_MK, dtype=np.float64)
        learners, others = len(set(people_N)), len(set(held_out_people))
        if learners < FOLDS or others < LEAST_PEOPLE:
            raise InputError(
                f"an expected Dice needs {FOLDS} people to learn from and {LEAST_PEOPLE} held out, got {learners} and "
                f"{others}",
                repair="validate and calibrate on more people, or set ood.degraded to 0",
            )
        scaler = StandardScaler().fit(told)
        folds = list(GroupKFold(FOLDS).split(told, groups=[str(person) for person in people_N]))
        model = RidgeCV(alphas=STEEPNESS, cv=folds).fit(_cut(scaler.transform(told)), logit(dice_N))
        found = cls(scaler.mean_, scaler.scale_, model.coef_, float(model.intercept_), 0.0, 0.0, 0)
        residuals = logit(held_out_dice_M) - found._logit(held_out)
        low, high = interval(residuals, held_out_people)
        people = len(set(held_out_people))
        return cls(found.center, found.scale, found.weights, found.intercept, low, high, people)

    def __call__(self, told_K: ArrayLike) -> tuple[float, float, float]:
        """Expected Dice of one scan, and the interval's ends."""
        middle = float(self._logit(np.asarray(told_K, dtype=np.float64)[None])[0])
        expected, low, high = (
            1 / (1 + math.exp(-min(max(middle + add, -30), 30))) for add in (0.0, self.low, self.high)
        )
        return expected, min(low, expected), max(high, expected)

    def _logit(self, told_NK: Features) -> Features:
        return np.asarray(_cut((told_NK - self.center) / self.scale) @ self.weights + self.intercept)

    def to_parts(self) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
        """As JSON and arrays."""
        row = {"intercept": self.intercept, "low": self.low, "high": self.high, "people": self.people}
        return row, {"center": self.center, "scale": self.scale, "weights": self.weights}

    @classmethod
    def from_parts(cls, row: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> ExpectedDice:
        """What `to_parts` gave."""
        center, scale, weights = (arrays[key] for key in ("center", "scale", "weights"))
        intercept, low, high = (float(row[key]) for key in ("intercept", "low", "high"))
        return cls(center, scale, weights, intercept, low, high, int(row["people"]))


def logit(dice: ArrayLike) -> Features:
    """log(D / (1 - D)), with D kept off 0 and 1."""
    kept = np.clip(np.asarray(dice, dtype=np.float64), LEAST, 1 - LEAST)
    return np.asarray(np.log(kept / (1 - kept)))


def interval(residuals_M: Features, people: Sequence[Hashable]) -> tuple[float, float]:
    """Ends between which a new person's residual lies with probability `COVERAGE`, a person's scans sharing one weight.

    An end may be chosen while what lies beyond it, and the new person, weigh no more than the tail.
    """
    counts = Counter(people)
    weights = np.array([1 / counts[person] for person in people]) / (len(counts) + 1)
    order = np.argsort(residuals_M, kind="stable")
    ends, weights = np.asarray(residuals_M)[order], weights[order]
    allowed = (1 - COVERAGE) / 2 - 1 / (len(counts) + 1) + 1e-9
    below = np.cumsum(weights) - weights
    above = np.cumsum(weights[::-1]) - weights[::-1]
    low = ends[max(int((below <= allowed).sum()) - 1, 0)]
    high = ends[::-1][max(int((above <= allowed).sum()) - 1, 0)]
    return float(min(low, 0.0)), float(max(high, 0.0))


def _cut(standardised: Features) -> Features:
    return np.asarray(np.clip(standardised, -BEYOND, BEYOND))
