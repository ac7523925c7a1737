"""From finished blocks of logits to labels on the scan's own grid, with no more than a slab of logits in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from medswin.inference.resample import (
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

    Where the centres of the two grids' voxels coincide, each block is labelled and moved. Elsewhere the blocks are
    gathered into a slab of logits, which is interpolated as `medswin.inference.resample.to_grid` does.

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
        self._last_row: Tensor | None = None
        self.halo = 0 if self.exact is not None else 1
        """Voxels that a part must hold of the one before it along an axis."""

    def start(self, part: Box, axis: int) -> None:
        """Blocks of this part of the network's grid come next, up to `finish`.

        Args:
            part: behind the last one along ``axis``, or at its beginning.
            axis: along which parts follow each other; the last row of a part is kept for the next.
        """
        self._part, self._axis = part, axis
        self._last_row = self._last_row if part[axis].start > 0 else None
        d, h, w = (slice(max(p.start - self.halo, 0), p.stop) for p in part)
        self._held: Box = (d, h, w)
        self._slab: Tensor | None = None

    def block(self, box: Box, sums: Sums) -> None:
        """Take a block, which may stick out of the part and its halo: then its inside counts."""
        inside = [slice(max(b.start, h.start), min(b.stop, h.stop)) for b, h in zip(box, self._held, strict=True)]
        cut = (slice(None), *(slice(i.start - b.start, i.stop - b.start) for i, b in zip(inside, box, strict=True)))
        empty = any(axis.start >= axis.stop for axis in inside)
        parts = ((channels, values[cut]) for channels, values in sums)
        if empty:
            for _ in sums:  # each must be asked for, whatever becomes of it
                pass
        elif self.exact is not None:
            self._label(inside, parts, self.exact)
        else:
            for channels, values in parts:
                self._place(inside, channels, values)

    def finish(self) -> None:
        """The part is whole."""
        if self.exact is None and (self._slab is not None or self._last_row is not None):
            self._interpolate(self._mean())

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

    def _place(self, inside: Sequence[slice], channels: slice, values: Tensor) -> None:
        if self._slab is None:
            self._slab = self._zeros(values)
        local = (slice(i.start - h.start, i.stop - h.start) for i, h in zip(inside, self._held, strict=True))
        self._slab[(channels, *local)] = values

    def _zeros(self, like: Tensor) -> Tensor:
        return like.new_zeros((self.channels + 1, *(held.stop - held.start for held in self._held)))

    def _mean(self) -> Tensor:
        """The slab of mean logits, with the last row of the part before it; where no window was, background."""
        slab = self._zeros(self._last_row) if self._slab is None and self._last_row is not None else self._slab
        if slab is None:
            raise RuntimeError("a part was finished before any of its blocks came")
        sums, weights = slab[:-1], slab[-1]
        sums /= weights.clamp_min(torch.finfo(weights.dtype).tiny)
        self.reading.leave_out(sums, weights == 0)
        if self._last_row is not None:
            sums.select(self._axis + 1, 0).copy_(self._last_row)
        self._last_row = sums.select(self._axis + 1, -1).clone()
        self.finite &= all(bool(torch.isfinite(channel.sum())) for channel in sums)  # without a map of all of them
        return sums

    def _interpolate(self, sums: Tensor) -> None:
        """Label the voxels of the scan that lie in the part, or up to one voxel before it."""
        ends = [
            (p.start - 1.0 if p.start > 0 else -1.0, p.stop - 1.0 if p.stop < size else float(size))
            for p, size in zip(self._part, self.shape_from, strict=True)
        ]
        for place in chunks(reached(self.index, ends, self.labels.shape), self.channels):
            where = places(self.index, place, sums.device)
            owned = in_field(where, self.shape_from)
            for along, (low, high) in zip(where, ends, strict=True):
                owned &= (along > low) & (along <= high)
            local = [along - held.start for along, held in zip(where, self._held, strict=True)]
            found = self.reading.labels(interpolated(sums, local))
            labels = self.labels[place]
            labels[...] = np.where(owned.cpu().numpy(), found.cpu().numpy(), labels)
