"""A scan on another grid, by positions in mm."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from medswin.io.grid import Grid
from medswin.io.scan import Scan

_EDGE = 0.5 + 1e-3  # voxels from the outermost centres to the edge of the field of view, and room for rounding
_SLAB = 8  # planes that are resampled at once


def resampled(scan: Scan, grid: Grid) -> tuple[NDArray[np.float32], float]:
    """The first channel of a scan on another grid, (X, Y, Z), by linear interpolation between positions in mm.

    Returns:
        The image, and the share of its voxels whose centres lie outside the scan's field of view (which ends half a
        voxel from the outermost centres); these take the scan's lowest value.
    """
    source, last = scan.image.as_tensor()[None, :1], np.array(scan.shape) - 1
    to_scan = np.linalg.inv(scan.grid.affine) @ grid.affine
    lowest, outside = float(source.min()), 0
    image = np.empty(grid.shape, dtype=np.float32)
    for x in range(0, grid.shape[0], _SLAB):
        index = _mapped(to_scan, range(x, min(x + _SLAB, grid.shape[0])), *map(range, grid.shape[1:]))
        beyond = ((index < -_EDGE) | (index > last + _EDGE)).any(axis=-1)
        unit = torch.from_numpy((index[..., ::-1] / last[::-1] * 2 - 1).astype(np.float32))  # -1 to 1, last axis first
        values = torch.nn.functional.grid_sample(source, unit[None], padding_mode="border", align_corners=True)
        image[x : x + _SLAB] = np.where(beyond, np.float32(lowest), values[0, 0].numpy())
        outside += int(beyond.sum())
    return image, outside / image.size


def _mapped(affine: NDArray[np.float64], *axes: range) -> NDArray[np.float64]:
    """(X, Y, Z, 3): where an affine takes each of the indices."""
    parts = [np.multiply.outer(np.array(axis), affine[:3, i]) for i, axis in enumerate(axes)]
    mapped: NDArray[np.float64] = parts[0][:, None, None] + parts[1][:, None] + parts[2] + affine[:3, 3]
    return mapped
