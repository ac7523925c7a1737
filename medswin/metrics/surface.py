"""How far apart the surfaces of two masks are, in mm. Empty masks are counted, never dropped.

A voxel of a mask is on its surface if one of its six face neighbours is not in the mask; beyond the field of view
nothing is. Distances run between centres of voxels (scipy's exact Euclidean distance transform).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import binary_erosion, distance_transform_edt

from medswin.errors import InputError, ShapeError
from medswin.metrics.overlap import Mask, as_masks

Distances = NDArray[np.float64]

# Spacings from an affine are off by rounding: a voxel of 1.0000001 mm is within a tolerance of 1 mm.
_ROUNDING = 1e-5


def nsd(pred: ArrayLike, label: ArrayLike, spacing_mm: Sequence[float], tolerance_mm: float = 1.0) -> float:
    """Normalised surface Dice: share of both surfaces' voxels that lie within a tolerance of the other surface.

    Source: Nikolov et al. 2021 (arXiv 1809.04430), with surface voxels counted rather than weighed by area.

    Args:
        pred: (X, Y, Z) mask; anything but 0 belongs to it.
        label: (X, Y, Z) mask.
        spacing_mm: size of a voxel along X, Y, Z.
        tolerance_mm: distance in mm that still counts as the same surface, at least 0.

    Returns:
        A value in [0, 1], 1 = best; 0 if one mask is empty, 1 if both are.

    Raises:
        ShapeError: if the masks are not 3D or their shapes differ.
        InputError: if a spacing is not positive, or the tolerance negative.
    """
    return surface_scores(pred, label, spacing_mm, tolerance_mm)[0]


def hd95_mm(pred: ArrayLike, label: ArrayLike, spacing_mm: Sequence[float]) -> float:
    """95 % Hausdorff distance in mm: the larger of the two directions' 95 % quantiles of surface distances.

    Args:
        pred: (X, Y, Z) mask; anything but 0 belongs to it.
        label: (X, Y, Z) mask.
        spacing_mm: size of a voxel along X, Y, Z.

    Returns:
        A distance, 0 = best; the diagonal of the field of view if one mask is empty, 0 if both are.

    Raises:
        ShapeError: if the masks are not 3D or their shapes differ.
        InputError: if a spacing is not positive.
    """
    return surface_scores(pred, label, spacing_mm)[1]


def surface_scores(
    pred: ArrayLike, label: ArrayLike, spacing_mm: Sequence[float], tolerance_mm: float = 1.0
) -> tuple[float, float]:
    """`nsd` and `hd95_mm` together, at the cost of one."""
    p, y = as_masks(pred, label)
    _check(p, spacing_mm, tolerance_mm)
    if not p.any() and not y.any():
        return 1.0, 0.0
    if not p.any() or not y.any():
        return 0.0, diagonal_mm(p.shape, spacing_mm)
    to_label, to_pred = surface_distances(p, y, spacing_mm)
    near = tolerance_mm * (1 + _ROUNDING)
    within = int((to_label <= near).sum()) + int((to_pred <= near).sum())
    farthest = max(float(np.quantile(to_label, 0.95)), float(np.quantile(to_pred, 0.95)))
    return within / (len(to_label) + len(to_pred)), farthest


def surface_distances(pred: Mask, label: Mask, spacing_mm: Sequence[float]) -> tuple[Distances, Distances]:
    """Distance in mm from each surface voxel of one mask to the other's surface: (pred to label, label to pred).

    Both masks must hold something.
    """
    box = _bounding_box(pred | label)
    p, y = _surface(pred[box]), _surface(label[box])
    to_label = distance_transform_edt(~y, sampling=spacing_mm)[p]
    to_pred = distance_transform_edt(~p, sampling=spacing_mm)[y]
    return to_label, to_pred


def diagonal_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """Diagonal of a field of view: no two points in it are farther apart."""
    return math.hypot(*(n * size for n, size in zip(shape, spacing_mm, strict=True)))


def _surface(mask: Mask) -> Mask:
    return np.asarray(mask & ~binary_erosion(mask))


def _bounding_box(mask: Mask) -> tuple[slice, ...]:
    lines = (mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis)) for axis in range(mask.ndim))
    return tuple(slice(int(found[0]), int(found[-1]) + 1) for found in map(np.flatnonzero, lines))


def _check(mask: Mask, spacing_mm: Sequence[float], tolerance_mm: float) -> None:
    if mask.ndim != 3:
        raise ShapeError(f"surface distances need 3D masks, got the shape {mask.shape}")
    if len(spacing_mm) != 3 or not all(math.isfinite(size) and size > 0 for size in spacing_mm):
        raise InputError(f"spacing must be three positive sizes in mm, got {tuple(spacing_mm)}")
    if not tolerance_mm >= 0:
        raise InputError(f"the tolerance must be a distance in mm from 0 on, got {tolerance_mm}")
