"""Pure geometry: cut a grid of tokens into windows, put it back, and say which tokens may see each other.

Cubes (Swin), shifted cubes and bars (CSwin) are all one thing here: a window size, clipped to the grid, and a shift.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

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
        return _visible(self, mask_pads)


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # what is cached while predicting must serve training too
def _visible(part: Partition, mask_pads: bool) -> Tensor | None:
    regions = torch.zeros(1, *part.padded, 1, dtype=torch.long)
    for axis, (size, window, shift) in enumerate(zip(part.padded, part.window, part.shift, strict=True)):
        if shift:  # in the rolled frame the last window holds the axis' end, then its beginning
            line = torch.zeros(size, dtype=torch.long)
            line[size - window :] = 1
            line[size - shift :] = 2
            shape = [1] * 5
            shape[axis + 1] = size
            regions = regions * 3 + line.view(shape)
    whole = Partition(part.padded, part.window)
    region_MN = whole.cut(regions)[0, :, :, 0]
    if mask_pads and part.padded != part.grid:
        real = torch.ones(1, *part.grid, 1, dtype=torch.long)
        region_MN = torch.where(part.cut(real)[0, :, :, 0] == 1, region_MN, -1)
    seen = region_MN[:, :, None] == region_MN[:, None, :]
    return None if bool(seen.all()) else seen


@lru_cache(maxsize=128)
@torch.inference_mode(False)
def relative_index(window: Triple, full: Triple) -> Tensor:
    """Row of a relative position table for each pair of tokens: (N, N) for a window of ``window`` tokens.

    The table has prod(2 * full - 1) rows; ``window`` may be smaller than ``full`` along any axis (a window clipped to
    a small grid), which changes no pair's row: offset (i - j + full - 1) per axis, row-major.
    """
    axes = [torch.arange(n) for n in window]
    positions = torch.stack(torch.meshgrid(*axes, indexing="ij")).reshape(3, prod(window))
    offsets = positions[:, :, None] - positions[:, None, :]
    d, h, w = (offsets[axis] + full[axis] - 1 for axis in range(3))
    return (d * (2 * full[1] - 1) + h) * (2 * full[2] - 1) + w
