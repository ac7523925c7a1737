"""Outlines of masks as closed polygons, between the centres of the voxels inside and outside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEWEST = 3
"""Points of a polygon."""


def outlines(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """The rings around a mask in one slice, those of its holes too: what lies within an odd number of rings is inside.

    A ring runs half-way between a voxel inside and one outside, and cuts the corners; so each ring loses half a voxel
    of area, and each hole gains one.

    Args:
        mask: (rows, columns).

    Returns:
        For each ring (points, 2) of row and column, in voxels from the centre of the first; points on a straight line
        are left out, and the first does not come again at the end.
    """
    from skimage.measure import find_contours

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    start = np.array([rows[0], columns[0]]) - 1
    rings = find_contours(np.pad(box, 1).astype(np.float32), 0.5)
    straightened = (_corners(ring[:-1]) + start for ring in rings)
    return [ring for ring in straightened if len(ring) >= FEWEST]


def area(rings: list[NDArray[np.float64]]) -> float:
    """Of what is inside, in voxels: rings of holes count against the others, as they run the other way round."""
    return abs(sum(_signed(ring) for ring in rings))


def _signed(ring: NDArray[np.float64]) -> float:
    (y, x), (next_y, next_x) = ring.T, np.roll(ring, -1, axis=0).T
    return float(np.sum(x * next_y - next_x * y) / 2)


def _corners(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points of a ring at which it turns."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns: NDArray[np.bool_] = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    return ring[turns]
