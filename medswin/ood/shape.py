"""Does the segmentation itself look right? Volume, pieces, form and place of each structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

TOLD = (
    "volume, ml",
    "separate pieces",
    "share of the largest piece",
    "elongation",
    "offset to the right, mm",
    "offset to the front, mm",
    "offset upwards, mm",
)


def names(structures: Sequence[str]) -> tuple[str, ...]:
    """Names of what `shape` tells, as people read them."""
    return tuple(f"{structure}: {told}" for structure in structures for told in TOLD)


def shape(labels_XYZ: NDArray[np.uint8], affine: ArrayLike, values: Sequence[int]) -> NDArray[np.float64]:
    """Sizes and forms of the structures of a label map.

    Args:
        labels_XYZ: label map.
        affine: (4, 4) voxel index -> RAS+ mm.
        values: of the structures.

    Returns:
        The numbers that `names` names: volume; connected pieces (voxels that touch, corners included); share of the
        volume in the largest of them; elongation, the root of the ratio of the largest to the smallest principal
        moment; and where the middle lies from the middle of all structures together, in mm (for one structure alone,
        from the middle of the scan). All are 0 for a structure that is not there.
    """
    matrix = np.asarray(affine, dtype=np.float64)
    boxes = ndimage.find_objects(labels_XYZ, max(values))
    found = [_moments(labels_XYZ, value, boxes[value - 1]) for value in values]
    there = [part for part in found if part is not None]
    total = sum(part.voxels for part in there)
    middle = (np.array(labels_XYZ.shape) - 1) / 2
    if len(values) > 1 and there:
        middle = sum((part.voxels / total * part.middle for part in there), np.zeros(3))
    return np.concatenate([np.zeros(len(TOLD)) if part is None else _told(part, middle, matrix) for part in found])


@dataclass(frozen=True)
class _Moments:
    voxels: int
    pieces: NDArray[np.int64]  # voxels of each
    middle: NDArray[np.float64]  # in voxels
    covariance: NDArray[np.float64]


def _moments(labels_XYZ: NDArray[np.uint8], value: int, box: tuple[slice, ...] | None) -> _Moments | None:
    """From counts along planes and lines, so that no list of voxels is made."""
    if box is None:
        return None
    mask = labels_XYZ[box] == value
    pieces = np.bincount(ndimage.label(mask, np.ones((3, 3, 3)))[0].ravel())[1:]
    voxels, places = int(mask.sum()), [np.arange(size) for size in mask.shape]
    middle = np.array([mask.sum(_others(axis)) @ places[axis] for axis in range(3)]) / voxels
    covariance = np.empty((3, 3))
    for a in range(3):
        along = places[a] - middle[a]
        covariance[a, a] = mask.sum(_others(a)) @ along**2
        for b in range(a):
            counts = mask.sum(3 - a - b)  # axes (b, a)
            covariance[a, b] = covariance[b, a] = (places[b] - middle[b]) @ counts @ along
    return _Moments(voxels, pieces, middle + [axis.start for axis in box], covariance / voxels)


def _told(part: _Moments, middle: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    turn = matrix[:3, :3]
    own_extent = np.eye(3) / 12  # of a voxel, a box of even density
    moments = np.linalg.eigvalsh(turn @ (part.covariance + own_extent) @ turn.T)
    volume_ml = part.voxels * abs(np.linalg.det(turn)) / 1000
    sizes = [volume_ml, len(part.pieces), part.pieces.max() / part.voxels, np.sqrt(moments[-1] / moments[0])]
    return np.array([*sizes, *(turn @ (part.middle - middle))])


def _others(axis: int) -> tuple[int, int]:
    first, second = (other for other in range(3) if other != axis)
    return first, second
