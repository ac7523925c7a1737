"""How sure a mean is: a bootstrap over people, since scans of one person are not independent."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike


def mean_interval(
    values: ArrayLike, people: Sequence[Hashable], *, level: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean over scans, with whole people drawn anew (Efron & Tibshirani 1993).

    Args:
        values: (N,) one value per scan.
        people: the person of each scan.
        level: share of the draws' means that lie inside.
        draws: number of draws; the same seed gives the same interval.
        seed: of numpy's default generator.

    Returns:
        (low, high), or None for fewer than two people, of whom no spread can be learned.
    """
    array = np.asarray(values, dtype=np.float64)
    groups = np.unique([str(person) for person in people], return_inverse=True)[1]
    count = int(groups.max(initial=-1)) + 1
    if count < 2:
        return None
    sums, scans = np.bincount(groups, array), np.bincount(groups)
    drawn = np.random.default_rng(seed).integers(count, size=(draws, count))
    means = sums[drawn].sum(axis=1) / scans[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
