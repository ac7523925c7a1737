"""Pure geometry: cut a grid of tokens into windows, put it back, and say which tokens may see each other.

Cubes (Swin), shifted cubes and bars (CSwin) are all one thing here: a window size, clipped to the grid, and a shift.
A layout says which partitions the blocks of a stage use: `Cubes`, `Bars` or `Whole`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from medswin.networks.contract import Triple


@dataclass(frozen=True)
class Partition:
    """A grid of tokens cut into equal windows.

    Attributes:
        grid: tokens per axis.
        window: tokens of a window per axis, at most the grid's.
        shift: tokens by which the windows are shifted per axis, cyclically; 0 where one window spans the axis.

    The grid is padded on its right to a multiple of the window, then rolled by ``-shift``, then cut.
    """

    grid: Triple
    window: Triple
    shift: Triple = (0, 0, 0)

    @classmethod
    def fit(cls, grid: Sequence[int], window: Sequence[int], shift: Sequence[int] = (0, 0, 0)) -> Partition:
        """Clip ``window`` to ``grid``, and do not shift along an axis that one window spans."""
        clipped = tuple(min(g, w) for g, w in zip(grid, window, strict=True))
        kept = tuple(0 if g <= w else s for g, w, s in zip(grid, window, shift, strict=True))
        return cls(tuple(grid), clipped, kept)  # type: ignore[arg-type]

    @property
    def padded(self) -> Triple:
        """The grid after padding: the next multiple of the window per axis."""
        d, h, w = (-(-g // n) * n for g, n in zip(self.grid, self.window, strict=True))
        return d, h, w

    @property
    def counts(self) -> Triple:
        """Windows per axis."""
        d, h, w = (p // n for p, n in zip(self.padded, self.window, strict=True))
        return d, h, w

    def cut(self, x_BDHWC: Tensor) -> Tensor:
        """(B, *grid, C) -> (B, M windows, N tokens, C)."""
        pad = [p - g for p, g in zip(self.padded, self.grid, strict=True)]
        x = F.pad(x_BDHWC, (0, 0, 0, pad[2], 0, pad[1], 0, pad[0])) if any(pad) else x_BDHWC
        if any(self.shift):
            x = x.roll([-s for s in self.shift], dims=(1, 2, 3))
        (a, b, c), (i, j, k) = self.counts, self.window
        x = x.reshape(x.shape[0], a, i, b, j, c, k, x.shape[-1]).permute(0, 1, 3, 5, 2, 4, 6, 7)
        return x.reshape(x.shape[0], a * b * c, i * j * k, x.shape[-1])

    def join(self, x_BMNC: Tensor) -> Tensor:
        """The inverse of `cut`: (B, M, N, C) -> (B, *grid, C)."""
        (a, b, c), (i, j, k) = self.counts, self.window
        x = x_BMNC.reshape(x_BMNC.shape[0], a, b, c, i, j, k, x_BMNC.shape[-1]).permute(0, 1, 4, 2, 5, 3, 6, 7)
        x = x.reshape(x.shape[0], *self.padded, x.shape[-1])
        if any(self.shift):
            x = x.roll(self.shift, dims=(1, 2, 3))
        d, h, w = self.grid
        return x[:, :d, :h, :w] if self.padded != self.grid else x

    def visible(self, mask_pads: bool = True) -> Tensor | None:
        """Which tokens of a window may see each other: bool (M, N, N), or None where all may.

        Tokens that only the roll brought together do not see each other. With ``mask_pads`` no token sees a pad (pads
        see pads, so that no row of the mask is empty); without it pads count as tokens, which is what MONAI does.
        """
        hidden = any(self.shift) or (mask_pads and self.padded != self.grid)
        return _visible(self, mask_pads) if hidden else None

    def real(self) -> Tensor | None:
        """Which tokens of the windows are no pads: bool (M, N), or None where all are."""
        return None if self.padded == self.grid else _real(self)


class Layout(Protocol):
    """Which partitions the blocks of a stage attend over: one, or one per group of heads.

    Attributes:
        groups: the number of heads must be a multiple of this.
    """

    groups: ClassVar[int]

    def __call__(self, grid: Triple, block: int) -> tuple[Partition, ...]:
        """The partitions of block number ``block`` of a stage on this grid: one for all heads, or ``groups``."""
        ...


@dataclass(frozen=True)
class Cubes:
    """One window for all heads, shifted by half its size in every second block (Swin)."""

    window: Triple
    groups: ClassVar[int] = 1

    def __call__(self, grid: Triple, block: int) -> tuple[Partition, ...]:
        shift = [n // 2 if block % 2 else 0 for n in self.window]
        return (Partition.fit(grid, self.window, shift),)


@dataclass(frozen=True)
class Bars:
    """A cross of bars: a third of the heads along each axis, each bar as long as the grid and ``width`` across (CSwin).

    Attributes:
        width: tokens of a bar along each axis that it does not run along.
    """

    width: Triple
    groups: ClassVar[int] = 3

    def __call__(self, grid: Triple, block: int) -> tuple[Partition, ...]:
        windows = [
            [g if i == along else w for i, (g, w) in enumerate(zip(grid, self.width, strict=True))]
            for along in range(3)
        ]
        bars = tuple(Partition.fit(grid, window) for window in windows)
        return bars if len(set(bars)) > 1 else bars[:1]


@dataclass(frozen=True)
class Whole:
    """One window over the whole grid: full attention."""

    groups: ClassVar[int] = 1

    def __call__(self, grid: Triple, block: int) -> tuple[Partition, ...]:
        return (Partition.fit(grid, grid),)


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # what is cached while predicting must serve training too
def _visible(part: Partition, mask_pads: bool) -> Tensor:
    regions = torch.zeros(1, *part.padded, 1, dtype=torch.long, device="cpu")
    for axis, (size, window, shift) in enumerate(zip(part.padded, part.window, part.shift, strict=True)):
        if shift:  # in the rolled frame the last window holds the axis' end, then its beginning
            line = torch.zeros(size, dtype=torch.long, device="cpu")
            line[size - window :] = 1
            line[size - shift :] = 2
            shape = [1] * 5
            shape[axis + 1] = size
            regions = regions * 3 + line.view(shape)
    whole = Partition(part.padded, part.window)
    region_MN = whole.cut(regions)[0, :, :, 0]
    real_MN = part.real() if mask_pads else None
    if real_MN is not None:
        region_MN = torch.where(real_MN, region_MN, -1)
    seen: Tensor = region_MN[:, :, None] == region_MN[:, None, :]
    return seen


@lru_cache(maxsize=128)
@torch.inference_mode(False)
def _real(part: Partition) -> Tensor:
    return part.cut(torch.ones(1, *part.grid, 1, dtype=torch.bool, device="cpu"))[0, :, :, 0]


@lru_cache(maxsize=128)
@torch.inference_mode(False)
def relative_index(window: Triple, full: Triple) -> Tensor:
    """Row of a relative position table for each pair of tokens: (N, N) for a window of ``window`` tokens.

    The table has prod(2 * full - 1) rows; ``window`` may be smaller than ``full`` along any axis (a window clipped to
    a small grid), which changes no pair's row: offset (i - j + full - 1) per axis, row-major.
    """
    axes = [torch.arange(n, device="cpu") for n in window]
    positions = torch.stack(torch.meshgrid(*axes, indexing="ij")).reshape(3, prod(window))
    offsets = positions[:, :, None] - positions[:, None, :]
    d, h, w = (offset + n - 1 for offset, n in zip(offsets, full, strict=True))
    index: Tensor = (d * (2 * full[1] - 1) + h) * (2 * full[2] - 1) + w
    return index
