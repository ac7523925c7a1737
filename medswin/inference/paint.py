"""From finished blocks of logits to labels on the scan's own grid, with few logits in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import prod

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from medswin.inference.blend import Index
from medswin.inference.resample import (
    CHUNK_VALUES,
    Box,
    Map,
    between,
    chunks,
    in_field,
    interpolated,
    moved,
    places,
    reached,
    whole_map,
)
from medswin.networks.outputs import Reading

Sums = Iterable[tuple[slice, Tensor]]
"""Some channels at a time: which, and their weighted sums over a block; last of all the sum of the weights."""


class Painter:
    """Labels of a scan from logits on the network's grid: of each voxel what its mean logits are read as.

    Where the centres of the two grids' voxels coincide, each block is labelled and moved. Elsewhere each is
    interpolated as `medswin.inference.resample.to_grid` does, with the rims of the blocks before it: what is kept of
    logits is one voxel thick.

    Args:
        shape_from: voxels of the network's grid.
        affine_from: (4, 4) its voxel index -> RAS+ mm.
        shape_to, affine_to: the scan's grid.
        reading: of the logits, which are centred.

    Attributes:
        labels: (*shape_to) uint8; 0 where nothing was painted.
        finite: whether all logits so far were.
    """

    def __init__(
        self,
        shape_from: Sequence[int],
        affine_from: ArrayLike,
        shape_to: Sequence[int],
        affine_to: ArrayLike,
        reading: Reading,
    ) -> None:
        self.index = between(affine_from, affine_to)
        self.exact = whole_map(self.index, shape_to)
        self.shape_from, self.reading, self.channels = tuple(shape_from), reading, reading.channels
        self.labels: NDArray[np.uint8] = np.zeros(tuple(shape_to), dtype=np.uint8)
        self.finite = True
        self.halo = 0 if self.exact is not None else 1
        """Voxels that a part must hold of the one before it along an axis."""

    def start(self, part: Box, order: Index) -> None:
        """The blocks of this part of the network's grid come next, in order, those of its halo among them.

        Args:
            part: all of the grid along ``order[0]``.
            order: the axes, the one along which blocks come fastest last.
        """
        self._order = order
        d, h, w = (slice(max(p.start - self.halo, 0), p.stop) for p in part)
        self._held: Box = (d, h, w)
        self._rims: list[Tensor | None] = [None] * 3

    def block(self, box: Box, sums: Sums) -> None:
        """Take a block, which may stick out of the part and its halo: then its inside counts."""
        d, h, w = (slice(max(b.start, h.start), min(b.stop, h.stop)) for b, h in zip(box, self._held, strict=True))
        inside = (d, h, w)
        cut = (slice(None), *(slice(i.start - b.start, i.stop - b.start) for i, b in zip(inside, box, strict=True)))
        empty = any(axis.start >= axis.stop for axis in inside)
        parts = ((channels, values[cut]) for channels, values in sums)
        if empty:
            for _ in sums:  # each must be asked for, whatever becomes of it
                pass
        elif self.exact is not None:
            self._label(inside, parts, self.exact)
        else:
            self._interpolate(inside, parts)

    def _label(self, inside: Sequence[slice], sums: Sums, exact: Map) -> None:
        values = self._each(sums)
        for first in values:  # none come where no window was
            labels = self.reading.labels(chain([first], values))
            place, there = moved(labels[None], inside, exact, self.labels.shape)
            self.labels[place] = there[0].cpu().numpy()

    def _each(self, sums: Sums) -> Iterator[Tensor]:
        """Channel by channel, without the weights at the end."""
        for channels, values in sums:
            for value in values[: self.channels - channels.start]:
                self.finite &= bool(torch.isfinite(value.sum()))  # so is the sum of finite values
                yield value

    def _interpolate(self, inside: Box, sums: Sums) -> None:
        """Label the voxels of the scan that lie in a block, or up to one voxel before it."""
        d, h, w = (slice(max(i.start - 1, held.start), i.stop) for i, held in zip(inside, self._held, strict=True))
        box = (d, h, w)
        values = self._gathered(inside, box, sums)
        if values is None or not values[-1].any():
            return  # background
        logits = values[:-1]
        self.finite &= all(bool(torch.isfinite(channel.sum())) for channel in logits)  # without a map of all of them
        ends = [
            (float(b.start) if i.start > 0 else -1.0, b.stop - 1.0 if b.stop < size else float(size))
            for i, b, size in zip(inside, box, self.shape_from, strict=True)
        ]
        for place in chunks(reached(self.index, ends, self.labels.shape), self.channels):
            where = places(self.index, place, logits.device)
            owned = in_field(where, self.shape_from)
            for along, (low, high) in zip(where, ends, strict=True):
                owned &= (along > low) & (along <= high)
            local = [along - b.start for along, b in zip(where, box, strict=True)]
            found = self.reading.labels(interpolated(logits, local))
            labels = self.labels[place]
            labels[...] = np.where(owned.cpu().numpy(), found.cpu().numpy(), labels)

    def _gathered(self, inside: Box, box: Box, sums: Sums) -> Tensor | None:
        """A block and the rims of those before it: mean logits and the weights; where no window was, background.

        None where nothing has come so far.
        """
        own = (slice(None), *(slice(i.start - b.start, None) for i, b in zip(inside, box, strict=True)))
        shape = (self.channels + 1, *(b.stop - b.start for b in box))
        values = None if self._rims[0] is None else self._rims[0].new_zeros(shape)
        for channels, some in sums:
            values = some.new_zeros(shape) if values is None else values
            values[own][channels] = some
        if values is None:
            return None
        means, weights = values[own][:-1], values[own][-1]
        means /= weights.clamp_min(torch.finfo(weights.dtype).tiny)
        for level, axis in enumerate(self._order):
            rim = self._rims[level]
            if rim is not None and box[axis].start < inside[axis].start:
                values.narrow(axis + 1, 0, 1).copy_(self._along(level, rim, box))
        self.reading.leave_out(values[:-1], values[-1] == 0)
        for level, axis in enumerate(self._order):
            self._keep(level, box, values.narrow(axis + 1, -1, 1))
        return values

    def _keep(self, level: int, box: Box, last: Tensor) -> None:
        """Keep the last voxels of a block along an axis; what blocks to come still need of earlier ones stays."""
        held = [span.stop - span.start for span in self._held]
        shape = (len(last), *rim_shape(level, last.shape[1:], self._order, held))
        rim = self._rims[level]
        if rim is None or rim.shape != shape:
            rim = self._rims[level] = last.new_zeros(shape)
        done = [slice(b.start, b.stop - (b.stop < h.stop)) for b, h in zip(box, self._held, strict=True)]
        for axis in self._order[level + 1 :]:
            last = last.narrow(axis + 1, 0, done[axis].stop - done[axis].start)
        self._along(level, rim, done).copy_(last)

    def _along(self, level: int, rim: Tensor, box: Sequence[slice]) -> Tensor:
        """What of a rim lies beside a box."""
        for axis in self._order[level + 1 :]:
            rim = rim.narrow(axis + 1, box[axis].start - self._held[axis].start, box[axis].stop - box[axis].start)
        return rim


def rim_shape(level: int, block: Sequence[int], order: Index, part: Sequence[int]) -> tuple[int, ...]:
    """Shape of what is kept of blocks for those that follow along ``order[level]``: as long as the part along the axes
    that come faster.
    """
    shape = list(block)
    shape[order[level]] = 1
    for axis in order[level + 1 :]:
        shape[axis] = part[axis]
    return tuple(shape)


def gathered_bytes(roi: Sequence[int], order: Index, part: Sequence[int], channels: int) -> tuple[int, int]:
    """Memory of a `Painter` that interpolates: of the rims that it keeps, and of a block at work, at most."""
    block = [min(size + 1, whole) for size, whole in zip(roi, part, strict=True)]
    rims = sum(prod(rim_shape(level, block, order, part)) for level in range(3))
    return 4 * (channels + 1) * rims, 4 * (channels + 1) * prod(block) + 4 * CHUNK_VALUES
