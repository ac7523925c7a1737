"""Pure geometry: cut a grid of tokens into windows, put it back, and say which tokens may see each other.

Cubes (Swin), shifted cubes and bars (CSwin) are all one thing here: a window size, clipped to the grid, and a shift.
Which of them a block uses is the layout's to say, see `medswin.networks.layouts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

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
        """(B, *grid, C) -> (M windows, B, N tokens, C), where pads are zeros; see `groups` for the windows' order."""
        batch, *_, channels = x_BDHWC.shape
        tokens, places, pads = _routes(self, batch, x_BDHWC.device)
        rows: Tensor = Rows.apply(x_BDHWC.reshape(-1, channels), tokens, places, pads, None)
        return rows.view(prod(self.counts), batch, prod(self.window), channels)

    def join(self, x_MBNC: Tensor) -> Tensor:
        """The inverse of `cut`: (M, B, N, C) -> (B, *grid, C)."""
        _, batch, _, channels = x_MBNC.shape
        tokens, places, pads = _routes(self, batch, x_MBNC.device)
        rows: Tensor = Rows.apply(x_MBNC.reshape(-1, channels), places, tokens, None, pads)
        return rows.view(batch, *self.grid, channels)

    def groups(self, mask_pads: bool = True) -> tuple[Group, ...]:
        """The windows in their order, grouped by which of their tokens may see each other: one group, or a few.

        Tokens that only the roll brought together do not see each other. With ``mask_pads`` no token sees a pad (pads
        see pads, so that no row of a mask is empty); without it pads count as tokens, which is what MONAI does.
        """
        return _groups(self, mask_pads)

    def real(self, device: torch.device) -> Tensor | None:
        """Which tokens of the windows are no pads: bool (M, N), or None where all are."""
        return None if self.padded == self.grid else (_tokens(self) >= 0).to(device)


class Group(NamedTuple):
    """Windows of one kind.

    Attributes:
        windows: how many.
        visible: which tokens may see each other, bool (N, N); None where all may.
    """

    windows: int
    visible: Tensor | None


class Rows(torch.autograd.Function):
    """Rows of a matrix in another order, with zeros in some places; its gradient is the way back, no sum over rows."""

    @staticmethod
    def forward(
        ctx: Any, x_RC: Tensor, take: Tensor, back: Tensor, zeros: Tensor | None, zeros_back: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(take, back, zeros, zeros_back)
        rows = x_RC.index_select(0, take)
        return rows if zeros is None else rows.index_fill_(0, zeros, 0)

    @staticmethod
    def backward(ctx: Any, grad_RC: Tensor) -> tuple[Tensor | None, ...]:
        take, back, zeros, zeros_back = ctx.saved_tensors
        return Rows.apply(grad_RC, back, take, zeros_back, zeros), None, None, None, None


def _windows(part: Partition, x_DHW: Tensor) -> Tensor:
    """(*padded grid) -> (M, N), both row-major."""
    (a, b, c), (i, j, k) = part.counts, part.window
    return x_DHW.reshape(a, i, b, j, c, k).permute(0, 2, 4, 1, 3, 5).reshape(a * b * c, i * j * k)


def _numbers(part: Partition) -> Tensor:
    """The number of the token in each place of the windows, (M, N), row-major; -1 for a pad."""
    numbers = torch.arange(prod(part.grid), device="cpu").view(part.grid)
    ends = [p - g for p, g in zip(part.padded, part.grid, strict=True)]
    padded = F.pad(numbers, (0, ends[2], 0, ends[1], 0, ends[0]), value=-1)
    return _windows(part, padded.roll([-s for s in part.shift], dims=(0, 1, 2)))


def _regions(part: Partition) -> Tensor:
    """(M, N), row-major: tokens of a window that the grid, unrolled, holds side by side have the same number."""
    regions = torch.zeros(part.padded, dtype=torch.long, device="cpu")
    for axis, (size, window, shift) in enumerate(zip(part.padded, part.window, part.shift, strict=True)):
        if shift:  # in the rolled frame the last window holds the axis' end, then its beginning
            regions.narrow(axis, size - window, window).add_(3**axis)
            regions.narrow(axis, size - shift, shift).add_(3**axis)
    return _windows(part, regions)


@lru_cache(maxsize=128)
@torch.inference_mode(False)  # what is cached while predicting must serve training too
def _kinds(part: Partition) -> Tensor:
    """For each window, row-major, a number for what it holds of ends and of pads; 0 for one that holds none."""
    pads_apart = torch.where(_numbers(part) < 0, 3**3, _regions(part))
    kinds: Tensor = pads_apart.unique(dim=0, return_inverse=True)[1]
    return kinds


@lru_cache(maxsize=128)
@torch.inference_mode(False)
def _tokens(part: Partition) -> Tensor:
    """`_numbers`, with the windows of each kind side by side."""
    return _numbers(part)[_kinds(part).argsort(stable=True)]


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _routes(part: Partition, batch: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor | None]:
    """For each place of (M, B, N) the token of (B, T) that it takes; for each token its place; the places of pads."""
    tokens_MN, count = _tokens(part), prod(part.grid)
    first = count * torch.arange(batch, device="cpu")[:, None]
    tokens = (tokens_MN.clamp(min=0)[:, None] + first).flatten()
    real = (tokens_MN >= 0)[:, None].expand(-1, batch, -1).flatten()
    places = torch.empty(batch * count, dtype=torch.long, device="cpu")
    places[tokens[real]] = real.nonzero()[:, 0]
    pads = None if part.padded == part.grid else (~real).nonzero()[:, 0].to(device)
    return tokens.to(device), places.to(device), pads


@lru_cache(maxsize=128)
@torch.inference_mode(False)
def _groups(part: Partition, mask_pads: bool) -> tuple[Group, ...]:
    kinds = _kinds(part)
    regions_MN = torch.where(_numbers(part) < 0, 3**3, _regions(part)) if mask_pads else _regions(part)
    groups: list[Group] = []
    for kind, windows in zip(*(values.tolist() for values in kinds.unique(return_counts=True)), strict=True):
        region_N = regions_MN[int((kinds == kind).nonzero()[0])]
        visible = None if bool((region_N == region_N[0]).all()) else region_N[:, None] == region_N[None, :]
        if visible is None and groups and groups[-1].visible is None:
            windows += groups.pop().windows
        groups.append(Group(windows, visible))
    return tuple(groups)


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
