"""Boxes: the part of a scan that a model is to look at, in voxels or in mm."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product

import numpy as np
from monai.data import MetaTensor
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.scan import Scan, check_intensities

_SPAN = r"\s*(-?\d+(?:\.\d+)?)?\s*:\s*(-?\d+(?:\.\d+)?)?\s*"
_TEXT = re.compile(rf"{_SPAN},{_SPAN},{_SPAN}(mm)?\s*")
_REPAIR = "write it as x0:x1,y0:y1,z0:z1 in voxels, or with mm at its end in RAS mm, for example -47:-7,-52:4,-33:11mm"
_SLACK = 1e-6  # of a voxel: a centre that lies on the box's face belongs to it, whatever the rounding

Slices = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Box:
    """Three spans, one per axis.

    Attributes:
        text: as it was written.
        lows, highs: ends of the spans; infinite where left open.
        mm: whether they are positions in RAS mm; else voxel indices of the array as stored, from 0, the upper end
            excluded.
    """

    text: str
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    mm: bool

    @classmethod
    def parse(cls, text: str) -> Box:
        """Read ``x0:x1,y0:y1,z0:z1`` (voxels) or ``...mm`` (RAS mm); an end that is left out is that of the scan.

        Raises:
            InputError: for other text, an end below its start, or voxels that are negative or not whole.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise InputError(f"cannot be read as a box: {text!r}", where="box", repair=_REPAIR)
        *ends, unit = match.groups()
        lows = tuple(float(end) if end else -np.inf for end in ends[::2])
        highs = tuple(float(end) if end else np.inf for end in ends[1::2])
        if any(low >= high for low, high in zip(lows, highs, strict=True)):
            raise InputError(f"an end must lie above its start, got {text!r}", where="box", repair=_REPAIR)
        whole = all(end is None or re.fullmatch(r"\d+", end) for end in ends)
        if not unit and not whole:
            raise InputError(f"voxels are whole numbers from 0, got {text!r}", where="box", repair=_REPAIR)
        return cls(text.strip(), lows, highs, bool(unit))

    def slices(self, scan: Scan) -> Slices:
        """The part of the scan's array that holds the box: all voxels whose centres lie in it.

        On an oblique scan, the smallest part of the array that holds these. What reaches beyond the scan is cut off.

        Raises:
            InputError: if less than two voxels along an axis are left.
        """
        lows, highs = self._in_voxels(scan) if self.mm else (np.array(self.lows), np.array(self.highs))
        first, stop = (np.clip(ends, 0, scan.shape).astype(int) for ends in (lows, highs))
        if (stop - first < 2).any():
            where = scan.path or scan.case
            extent = _extent(scan) if self.mm else "0:{},0:{},0:{}".format(*scan.shape)
            raise InputError(
                f"the box {self.text} holds less than two voxels along an axis",
                where=where,
                repair=f"the scan is {extent}",
            )
        x, y, z = (slice(int(a), int(b)) for a, b in zip(first, stop, strict=True))
        return x, y, z

    def _in_voxels(self, scan: Scan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low_mm, high_mm = _corners_mm(scan)
        spans = zip(np.maximum(self.lows, low_mm), np.minimum(self.highs, high_mm), strict=True)
        corners = np.array([(*corner, 1.0) for corner in product(*spans)])
        voxels = np.linalg.solve(scan.grid.affine, corners.T)[:3]
        return np.ceil(voxels.min(1) - _SLACK), np.floor(voxels.max(1) + _SLACK) + 1


def cropped(scan: Scan, part: Slices) -> Scan:
    """The part of a scan as a scan of its own, at the same place in the world.

    Raises:
        InputError: if the part is the same everywhere.
    """
    affine = scan.image.affine.clone()
    first = affine.new_tensor([*(axis.start for axis in part), 1.0])
    affine[:3, 3] = (affine @ first)[:3]
    image = scan.image.as_tensor()[(slice(None), *part)].contiguous()
    check_intensities(image.numpy(), f"{scan.path or scan.case}, box")
    return Scan(scan.case, MetaTensor(image, affine=affine), scan.findings, scan.path)


def _corners_mm(scan: Scan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    corners = np.array([(*corner, 1.0) for corner in product(*((-0.5, n - 0.5) for n in scan.shape))])
    places = (scan.grid.affine @ corners.T)[:3]
    return places.min(1), places.max(1)


def _extent(scan: Scan) -> str:
    return ",".join(f"{low:.0f}:{high:.0f}" for low, high in zip(*_corners_mm(scan), strict=True)) + "mm"
