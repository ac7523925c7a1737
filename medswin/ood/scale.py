"""Detectors on one scale: what their scores mean beside those of training scans they have not seen."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from medswin.errors import ConfigError, InputError
from medswin.ood.contract import ArrayDict, Features, OODDetector
from medswin.ood.detectors import DETECTORS, build

FOLDS = 5
TAIL = 0.95
CAP = 1e5
"""Scaled scores end here, so that overflow in a detector cannot become infinite or NaN."""

Spec = str | Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Scaled:
    """A fitted detector and the scale that makes its scores comparable with another's.

    0 is the median and 1 the 95 % quantile of the training scans' scores, each scored by a detector that was fitted
    without that scan's person (five folds of people). The scale uses training people alone, so that calibration
    people stay exchangeable with new ones. It aligns the detectors where alarms are decided; it is no probability.
    """

    name: str
    detector: OODDetector
    center: float
    spread: float

    def score(self, feature_D: Features) -> float:
        """Scaled score of one scan, at most `CAP`; higher = more unusual. Errors as of `OODDetector.score`."""
        # Always one row at a time: matrix products of other sizes differ in the last bits, and ties must be ties.
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (float(self.detector.score(feature_D[None])[0]) - self.center) / self.spread
        return CAP if np.isnan(scaled) else min(scaled, CAP)

    def to_parts(self) -> tuple[dict[str, Any], ArrayDict]:
        params, arrays = self.detector.state()
        return {"name": self.name, "params": params, "center": self.center, "spread": self.spread}, arrays

    @classmethod
    def from_parts(cls, row: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Scaled:
        DETECTORS.check(row["name"], row["params"])
        # The registry promises a constructor; only classes with `from_state` are registered.
        kind: Any = DETECTORS[row["name"]]
        return cls(row["name"], kind.from_state(row["params"], arrays), float(row["center"]), float(row["spread"]))


def fit_scaled(spec: Spec, train_ND: Features, people: Sequence[Hashable]) -> Scaled:
    """Fit the detector that ``spec`` names on all training scans, and its scale on folds of their people.

    Args:
        spec: a registered name, or ``{"name": ..., "params": {...}}``.
        train_ND: (N, D) features of the training scans.
        people: the person of each training scan; a person's scans are never on both sides of a fold.

    Raises:
        ConfigError: if the name or a parameter is unknown or out of range.
        InputError: for fewer than three people, or features that a detector cannot learn from.
    """
    name, params = _parsed(spec)
    unseen = _unseen_scores(name, params, train_ND, people)
    center, tail = (float(value) for value in np.quantile(unseen, (0.5, TAIL)))
    spread = tail - center
    least = max(abs(center), 1.0) * 1e-9
    return Scaled(name, build(name, **params).fit(train_ND), center, max(spread, least))


def _unseen_scores(name: str, params: dict[str, Any], train_ND: Features, people: Sequence[Hashable]) -> Features:
    groups = np.unique([str(person) for person in people], return_inverse=True)[1]
    count = int(groups.max()) + 1
    if count < 3:
        raise InputError(
            f"the detectors need scans of at least 3 training people, got {count}", repair="train on more people"
        )
    scores = np.empty(len(train_ND))
    for rest, held_out in GroupKFold(min(FOLDS, count)).split(train_ND, groups=groups):
        scores[held_out] = build(name, **params).fit(train_ND[rest]).score(train_ND[held_out])
    return scores


def _parsed(spec: Spec) -> tuple[str, dict[str, Any]]:
    if isinstance(spec, str):
        return spec, {}
    unknown = sorted(set(spec) - {"name", "params"})
    if unknown or "name" not in spec:
        raise ConfigError(f"a detector is given by name and params, got {sorted(spec)}", where="detectors")
    return str(spec["name"]), dict(spec.get("params") or {})


def to_tensors(arrays: ArrayDict, prefix: str) -> dict[str, torch.Tensor]:
    """Arrays as tensors that own their memory, under ``prefix.name``."""
    return {f"{prefix}.{name}": torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def from_tensors(tensors: Mapping[str, torch.Tensor], prefix: str) -> ArrayDict:
    """The arrays that `to_tensors` put under ``prefix``."""
    start = prefix + "."
    return {key.removeprefix(start): value.numpy() for key, value in tensors.items() if key.startswith(start)}
