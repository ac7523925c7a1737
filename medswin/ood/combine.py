"""One score of several detectors'."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import numpy as np

from medswin.errors import ConfigError
from medswin.ood.scale import CAP, Scaled

Combine = Literal["max", "fisher"]


def combined(detectors: Sequence[Scaled], combine: Combine, scaled: Sequence[float]) -> float:
    """One score of a scan's scores on the common scale.

    ``"max"`` is the largest. ``"fisher"`` is the mean of -log p, with p the share of unseen training scans that score
    as high (`Scaled.surprise`; R. A. Fisher 1925), brought to the same scale: 0 at 1/2 and 1 at 1/20.
    """
    if combine == "max":
        return max(scaled)
    surprises = [part.surprise(score) for part, score in zip(detectors, scaled, strict=True)]
    return min((float(np.mean(surprises)) - math.log(2)) / math.log(10), CAP)


def check_combine(combine: Any) -> Combine:
    """Raise ConfigError for an unknown way."""
    if combine not in get_args(Combine):
        raise ConfigError(f"combine {combine!r} is not known", repair=f"use one of: {', '.join(get_args(Combine))}")
    checked: Combine = combine
    return checked
