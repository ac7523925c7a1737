"""From the network's grid back to the scan's own: exact where voxels coincide, trilinear elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

SAME_VOXEL = 1e-3
"""Voxel centres that are closer than this share of a voxel are one."""

OUTSIDE = 30.0
"""Logit of the background outside the field: its probability there is 1 within fp32."""

CHUNK_VOXELS = 2**21  # of the target, resampled at once: about 100 MB of coordinates and neighbours

Slab = tuple[slice, Tensor]


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
    result = logits_CXYZ.new_empty((len(logits_CXYZ), *shape_to))
    for rows, slab in _slabs(logits_CXYZ, affine_from, shape_to, affine_to):
        result[:, rows] = slab
    return result


def labels_on_grid(
    logits_CXYZ: Tensor, affine_from: ArrayLike, shape_to: Sequence[int], affine_to: ArrayLike
) -> NDArray[np.uint8]:
    """The class with the largest logit on another grid, (*shape_to) uint8; logits are never held there as a whole.

    Interpolating logits and then choosing keeps surfaces smooth, where interpolating labels would draw steps. See
    `to_grid` for the arguments.
    """
    labels = np.empty(tuple(shape_to), dtype=np.uint8)
    for rows, slab in _slabs(logits_CXYZ, affine_from, shape_to, affine_to):
        labels[rows] = slab.argmax(0).to(torch.uint8).cpu().numpy()
    return labels


def _slabs(logits: Tensor, affine_from: ArrayLike, shape_to: Sequence[int], affine_to: ArrayLike) -> Iterator[Slab]:
    """The wanted grid in slabs of rows along its first axis, each (C, rows, Y, Z)."""
    index = np.linalg.solve(np.asarray(affine_from, dtype=np.float64), np.asarray(affine_to, dtype=np.float64))
    exact = _whole(index, shape_to)
    rows = max(CHUNK_VOXELS // max(shape_to[1] * shape_to[2], 1), 1)
    for first in range(0, shape_to[0], rows):
        part = slice(first, min(first + rows, shape_to[0]))
        shape = (part.stop - part.start, *shape_to[1:])
        moved = index if exact is None else exact
        moved = moved @ _shift(part.start)
        yield part, _interpolated(logits, moved, shape) if exact is None else _moved(logits, moved, shape)


def _shift(rows: int) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[0, 3] = rows
    return matrix


def _whole(index: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64] | None:
    """The map between voxel indices in whole numbers, if rounding moves no corner by `SAME_VOXEL`, else None.

    An invertible map of whole numbers both ways permutes and flips axes, and shifts.
    """
    rounded = np.rint(index)
    linear = np.abs(rounded[:3, :3])
    moves_most = np.abs(index - rounded)[:3] @ np.array([*(n - 1 for n in shape), 1.0])
    is_permutation = (linear.sum(0) == 1).all() and (linear.sum(1) == 1).all()
    return rounded if is_permutation and moves_most.max() < SAME_VOXEL else None


def _background(logits: Tensor, shape: Sequence[int]) -> Tensor:
    result = logits.new_zeros((len(logits), *shape))
    result[0] = OUTSIDE
    return result


def _moved(logits: Tensor, index: NDArray[np.float64], shape: Sequence[int]) -> Tensor:
    """Values at whole indices: permute, then cut or flip along each axis; what is outside stays background."""
    source_axis = [int(np.flatnonzero(index[:3, axis])[0]) for axis in range(3)]
    values = logits.permute(0, *(axis + 1 for axis in source_axis))
    inside: list[slice] = []
    for axis, source in enumerate(source_axis):
        wanted = int(index[source, 3]) + int(index[source, axis]) * np.arange(shape[axis])
        held = np.flatnonzero((wanted >= 0) & (wanted < values.shape[axis + 1]))
        inside.append(slice(int(held[0]), int(held[-1]) + 1) if len(held) else slice(0, 0))
        values = values.index_select(axis + 1, torch.as_tensor(wanted[held], device=logits.device))
    result = _background(logits, shape)
    result[(slice(None), *inside)] = values
    return result


def _interpolated(logits: Tensor, index: NDArray[np.float64], shape: Sequence[int]) -> Tensor:
    """Values at broken indices, trilinear, with the rim's value within half a voxel of the rim."""
    device = logits.device
    axes = [torch.arange(n, dtype=torch.float64, device=device) for n in shape]
    sizes = torch.tensor(logits.shape[1:], dtype=torch.float64, device=device)
    matrix = torch.as_tensor(index, device=device)
    inside = torch.ones(tuple(shape), dtype=torch.bool, device=device)
    places = []
    for source in range(3):
        x, y, z = (matrix[source, axis] * axes[axis] for axis in range(3))
        place = matrix[source, 3] + x[:, None, None] + y[None, :, None] + z[None, None, :]
        inside &= (place > -0.5 - SAME_VOXEL) & (place < sizes[source] - 0.5 + SAME_VOXEL)
        places.append(((2 * place + 1) / sizes[source] - 1).float())
    grid = torch.stack(places[::-1], -1)[None]
    values = F.grid_sample(logits[None].float(), grid, padding_mode="border", align_corners=False)[0]
    return torch.where(inside, values.to(logits.dtype), _background(logits, shape))
