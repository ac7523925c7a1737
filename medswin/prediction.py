"""Prediction: what inference hands to review, as plain arrays and words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.findings import Finding, oriented
from medswin.labels import LabelSet

Verdict = Literal["accept", "review", "reject", "not checked"]


@dataclass(frozen=True)
class OODResult:
    """How unusual a scan is, beside held-out people on whom the limits were set.

    Attributes:
        verdict: ``"accept"``, ``"review"``, ``"reject"`` or ``"not checked"`` (the model brings no detector).
        score: higher = more unusual; no unit.
        limit: the score above which a scan is not accepted; NaN where no scan is.
        p_value: share of calibration people at least as unusual, counting this scan among them; in (0, 1].
        people: number of people that the limit was set on. No claim finer than 1 / (people + 1) is made.
        false_alarm_rate: share of scans like the training scans that will not be accepted.
        reasons: sentences in plain words: where the scan stands among those people, and where it is not accepted, what
            is unusual and what to do, in this order.
        parts: score of each detector by its name.
        expected_dice: the mean Dice that the structures are expected to have, and the ends of an interval that holds
            it for nine in ten scans of a mixture of usual and degraded ones of new people, on average over
            calibrations; no promise for one kind of scan among them. None where the model cannot tell, and on rejected
            scans, where it would be extrapolation.
    """

    verdict: Verdict
    score: float = float("nan")
    limit: float = float("nan")
    p_value: float = float("nan")
    people: int = 0
    false_alarm_rate: float = float("nan")
    reasons: tuple[str, ...] = ()
    parts: dict[str, float] = field(default_factory=dict)
    expected_dice: tuple[float, float, float] | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON, which has neither NaN nor infinity: a number that was not computed, or has no end, is null."""
        row = {key: _null(value) for key, value in asdict(self).items()}
        return row | {"parts": {name: _null(score) for name, score in self.parts.items()}}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> OODResult:
        """The result that `to_json` gave; null becomes NaN."""
        found: dict[str, Any] = {key: math.nan if value is None else value for key, value in row.items()}
        parts = {name: math.nan if score is None else score for name, score in row["parts"].items()}
        dice = row.get("expected_dice")
        found |= {"parts": parts, "reasons": tuple(row["reasons"]), "expected_dice": tuple(dice) if dice else None}
        return cls(**found)


@dataclass(frozen=True)
class Prediction:
    """A segmented scan.

    Attributes:
        case: name of the case, without folder and suffix.
        labels: (X, Y, Z) uint8 label map on the scan's own grid.
        affine: (4, 4) voxel index -> RAS+ position in mm, the scan's own.
        label_set: names, colours and codes of the values in ``labels``.
        ood: the verdict on the scan.
        findings: what was noticed while reading and preparing the scan.
        provenance: model name, version and package id, medswin version, settings, date (UTC), seconds.
        region: first voxel and the one after the last, per axis, of the part that was looked at; None for all.
    """

    case: str
    labels: NDArray[np.uint8]
    affine: NDArray[np.float64]
    label_set: LabelSet
    ood: OODResult
    findings: tuple[Finding, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)
    region: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self) -> None:
        if self.labels.ndim != 3 or np.shape(self.affine) != (4, 4):
            raise InputError(
                f"a prediction needs (X, Y, Z) labels and a (4, 4) affine, got {self.labels.shape} and "
                f"{np.shape(self.affine)}",
                where=self.case,
            )

    @property
    def oriented(self) -> bool:
        """Whether the scan says which way it lies, so that left and right can be told."""
        return oriented(self.findings)

    @property
    def voxel_volume_mm3(self) -> float:
        """Volume of one voxel: the absolute determinant of the affine's 3x3 part."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def volumes_ml(self) -> dict[str, float]:
        """Volume of each structure in millilitres (1 ml = 1000 mm3), counted on the scan's own grid."""
        counts = np.zeros(256, dtype=np.int64)
        for part in self.labels:  # bincount widens what it counts
            counts += np.bincount(part.ravel(), minlength=256)
        return {label.name: counts[label.value] * self.voxel_volume_mm3 / 1000.0 for label in self.label_set}

    @property
    def cut_off(self) -> tuple[str, ...]:
        """Names of the structures that touch the edge of what was looked at, so that their volume may be too small."""
        part = self.labels
        if self.region is not None:
            part = part[tuple(slice(first, stop) for first, stop in self.region)]
        edge = np.unique(np.concatenate([f.ravel() for axis in range(3) for f in _faces(part, axis)]))
        return tuple(label.name for label in self.label_set if label.value in edge)


def _null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _faces(labels: NDArray[np.uint8], axis: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    across = np.moveaxis(labels, axis, 0)
    return across[0], across[-1]
