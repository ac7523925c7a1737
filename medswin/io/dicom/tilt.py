"""Slices tilted against the line on which they lie (gantry tilt), shifted in their planes onto a straight grid.

With u and v the steps of a voxel along a row and a column, n the normal and w the step from slice to slice,
w = a u + b v + h n: slice k lies k a columns and k b rows away from where it lay on a straight grid of distance h.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.grid import sizes
from medswin.io.header import MAX_VOXELS

_WHOLE = 1e-6  # part of a voxel that is none
_STILL = 0.05  # share of a voxel by which all slices together may lie aside and are not moved


def straightened(
    image_XYZ: NDArray[np.float32], affine: NDArray[np.float64], where: str
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """A tilted stack on a straight grid, by linear interpolation along rows and columns; slices stay slices.

    The grid is wide enough for all slices; what lies beside one takes the lowest value of the image.

    Args:
        image_XYZ: slices along Z.
        affine: (4, 4) voxel index -> RAS+ mm, its third axis not along the normal of the first two.
        where: the series' name, for errors.

    Returns:
        The image, and its affine with the third axis along the normal.

    Raises:
        InputError: if the straight grid has more than `MAX_VOXELS`.
    """
    columns, rows, step = affine[:3, 0], affine[:3, 1], affine[:3, 2]
    normal = np.cross(columns, rows)
    normal *= np.sign(normal @ step) / np.linalg.norm(normal)
    a, b, height = np.linalg.solve(np.stack([columns, rows, normal], axis=1), step)
    slices = np.arange(image_XYZ.shape[2])
    shifts, margins = zip(*(_inside(slices * each) for each in (a, b)), strict=True)
    shape = tuple(n + math.ceil(shift.max()) for n, shift in zip(image_XYZ.shape, shifts, strict=False))
    if math.prod(shape) * len(slices) > MAX_VOXELS:
        raise InputError(
            f"on a straight grid it has {sizes((*shape, len(slices)))} voxels, at most {MAX_VOXELS} can be used",
            where=where,
            repair="have the scanner or the archive correct the tilt",
        )
    straight = np.empty((*shape, len(slices)), dtype=np.float32)
    lowest = image_XYZ.min()
    for k in slices:
        wide = _moved(image_XYZ[..., k], shifts[0][k], shape[0], lowest)
        straight[..., k] = _moved(wide.T, shifts[1][k], shape[1], lowest).T
    placed = affine.copy()
    placed[:3, 2] = height * normal
    placed[:3, 3] -= margins[0] * columns + margins[1] * rows
    return straight, placed


def _inside(shifts: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Shifts with a margin that makes them all positive, and that margin."""
    if np.abs(shifts).max() < _STILL:
        return np.zeros_like(shifts), 0
    margin = math.ceil(max(0.0, -shifts.min()))
    return shifts + margin, margin


def _moved(plane: NDArray[np.float32], shift: float, length: int, lowest: np.float32) -> NDArray[np.float32]:
    """``out[i] = plane[i - shift]`` along the first axis of length ``length``, ``lowest`` outside."""
    whole, n = math.floor(shift + _WHOLE), len(plane)
    part = np.float32(shift - whole)
    out = np.full((length, *plane.shape[1:]), lowest, dtype=np.float32)
    if part < _WHOLE:
        out[whole : whole + n] = plane
    else:
        out[whole + 1 : whole + n] = (1 - part) * plane[1:] + part * plane[:-1]
    return out
