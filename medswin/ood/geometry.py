"""The sizes of the training scans, in mm, and whether a new scan's size is anything like them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medswin.errors import InputError
from medswin.ood.appearance import AXES, SIZES
from medswin.ood.gloss import measured, span

Triple = tuple[float, float, float]
Geometry = Mapping[str, Sequence[float]]

FACTOR = 1.5
"""A size is unlike below the smallest training value over this, or above the largest one times this."""

_SPACING, _FOV = SIZES
_TOO_LARGE = "cut out the region that the model was made for, and use that part alone"
_TOO_SMALL = "use a scan that shows the whole region that the model was made for"


@dataclass(frozen=True)
class Unlike:
    """A size that is unlike all training scans'.

    Attributes:
        what: the size, as `medswin.ood.appearance` calls it.
        words: its value and what the training scans had.
        repair: what to do about it.
    """

    what: str
    words: str
    repair: str


@dataclass(frozen=True)
class Range:
    """Smallest and largest value per axis, R, A, S."""

    low: Triple
    high: Triple

    @classmethod
    def of(cls, rows: Sequence[Triple]) -> Range:
        axes = list(zip(*rows, strict=True))
        return cls(_triple(map(min, axes)), _triple(map(max, axes)))

    def too_large(self, values: Triple, factor: float) -> bool:
        return any(value > high * factor for value, high in zip(values, self.high, strict=True))

    def outside(self, values: Triple, factor: float) -> list[int]:
        """Axes along which a value is too small or too large."""
        ends = zip(values, self.low, self.high, strict=True)
        return [axis for axis, (value, low, high) in enumerate(ends) if value * factor < low or value > high * factor]

    def text(self) -> str:
        """For people: ``"31-43 x 40-58 x 24-47 mm"``; a single number where both ends read alike."""
        pairs = [(number(low), number(high)) for low, high in zip(self.low, self.high, strict=True)]
        return " x ".join(low if low == high else f"{low}-{high}" for low, high in pairs) + " mm"


@dataclass(frozen=True)
class GeometryRange:
    """Field of view and voxel spacing of the training scans.

    The factor is generous, as the training set need not hold the smallest and the largest scan that the model works
    on; it is a rule of thumb and no probability.
    """

    fov_mm: Range
    spacing_mm: Range
    factor: float = FACTOR

    @classmethod
    def fit(cls, geometries: Sequence[Geometry], factor: float = FACTOR) -> GeometryRange:
        """Learn from ``{"fov_mm": (x, y, z), "spacing_mm": (x, y, z)}`` of each training scan, per RAS axis.

        Raises:
            InputError: without a scan, or where a size is missing, not finite or not positive.
        """
        if len(geometries) == 0:
            raise InputError("no training scan to learn sizes from", repair="give the geometry of the training scans")
        fovs, spacings = zip(*map(sizes, geometries), strict=True)
        return cls(Range.of(fovs), Range.of(spacings), factor)

    def widened(self, geometries: Sequence[Geometry]) -> GeometryRange:
        """With the sizes of more scans; errors as of `fit`."""
        return GeometryRange.fit([*self.corners, *geometries], self.factor)

    @property
    def corners(self) -> list[dict[str, Triple]]:
        """The smallest and the largest sizes, as if they were two scans'."""
        ends = ((self.fov_mm.low, self.spacing_mm.low), (self.fov_mm.high, self.spacing_mm.high))
        return [{"fov_mm": fov, "spacing_mm": spacing} for fov, spacing in ends]

    def unlike(self, geometry: Geometry) -> tuple[Unlike, ...]:
        """What is unlike the training scans, in words and with the repair; empty if nothing is.

        Raises:
            InputError: where a size is missing, not finite or not positive.
        """
        fov, spacing = sizes(geometry)
        found = []
        if self.fov_mm.outside(fov, self.factor):
            repair = _TOO_LARGE if self.fov_mm.too_large(fov, self.factor) else _TOO_SMALL
            found.append(Unlike(_FOV, self._told(_FOV, fov, self.fov_mm), repair))
        if self.spacing_mm.outside(spacing, self.factor):
            repair = f"use a scan with voxels of about {self.spacing_mm.text()}"
            found.append(Unlike(_SPACING, self._told(_SPACING, spacing, self.spacing_mm), repair))
        return tuple(found)

    def _told(self, what: str, values: Triple, known: Range) -> str:
        """Along the one axis where it is unlike; along all three where there are more."""
        axes = known.outside(values, self.factor)
        if len(axes) > 1:
            return f"{what} {_size(values)} (training {known.text()})"
        axis, name = axes[0], f"{what} {AXES[axes[0]]}, mm"
        return f"{measured(name, values[axis])} ({span(name, known.low[axis], known.high[axis])})"

    def to_json(self) -> dict[str, Any]:
        """``{"factor": 1.5, "fov_mm": [[low x, y, z], [high x, y, z]], "spacing_mm": ...}``."""
        return {"factor": self.factor} | {
            name: [list(values.low), list(values.high)]
            for name, values in (("fov_mm", self.fov_mm), ("spacing_mm", self.spacing_mm))
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> GeometryRange:
        fov, spacing = (Range(_triple(row[name][0]), _triple(row[name][1])) for name in ("fov_mm", "spacing_mm"))
        return cls(fov, spacing, float(row["factor"]))


def sizes(geometry: Geometry) -> tuple[Triple, Triple]:
    """Field of view and spacing of a scan, checked; see `GeometryRange.unlike` for the errors."""
    for name in ("fov_mm", "spacing_mm"):
        values = [float(value) for value in geometry.get(name, ())]
        if len(values) != 3 or not all(math.isfinite(value) and value > 0 for value in values):
            raise InputError(
                f"{name} must be three positive sizes in mm, got {values}", repair="repair the scan's header"
            )
    return _triple(geometry["fov_mm"]), _triple(geometry["spacing_mm"])


def number(value: float) -> str:
    """A size in mm as people write it: whole from 10 on, else two digits: ``"220"``, ``"5"``, ``"0.43"``."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _size(values: Triple) -> str:
    return " x ".join(map(number, values)) + " mm"


def _triple(values: Any) -> Triple:
    x, y, z = (float(value) for value in values)
    return x, y, z
