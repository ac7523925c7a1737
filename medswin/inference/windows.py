"""Windows: where they lie on a scan, what each voxel of one weighs, and which of their cells lie in the scan.

Tiling and weights are those of MONAI's `SlidingWindowInferer`, so that a model validated with one can be used with
the other. Nothing here knows of networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TypeVar

import torch
from torch import Tensor

from medswin.errors import ShapeError

T = TypeVar("T")
Shape = tuple[int, ...]
MODES = ("constant", "gaussian")
SMALLEST_WEIGHT = 1e-3  # MONAI's floor: a window's corners still count where no other window reaches


def per_axis(value: T | Sequence[T], axes: int, name: str) -> tuple[T, ...]:
    """One value for every axis, or a sequence that has one for each.

    Raises:
        ShapeError: if a sequence has another length.
    """
    values: tuple[T, ...] = tuple(value) if isinstance(value, Sequence) else (value,) * axes
    if len(values) != axes:
        raise ShapeError(f"{len(values)} values for {axes} spatial axes", where=name, repair="give one per axis")
    return values


def window_starts(size: int, roi: int, overlap: float) -> list[int]:
    """First voxels of the windows along one axis: steps of ``roi * (1 - overlap)``, the last window moved back inside.

    Args:
        size: voxels along the axis, at least ``roi``.
        roi: voxels of a window.
        overlap: share of a window that the next one covers again, in [0, 1).

    Returns:
        Rising starts; the first is 0 and the last ``size - roi``. A step is never below one voxel.
    """
    step = max(int(roi * (1 - overlap)), 1)
    windows = max(math.ceil((size - roi) / step), 0) + 1
    return [min(i * step, size - roi) for i in range(windows)]


def importance(roi: Sequence[int], mode: str, sigma_scale: float | Sequence[float]) -> Tensor:
    """What each voxel of a window weighs where windows overlap.

    Args:
        roi: shape of the window.
        mode: ``"constant"`` (1 everywhere) or ``"gaussian"``: the product over the axes of
            ``exp(-d^2 / (2 (sigma_scale * roi)^2))`` with d the distance from the window's middle in voxels, but
            nowhere below 0.001.
        sigma_scale: standard deviation as a share of the window, positive, for all axes or for each.

    Returns:
        Weights of shape ``roi``, float32, in [0.001, 1].
    """
    if mode == "constant":
        return torch.ones(tuple(roi))
    weights = torch.ones(())
    for size, scale in zip(roi, per_axis(sigma_scale, len(roi), "sigma_scale"), strict=True):
        distance = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        weights = weights[..., None] * torch.exp(distance**2 / (-2 * (scale * size) ** 2))
    return weights.clamp_min(SMALLEST_WEIGHT)


@dataclass(frozen=True)
class Tiling:
    """Windows on one scan, which is padded on both sides along axes where it is smaller than a window.

    Attributes:
        shape: spatial shape of the scan.
        roi: shape of a window.
        starts: first voxel of each window on the padded scan, the last axis running fastest.
    """

    shape: Shape
    roi: Shape
    starts: tuple[Shape, ...]

    @classmethod
    def plan(
        cls, shape: Sequence[int], roi_size: int | Sequence[int | None] | None, overlap: float | Sequence[float]
    ) -> Tiling:
        """Lay windows on a scan.

        Args:
            shape: spatial shape of the scan, any number of axes.
            roi_size: shape of a window, for all axes or for each; None, 0 or less takes the scan's own size.
            overlap: share of a window that the next one covers again, in [0, 1), for all axes or for each.

        Raises:
            ShapeError: for an empty scan, or where ``roi_size`` or ``overlap`` has another number of axes.
        """
        if not all(size > 0 for size in shape):
            raise ShapeError(f"the scan has no voxels: spatial shape {tuple(shape)}")
        wanted = per_axis(roi_size, len(shape), "roi_size")
        roi = tuple(r if r and r > 0 else size for r, size in zip(wanted, shape, strict=True))
        padded = tuple(map(max, shape, roi))
        axes = map(window_starts, padded, roi, per_axis(overlap, len(shape), "overlap"))
        return cls(tuple(shape), roi, tuple(product(*axes)))

    @property
    def axes(self) -> tuple[tuple[int, ...], ...]:
        """First voxels of the windows along each axis, rising."""
        return tuple(tuple(sorted({start[axis] for start in self.starts})) for axis in range(len(self.shape)))

    @property
    def pads(self) -> tuple[tuple[int, int], ...]:
        """Voxels added before and after the scan along each axis, the odd one after."""
        missing = [max(r - size, 0) for r, size in zip(self.roi, self.shape, strict=True)]
        return tuple((lacking // 2, lacking - lacking // 2) for lacking in missing)

    @property
    def padded(self) -> Shape:
        """Spatial shape of the padded scan."""
        return tuple(map(max, self.shape, self.roi))

    @property
    def scan(self) -> tuple[slice, ...]:
        """Where the scan lies on the padded scan."""
        return tuple(slice(before, before + size) for (before, _), size in zip(self.pads, self.shape, strict=True))

    def window(self, start: Shape) -> tuple[slice, ...]:
        """Where the window that begins at ``start`` lies on the padded scan."""
        return tuple(slice(first, first + size) for first, size in zip(start, self.roi, strict=True))

    def shares(self, start: Shape, cells: Sequence[int], parts: Sequence[int]) -> tuple[Tensor, ...]:
        """How much of each cell of a window lies in each part of the scan, per axis; its padding is in none.

        Args:
            start: first voxel of the window.
            cells: into how many equal cells the window is cut along each axis: the shape of a feature map.
            parts: into how many equal parts the scan is cut along each axis.

        Returns:
            Per axis shares of shape (cells, parts), float32, in [0, 1]; the share of a box is their product.
        """
        each = zip(start, self.roi, cells, self.scan, parts, strict=True)
        return tuple(
            _shares(first, size, count, scan.start, scan.stop, into) for first, size, count, scan, into in each
        )


@lru_cache(maxsize=1024)
def _shares(first: int, size: int, count: int, low: int, high: int, into: int) -> Tensor:
    """Of one axis; kept, since windows in a row share theirs along two axes, and features of each are pooled."""
    with torch.inference_mode(False):  # a kept one may meet features that have gradients
        edges = first + torch.arange(count + 1) * (size / count)
        borders = low + torch.arange(into + 1) * ((high - low) / into)
        return overlaps(edges, borders) / (size / count)


def overlaps(edges: Tensor, borders: Tensor) -> Tensor:
    """Lengths that intervals share: (n + 1,) and (m + 1,) rising ends -> (n, m)."""
    low = torch.maximum(edges[:-1, None], borders[None, :-1])
    high = torch.minimum(edges[1:, None], borders[None, 1:])
    return (high - low).clamp_min(0)
