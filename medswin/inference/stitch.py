"""What windows are gathered into: one weighted mean over all of them per voxel, or per feature."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from medswin.errors import ShapeError
from medswin.inference.windows import Shape, Tiling, overlaps
from medswin.ood import View
from medswin.transforms.foreground import CELL, body_cells

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
    """Features of each scan, gathered from all windows into the parts of a fixed grid over the scan.

    A cell is the block of voxels that one position of a feature map stands for. A part's feature is the mean over the
    cells, each counting by its share inside the part; padding lies in none. A part that gets nothing, as it holds air
    alone, gets the mean over the scan.

    Args:
        tiling: where windows lie.
        batch: scans in the batch.
        view: grid, pooling over its parts, and whether cells count by their share of the body; one part where None.
        images: the scans (C, D, H, W), for the body.
    """

    def __init__(self, tiling: Tiling, batch: int, view: View | None = None, images: Sequence[Tensor] = ()) -> None:
        self.tiling, self.view = tiling, view or View()
        axes = len(tiling.shape)
        self.grid = self.view.grid if axes == len(self.view.grid) else (1,) * axes
        self.bodies = [body_cells(image).float() for image in images] if self.view.foreground and axes == 3 else None
        self.sums: list[Tensor | float] = [0.0] * batch
        self.cells: list[Tensor | float] = [0.0] * batch

    def add(self, places: Sequence[Place], features: Tensor) -> None:
        """Add the features (N, F, *cells) of N windows."""
        for (scan, start), feature in zip(places, features.float(), strict=True):
            shares = self.tiling.shares(start, feature.shape[1:], self.grid)
            weight = feature.new_ones(feature.shape[1:])
            if self.bodies is not None:
                weight = self._body(scan, start, feature.shape[1:]).to(feature.device)
                feature = feature * weight
            # in double precision, so that the order of the windows does not tell
            self.sums[scan] = self.sums[scan] + _gathered(feature, shares).double()
            self.cells[scan] = self.cells[scan] + _gathered(weight[None], shares).double()

    def result(self) -> Tensor:
        """(B, F * view.cells) float32: channel after channel, the parts of each in their order."""
        return torch.stack([self._pooled(*scan) for scan in zip(self.sums, self.cells, strict=True)])

    def _pooled(self, sums: Tensor | float, cells: Tensor | float) -> Tensor:
        if not isinstance(sums, Tensor) or not isinstance(cells, Tensor):
            raise RuntimeError("features are asked for before any window came")
        whole = (sums.flatten(1).sum(1) / cells.sum()).reshape(-1, *(1 for _ in self.grid))
        means = torch.where(cells > 1e-6, sums / cells.clamp_min(1e-6), whole).float()
        if len(self.grid) == 3:
            means = F.avg_pool3d(means[None], self.view.kernels, self.view.strides)[0]
        return means.flatten()

    def _body(self, scan: int, start: Shape, cells: Sequence[int]) -> Tensor:
        """Share of the body in each cell of a window."""
        if self.bodies is None:
            raise RuntimeError("cells are not weighed by the body")
        body, found = self.bodies[scan], []
        inside = zip(start, self.tiling.roi, cells, self.tiling.scan, body.shape, strict=True)
        for first, size, count, inner, blocks in inside:
            edges = first + torch.arange(count + 1) * (size / count)
            borders = (inner.start + torch.arange(blocks + 1) * CELL).clamp(max=inner.stop)
            found.append(overlaps(borders.float(), edges) / (size / count))
        return _gathered(body[None].cpu(), found)[0]


def _gathered(values: Tensor, shares: Sequence[Tensor]) -> Tensor:
    """(F, *cells) summed into (F, *parts), axis after axis."""
    with torch.autocast(values.device.type, enabled=False):
        for share in shares:  # the first axis of the cells goes, and its parts come last
            values = torch.tensordot(values, share.to(values.device), dims=([1], [0]))
    return values


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
