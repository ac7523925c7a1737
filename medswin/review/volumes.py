"""The table of volumes: what was measured, and what makes a number unfit for use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from medswin.errors import InputError
from medswin.io.statistics import measure
from medswin.labels import Label
from medswin.prediction import Prediction
from medswin.review.edited import rejected_structures


@dataclass(frozen=True)
class VolumeRow:
    """One structure of one case.

    Attributes:
        label: the structure.
        volume_ml: volume in millilitres on the scan's own grid.
        voxels: how many voxels it holds.
        parts: how many pieces it falls into (voxels that touch by a face, edge or corner belong together).
        cut_off: True where it touches the edge of the scan, so that the true volume may be larger.
        rejected: True where a reviewer rejected it, so that it has no volume, whatever the scan shows.
    """

    label: Label
    volume_ml: float
    voxels: int
    parts: int
    cut_off: bool
    rejected: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know before using the volume."""
        if self.rejected:
            return ("rejected by the reviewer: no volume",)
        if self.voxels == 0:
            return ("not found in this scan",)
        notes = ["cut off at the scan edge: the true volume may be larger"] if self.cut_off else []
        if self.parts > 1:
            notes.append(f"in {self.parts} separate parts: check them")
        return tuple(notes)


def volume_rows(prediction: Prediction) -> tuple[VolumeRow, ...]:
    """One row for each structure of the label set, also for those that were not found."""
    rejected = rejected_structures(prediction)
    return tuple(
        VolumeRow(label, one.volume_ml, one.voxels, one.components, one.touches_edge, label.name in rejected)
        for label, one in zip(prediction.label_set, measure(prediction), strict=True)
    )


def significant(value: float, digits: int = 3) -> str:
    """A number >= 0 in plain decimals with so many significant figures: 3.1 -> "3.10", 1234.5 -> "1230", 0 -> "0".

    Raises:
        InputError: for a negative or non-finite value, or fewer than one digit.
    """
    if not math.isfinite(value) or value < 0 or digits < 1:
        raise InputError(f"significant figures need a finite value >= 0 and digits >= 1, got {value} and {digits}")
    if value == 0:
        return "0"
    exact = Decimal(value)  # as JavaScript rounds it, on the page
    step = Decimal(1).scaleb(exact.adjusted() - digits + 1)
    rounded = exact.quantize(step, rounding=ROUND_HALF_UP)
    # 9.996 rounds up to 10.00, one figure too many: the step must grow with it.
    if rounded.adjusted() > exact.adjusted():
        rounded = rounded.quantize(step.scaleb(1))
    return format(rounded, "f")
