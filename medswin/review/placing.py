"""Label maps of other programs put back onto the grid of a case, where they lie on it voxel by voxel."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.grid import Grid

APART_MM = 1e-3
"""By how much a voxel may miss the one it stands for."""
_REPAIR = "save the label map on the grid of its case, without resampling"


def placed(
    labels_XYZ: NDArray[np.uint8],
    affine: NDArray[np.float64],
    grid: Grid,
    where: object,
    apart_mm: float = APART_MM,
) -> NDArray[np.uint8]:
    """A label map in the axes of a grid, whichever way its own axes run; what it does not cover is 0.

    Args:
        labels_XYZ: stored in any order and direction of axes.
        affine: (4, 4) voxel index -> RAS+ mm, of the labels.
        grid: to lie on.
        where: names the label map in errors.
        apart_mm: by how much a voxel may miss its place.

    Returns:
        (X, Y, Z) uint8 of the grid's shape.

    Raises:
        InputError: if its voxels are not voxels of the grid, or lie outside it.
    """
    order, signs, first = _axes(np.array(labels_XYZ.shape), affine, grid, where, apart_mm)
    turned = labels_XYZ.transpose(np.argsort(order))
    sides = [signs[list(order).index(axis)] for axis in range(3)]
    turned = turned[tuple(slice(None, None, side) for side in sides)]
    box = tuple(slice(start, start + length) for start, length in zip(first, turned.shape, strict=True))
    if any(part.start < 0 or part.stop > n for part, n in zip(box, grid.shape, strict=True)):
        raise InputError("reaches outside the grid of its case", where=where, repair=_REPAIR)
    if turned.shape == grid.shape:
        return np.asarray(turned)
    # In the order in which the labels lie in memory: across it, a copy takes many times as long.
    out = np.zeros(grid.shape, dtype=labels_XYZ.dtype, order="F" if abs(turned.strides[0]) == 1 else "C")
    out[box] = turned
    return out


def _axes(
    shape: NDArray[np.int64], affine: NDArray[np.float64], grid: Grid, where: object, apart_mm: float
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """For each axis of the labels the grid's axis and its direction; and the grid's voxel at their lowest corner."""
    across = np.linalg.solve(grid.affine, affine)
    order = tuple(int(axis) for axis in np.abs(across[:3, :3]).argmax(axis=0))
    whole = np.rint(across)
    signs = tuple(int(whole[axis, i]) for i, axis in enumerate(order))
    corners = np.array([(*corner, 1) for corner in product(*((0, n - 1) for n in shape))], dtype=np.float64).T
    off_mm = np.linalg.norm((grid.affine @ (across - whole) @ corners)[:3], axis=0).max()
    if len(set(order)) < 3 or set(map(abs, signs)) != {1} or np.abs(whole[:3, :3]).sum() != 3 or off_mm > apart_mm:
        raise InputError(
            f"its voxels are not those of its case (they lie up to {off_mm:.3g} mm off, at most {apart_mm:g} may be)",
            where=where,
            repair=_REPAIR,
        )
    ends = whole[:3] @ corners[:, [0, -1]]
    return order, signs, tuple(int(one) for one in ends.min(axis=1))
