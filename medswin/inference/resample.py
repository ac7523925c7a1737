"""From the network's grid back to the scan's own: exact where voxels coincide, trilinear elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from medswin.networks.outputs import OUTSIDE

SAME_VOXEL = 1e-3
"""Voxel centres that are closer than this share of a voxel are one."""

CHUNK_VALUES = 2**24  # resampled at once, coordinates counted as ten more channels: about 64 MB

Map = NDArray[np.float64]
Box = tuple[slice, slice, slice]


def to_grid(logits_CXYZ: Tensor, affine_from: ArrayLike, shape_to: Sequence[int], affine_to: ArrayLike) -> Tensor:
    """Logits on another grid.

    Where the centres of the two grids' voxels coincide (a flip, a permutation of axes, a crop), values are moved and
    not changed. Elsewhere they are interpolated trilinearly; within half a voxel of the field's rim the rim's value
    holds. Outside of the field the background (channel 0) has the logit `OUTSIDE` and all else 0.

    Args:
        logits_CXYZ: (C, X, Y, Z), floating point.
        affine_from: (4, 4) voxel index of the logits -> RAS+ mm.
        shape_to: voxels of the wanted grid.
        affine_to: (4, 4) voxel index of the wanted grid -> RAS+ mm.

    Returns:
        (C, *shape_to), in the logits' number format and on their device.
    """
    result = logits_CXYZ.new_zeros((len(logits_CXYZ), *shape_to))
    result[0] = OUTSIDE
    index = between(affine_from, affine_to)
    exact = whole_map(index, shape_to)
    whole = tuple(slice(0, size) for size in logits_CXYZ.shape[1:])
    if exact is not None:
        place, values = moved(logits_CXYZ, whole, exact, shape_to)
        result[(slice(None), *place)] = values
        return result
    for place in chunks([slice(0, size) for size in shape_to], len(logits_CXYZ)):
        where = places(index, place, logits_CXYZ.device)
        values = interpolated(logits_CXYZ, where)
        inside = in_field(where, logits_CXYZ.shape[1:])
        part = result[(slice(None), *place)]
        part.copy_(torch.where(inside, values, part))
    return result


def between(affine_from: ArrayLike, affine_to: ArrayLike) -> Map:
    """(4, 4) voxel index of the wanted grid -> voxel index of the one that values are on."""
    return np.linalg.solve(np.asarray(affine_from, dtype=np.float64), np.asarray(affine_to, dtype=np.float64))


def whole_map(index: Map, shape_to: Sequence[int]) -> Map | None:
    """The map between voxel indices in whole numbers, if rounding moves no corner by `SAME_VOXEL`, else None.

    An invertible map of whole numbers both ways permutes and flips axes, and shifts.
    """
    rounded = np.rint(index)
    linear = np.abs(rounded[:3, :3])
    moves_most = np.abs(index - rounded)[:3] @ np.array([*(n - 1 for n in shape_to), 1.0])
    is_permutation = (linear.sum(0) == 1).all() and (linear.sum(1) == 1).all()
    return rounded if is_permutation and moves_most.max() < SAME_VOXEL else None


def moved(values_CXYZ: Tensor, box: Sequence[slice], exact: Map, shape_to: Sequence[int]) -> tuple[Box, Tensor]:
    """Values of a box of voxels, permuted and flipped, and where on the wanted grid they go.

    Args:
        values_CXYZ: (C, *box).
        box: where these voxels lie on their grid.
        exact: of `whole_map`.
        shape_to: voxels of the wanted grid; what lies outside of it is cut off.
    """
    source_axis = [int(np.flatnonzero(exact[:3, axis])[0]) for axis in range(3)]
    values = values_CXYZ.permute(0, *(axis + 1 for axis in source_axis))
    place: list[slice] = []
    for axis, source in enumerate(source_axis):
        wanted = int(exact[source, 3]) + int(exact[source, axis]) * np.arange(shape_to[axis]) - box[source].start
        held = np.flatnonzero((wanted >= 0) & (wanted < box[source].stop - box[source].start))
        place.append(slice(int(held[0]), int(held[-1]) + 1) if len(held) else slice(0, 0))
        first = int(wanted[held].min()) if len(held) else 0
        values = values.narrow(axis + 1, first, len(held))
        values = values.flip(axis + 1) if exact[source, axis] < 0 else values
    return (place[0], place[1], place[2]), values


def reached(index: Map, ends: Sequence[tuple[float, float]], shape_to: Sequence[int]) -> Box:
    """A box of the wanted grid with all voxels whose centres lie between these two indices along each axis."""
    corners = np.array([(*corner, 1.0) for corner in product(*ends)])
    there = np.linalg.solve(index, corners.T)[:3]
    firsts = np.clip(np.floor(there.min(1)), 0, shape_to).astype(int)
    stops = np.clip(np.ceil(there.max(1)) + 1, 0, shape_to).astype(int)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(firsts, stops, strict=True))
    return x, y, z


def chunks(box: Sequence[slice], channels: int) -> Iterator[Box]:
    """A box of the wanted grid in slabs of rows along its first axis."""
    voxels = (box[1].stop - box[1].start) * (box[2].stop - box[2].start)
    rows = max(CHUNK_VALUES // max((channels + 10) * voxels, 1), 1)
    for first in range(box[0].start, box[0].stop, rows):
        yield slice(first, min(first + rows, box[0].stop)), box[1], box[2]


def places(index: Map, box: Box, device: torch.device) -> list[Tensor]:
    """Where the voxels of a box of the wanted grid lie: their index along each axis of the other, float64."""
    matrix = torch.as_tensor(index, device=device)
    axes = [torch.arange(part.start, part.stop, dtype=torch.float64, device=device) for part in box]
    found = []
    for source in range(3):
        x, y, z = (matrix[source, axis] * axes[axis] for axis in range(3))
        found.append(matrix[source, 3] + x[:, None, None] + y[None, :, None] + z[None, None, :])
    return found


def in_field(where: Sequence[Tensor], shape_from: Sequence[int]) -> Tensor:
    """Which of the `places` lie in the field of a grid, rims included: bool."""
    inside = torch.ones_like(where[0], dtype=torch.bool)
    for place, size in zip(where, shape_from, strict=True):
        inside &= (place > -0.5 - SAME_VOXEL) & (place < size - 0.5 + SAME_VOXEL)
    return inside


def interpolated(values_CXYZ: Tensor, where: Sequence[Tensor]) -> Tensor:
    """Values (C, X, Y, Z) at `places`, trilinear; beyond their outermost voxels the rim's value holds."""
    sizes = values_CXYZ.shape[1:]
    scaled = [((2 * place + 1) / size - 1).float() for place, size in zip(where, sizes, strict=True)]
    grid = torch.stack(scaled[::-1], -1)[None]
    found = F.grid_sample(values_CXYZ[None].float(), grid, padding_mode="border", align_corners=False)[0]
    return found.to(values_CXYZ.dtype)
