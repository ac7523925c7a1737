"""Blending windows with bounded memory: each voxel is done as soon as the last window that holds it has come.

Windows come in order, the innermost axis running fastest. Of a window, what no later one along an axis reaches goes on
to the next axis, and only the rest is kept, for the next window along this axis. The logits of the whole volume are
never in memory: what is kept is as thick as the windows overlap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

import torch
from torch import Tensor

from medswin.errors import ShapeError

Box = tuple[slice, slice, slice]
Index = tuple[int, int, int]
Spans = tuple[tuple[int, int], ...]
"""First and last voxel along each axis; the last is not in it."""

# Values of some channels of a window: what stays in a processor's cache while they pass all axes. Blending 105 classes
# over 240 x 240 x 240 voxels is 40,000 passes over so many values at the speed of that cache; parts that fit into
# nearer caches (2**15 to 2**19 values, tried on two cores) took 1.1 to 2 times as long, since calls outweigh the gain.
AT_ONCE = 2**20


class Blend:
    """The sum of windows, weighted, in blocks that are handed out when they are whole.

    Args:
        starts: first voxels of the windows along each axis, rising; neighbours overlap or touch.
        weights: of the voxels of a window, (D, H, W), on the device where blocks are put together.
        channels: of the logits; the sum of the weights themselves is one more, the last.
        order: the axes, outermost first.
        wanted: the voxels that are asked for, all along ``order[0]``; windows that do not reach them are not needed.
    """

    def __init__(
        self, starts: Sequence[Sequence[int]], weights: Tensor, channels: int, order: Index, wanted: Spans
    ) -> None:
        self.starts, self.weights, self.channels, self.order, self.wanted = starts, weights, channels, order, wanted
        shapes = kept_shapes(starts, tuple(weights.shape), order, sizes(wanted))
        few = min(max(AT_ONCE // weights.numel(), 1), channels + 1)
        self.values = weights.new_empty((few, *weights.shape))
        self.kept = [weights.new_empty((channels + 1, *shape)) for shape in shapes]
        self.holds: list[set[tuple[int, ...]]] = [set() for _ in shapes]  # where kept values are not all zero

    def windows(self) -> Iterator[Index]:
        """The windows in the order in which they must be added, as indices into ``starts``."""
        for index in product(*(range(len(self.starts[axis])) for axis in self.order)):
            yield _by_axis(index, self.order)

    def box(self, window: Index) -> Box:
        """The block that is whole once this window is added; empty where nothing of it is wanted."""
        d, h, w = (slice(*self._wanted(axis, i)) for axis, i in enumerate(window))
        return d, h, w

    def add(self, window: Index, logits_CDHW: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
        """Add a window; some channels at a time, the weighted sums in its `box`, to be used before the next are asked.

        ``logits_CDHW`` is None for a window that is left out. Nothing comes where all windows of a block were.

        Raises:
            ShapeError: for logits of another shape than (channels, *window).
        """
        expected = (self.channels, *self.weights.shape)
        if logits_CDHW is not None and tuple(logits_CDHW.shape) != expected:
            raise ShapeError(
                f"the network answers a window of {expected[1:]} voxels with {tuple(logits_CDHW.shape)} values",
                where="network",
                repair=f"give a network of {self.channels} classes whose output is as large as its input",
            )
        keys = [tuple(window[axis] for axis in self.order[level + 1 :]) for level in range(3)]
        held = [keys[level] in self.holds[level] and window[self.order[level]] > 0 for level in range(3)]
        if logits_CDHW is not None or any(held):
            few = len(self.values)
            for first in range(0, self.channels + 1, few):
                part = slice(first, min(first + few, self.channels + 1))
                values = self.values[: part.stop - first]
                self._weigh(logits_CDHW, part, values)
                whole = self._pass_on(window, part, values, held)
                if whole is not None:
                    yield part, whole
        for level, key in enumerate(keys):
            if logits_CDHW is not None or any(held[level:]):
                self.holds[level].add(key)
            else:
                self.holds[level].discard(key)

    def _weigh(self, logits_CDHW: Tensor | None, part: slice, out: Tensor) -> None:
        if logits_CDHW is None:
            out.zero_()
            return
        logits = logits_CDHW[part].to(self.weights.device)
        torch.mul(logits, self.weights, out=out[: len(logits)])
        out[len(logits) :] = self.weights

    def _pass_on(self, window: Index, part: slice, values: Tensor, held: Sequence[bool]) -> Tensor | None:
        for level in (2, 1, 0):
            axis = self.order[level]
            start, stop = self._span(axis, window[axis])
            roi, done = self.weights.shape[axis], stop - start
            kept = self.kept[level][(part, *self._place(window, level))]
            if held[level]:
                before = self.starts[axis][window[axis] - 1] + roi - start
                values.narrow(axis + 1, 0, before).add_(kept.narrow(axis + 1, 0, before))
            if roi > done:
                kept.narrow(axis + 1, 0, roi - done).copy_(values.narrow(axis + 1, done, roi - done))
            first, last = self._wanted(axis, window[axis])
            if first == last:
                return None
            values = values.narrow(axis + 1, first - start, last - first)
        return values

    def _span(self, axis: int, i: int) -> tuple[int, int]:
        starts = self.starts[axis]
        return starts[i], starts[i + 1] if i + 1 < len(starts) else starts[i] + self.weights.shape[axis]

    def _wanted(self, axis: int, i: int) -> tuple[int, int]:
        """What of a span is wanted."""
        first, last = (min(max(end, self.wanted[axis][0]), self.wanted[axis][1]) for end in self._span(axis, i))
        return first, last

    def _place(self, window: Index, level: int) -> tuple[slice, ...]:
        """Where a window's block lies in what is kept: along inner axes where it is wanted, else from the beginning."""
        place = [slice(None)] * 3
        for axis in self.order[level + 1 :]:
            place[axis] = slice(*(end - self.wanted[axis][0] for end in self._wanted(axis, window[axis])))
        return tuple(place)


def sizes(spans: Spans) -> list[int]:
    """Voxels along each axis."""
    return [last - first for first, last in spans]


def kept_shapes(
    starts: Sequence[Sequence[int]], roi: Sequence[int], order: Index, wanted: Sequence[int]
) -> list[tuple[int, ...]]:
    """Shape of what is kept for the next window along each axis of ``order``, where so many voxels are wanted."""
    shapes = []
    for level, axis in enumerate(order):
        shape = list(roi)
        pairs = zip(starts[axis], starts[axis][1:], strict=False)
        shape[axis] = max((a + roi[axis] - b for a, b in pairs), default=0)
        for inner in order[level + 1 :]:
            shape[inner] = wanted[inner]
        shapes.append(tuple(shape))
    return shapes


def kept_bytes(
    starts: Sequence[Sequence[int]], roi: Sequence[int], order: Index, wanted: Sequence[int], channels: int
) -> int:
    """Memory of a `Blend`."""
    return 4 * (channels + 1) * sum(map(prod, kept_shapes(starts, roi, order, wanted)))


def _by_axis(values: Sequence[int], order: Index) -> Index:
    d, h, w = (values[order.index(axis)] for axis in range(3))
    return d, h, w
