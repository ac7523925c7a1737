"""Detectors on one scale: what their scores mean beside those of training scans they have not seen."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from medswin.errors import ConfigError, InputError
from medswin.ood.contract import ArrayDict, Features, OODDetector
from medswin.ood.detectors import DETECTORS, build
from medswin.ood.view import Layout, columns

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

    Attributes:
        name: of the detector in the registry.
        detector: fitted on all training scans.
        reads: the parts of a scan's row that it sees.
        unseen: (N,) scores of the training scans as unseen ones, ascending.
    """

    name: str
    detector: OODDetector
    reads: tuple[str, ...]
    unseen: Features

    @property
    def spec(self) -> dict[str, Any]:
        """What it was fitted by."""
        return {"name": self.name, "params": self.detector.params, "reads": list(self.reads)}

    @cached_property
    def center(self) -> float:
        """Median of the scores of unseen training scans."""
        return float(np.quantile(self.unseen, 0.5))

    @cached_property
    def spread(self) -> float:
        """From there to their 95 % quantile."""
        least = max(abs(self.center), 1.0) * 1e-9
        return max(float(np.quantile(self.unseen, TAIL)) - self.center, least)

    def score(self, row_D: Features, layout: Layout) -> float:
        """Scaled score of one scan, at most `CAP`; higher = more unusual. Errors as of `OODDetector.score`."""
        # Always one row at a time: matrix products of other sizes differ in the last bits, and ties must be ties.
        with np.errstate(over="ignore", invalid="ignore"):
            raw = float(self.detector.score(columns(row_D[None], layout, self.reads))[0])
            scaled = (raw - self.center) / self.spread
        return CAP if np.isnan(scaled) else min(scaled, CAP)

    def surprise(self, scaled: float) -> float:
        """-log of the share of unseen training scans that score as high; beyond the highest it rises in a line.

        The line goes on as an exponential tail would, whose mean excess is that of the scores above the 80 % quantile.
        """
        raw, count = scaled * self.spread + self.center, len(self.unseen)
        top, start = float(self.unseen[-1]), float(np.quantile(self.unseen, 0.8))
        share = (1 + count - np.searchsorted(self.unseen, raw, side="left")) / (count + 1)
        excess = max(float((self.unseen[self.unseen >= start] - start).mean()), self.spread * 1e-3)
        return float(-np.log(min(share, 1.0)) + max(raw - top, 0.0) / excess)

    def to_parts(self) -> tuple[dict[str, Any], ArrayDict]:
        return self.spec, {**self.detector.state()[1], "unseen": self.unseen}

    @classmethod
    def from_parts(cls, row: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Scaled:
        DETECTORS.check(row["name"], row["params"])
        # The registry promises a constructor; only classes with `from_state` are registered.
        kind: Any = DETECTORS[row["name"]]
        return cls(row["name"], kind.from_state(row["params"], arrays), tuple(row["reads"]), arrays["unseen"])


def fit_scaled(spec: Spec, train_ND: Features, people: Sequence[Hashable], layout: Layout) -> Scaled:
    """Fit the detector that ``spec`` names on all training scans, and its scale on folds of their people.

    Args:
        spec: a registered name, or ``{"name": ..., "params": {...}, "reads": [...]}``; what it reads is the
            detector's own choice where nothing is said.
        train_ND: (N, D) rows of the training scans.
        people: the person of each training scan; a person's scans are never on both sides of a fold.
        layout: of the rows.

    Raises:
        ConfigError: if the name, a parameter or what it reads is unknown or out of range.
        InputError: for fewer than three people, or features that a detector cannot learn from.
    """
    name, params, reads = parsed(spec)
    table_ND = columns(train_ND, layout, reads)
    unseen = _unseen_scores(name, params, table_ND, people)
    return Scaled(name, build(name, **params).fit(table_ND), reads, np.sort(unseen))


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


def parsed(spec: Spec) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    """Name, parameters, and the parts of a row that the detector reads; raises ConfigError."""
    values: Mapping[str, Any] = {"name": spec} if isinstance(spec, str) else spec
    unknown = sorted(set(values) - {"name", "params", "reads"})
    if unknown or "name" not in values:
        rule = f"a detector is given by name, params and reads, got {sorted(values)}"
        raise ConfigError(rule, where="detectors")
    name, params = str(values["name"]), dict(values.get("params") or {})
    return name, params, tuple(values.get("reads") or build(name, **params).reads)


def to_tensors(arrays: ArrayDict, prefix: str) -> dict[str, torch.Tensor]:
    """Arrays as tensors that own their memory, under ``prefix.name``."""
    return {f"{prefix}.{name}": torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def from_tensors(tensors: Mapping[str, torch.Tensor], prefix: str) -> ArrayDict:
    """The arrays that `to_tensors` put under ``prefix``."""
    start = prefix + "."
    return {key.removeprefix(start): value.numpy() for key, value in tensors.items() if key.startswith(start)}
