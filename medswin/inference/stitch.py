"""What windows are gathered into: one weighted mean over all of them per voxel, or per feature."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from medswin.errors import ShapeError
from medswin.inference.windows import Shape, Tiling

Place = tuple[int, Shape]
"""A window: which scan of the batch, and its first voxel on the padded scan."""


class Canvas:
    """Puts windows together: each voxel is the mean over the windows that hold it, weighted by `importance`.

    Args:
        tiling: where windows lie.
        weights: importance of a window's voxels, of the window's shape.
        batch: scans in the batch.
        like: one network output (N, C, *roi): says channels, and number format (half precision is summed in fp32).
        device: where the whole scan is put together.

    Raises:
        ShapeError: if the network's output does not have the window's size.
    """

    def __init__(self, tiling: Tiling, weights: Tensor, batch: int, like: Tensor, device: torch.device) -> None:
        if tuple(like.shape[2:]) != tiling.roi:
            raise ShapeError(
                f"the network answers a window of {tiling.roi} voxels with an output of shape {tuple(like.shape)}",
                where="network",
                repair="give a network whose output is as large as its input",
            )
        self.tiling = tiling
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.weights = weights.to(device, dtype)
        self.sums = torch.zeros((batch, like.shape[1], *tiling.padded), dtype=dtype, device=device)

    def add(self, places: Sequence[Place], windows: Tensor) -> None:
        """Add the network's output (N, C, *roi) for N windows."""
        weighted = windows.to(self.weights) * self.weights
        for (scan, start), window in zip(places, weighted, strict=True):
            place: Any = (scan, slice(None), *self.tiling.window(start))
            self.sums[place] += window

    def result(self) -> Tensor:
        """(B, C, *shape): the whole scan, without its padding."""
        total = torch.zeros(self.tiling.padded, dtype=self.weights.dtype, device=self.weights.device)
        for start in self.tiling.starts:
            total[self.tiling.window(start)] += self.weights
        inside = self.tiling.scan
        return self.sums[(slice(None), slice(None), *inside)] / total[inside]


class FeaturePool:
    """Mean feature of each scan over all cells of all windows, a cell counting by its share inside the scan.

    A cell is the block of voxels that one position of the feature stands for. Padding is thus never pooled, and a
    window counts by how many of its cells lie in the scan.
    """

    def __init__(self, tiling: Tiling, batch: int) -> None:
        self.tiling = tiling
        self.sums: list[Tensor | float] = [0.0] * batch
        self.cells = [0.0] * batch

    def add(self, places: Sequence[Place], features: Tensor) -> None:
        """Add the features (N, F, *cells) of N windows."""
        for (scan, start), feature in zip(places, features.float(), strict=True):
            share = self.tiling.share_inside(start, feature.shape[1:]).to(feature.device)
            total = (feature * share).flatten(1).sum(1)
            self.sums[scan] = self.sums[scan] + total.double()  # so that the order of the windows does not tell
            self.cells[scan] += float(share.sum())

    def result(self) -> Tensor:
        """(B, F) float32."""
        return torch.stack([torch.as_tensor(s) / n for s, n in zip(self.sums, self.cells, strict=True)]).float()


def parts(output: Any) -> dict[Hashable, Tensor]:
    """The tensors of a network's output by name: of a tensor, of a tuple or list, or of a dict.

    Raises:
        ShapeError: if there is anything else in it.
    """
    named: dict[Hashable, Any]
    if isinstance(output, Mapping):
        named = dict(output)
    else:
        named = dict(enumerate([output] if isinstance(output, Tensor) else output))
    wrong = [type(part).__name__ for part in named.values() if not isinstance(part, Tensor)]
    if wrong:
        raise ShapeError(
            f"the network's output holds a {wrong[0]}",
            where="network",
            repair="give a network that returns a tensor, or a tuple or dict of tensors",
        )
    return named


def unpart(named: Mapping[Hashable, Tensor], output: Any) -> Any:
    """Tensors back in the form of ``output``; a list becomes a tuple, and what holds one tensor that tensor."""
    if isinstance(output, Mapping):
        return dict(named)
    return next(iter(named.values())) if len(named) == 1 else tuple(named.values())
