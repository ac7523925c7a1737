"""Which windows hold any of the patient: those that hold air alone need no network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from medswin.inference.windows import Shape, Tiling
from medswin.transforms.foreground import CELL, body_cells


def body_windows(image_CDHW: Tensor, tiling: Tiling) -> frozenset[Shape]:
    """Starts of the windows that hold any of the body, its lungs and other dark insides included.

    Those of all windows where there would be none, or not in 3D.
    """
    if image_CDHW.ndim != 4:
        return frozenset(tiling.starts)
    cells = _with_insides(body_cells(image_CDHW))
    found = frozenset(start for start in tiling.starts if _holds(cells, tiling, start))
    return found or frozenset(tiling.starts)


def _with_insides(cells_DHW: Tensor) -> Tensor:
    """And the cells that lie between others along two axes at least: lungs, though they are open above and below."""
    between = torch.zeros_like(cells_DHW, dtype=torch.uint8)
    for axis in range(3):
        before = cells_DHW.to(torch.uint8).cummax(axis).values
        behind = cells_DHW.flip(axis).to(torch.uint8).cummax(axis).values.flip(axis)
        between += before * behind
    return cells_DHW | (between >= 2)


def _holds(cells: Tensor, tiling: Tiling, start: Sequence[int]) -> bool:
    spans = []
    for first, size, (before, _) in zip(start, tiling.roi, tiling.pads, strict=True):
        low, high = first - before, first - before + size
        spans.append(slice(max(low, 0) // CELL, -(-high // CELL)))
    return bool(cells[tuple(spans)].any())
