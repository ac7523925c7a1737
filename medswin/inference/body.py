"""Which windows hold any of the patient: those that hold air alone need no network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from medswin.inference.windows import Shape, Tiling

CELL = 4  # voxels along an edge of the cells whose means are looked at
DARK = 0.1  # of the range from the darkest to the brightest cells; what lies below is air
PERCENTILES = (0.005, 0.95)  # a small bright part (a tracer, a vessel) must not make tissue dark


def body_cells(image_CDHW: Tensor) -> Tensor:
    """Cells of `CELL` voxels that are not air in some channel, or have a neighbour that is not.

    Air is what is darker than the darkest cells plus a tenth of the range up to the bright ones (`PERCENTILES`). A scan
    that was cropped to the body has darkest cells too, but hardly a window of them alone.

    Args:
        image_CDHW: as the network sees it.

    Returns:
        bool (D / 4, H / 4, W / 4), rounded up.
    """
    cell = [min(CELL, size) for size in image_CDHW.shape[1:]]
    means = F.avg_pool3d(image_CDHW[None].float(), cell, CELL, ceil_mode=True, count_include_pad=False)[0]
    body = torch.zeros_like(means[0], dtype=torch.bool)
    for channel in means:
        ranked = channel.flatten().sort().values
        low, high = (ranked[round(share * (len(ranked) - 1))] for share in PERCENTILES)
        body |= (channel > low + DARK * (high - low)) if high > low else torch.ones_like(body)
    near: Tensor = F.max_pool3d(body[None].float(), 3, 1, 1)[0] > 0
    return near


def body_windows(image_CDHW: Tensor, tiling: Tiling) -> frozenset[Shape]:
    """Starts of the windows that hold any of the body; of all windows where there would be none, or not in 3D."""
    if image_CDHW.ndim != 4:
        return frozenset(tiling.starts)
    cells = body_cells(image_CDHW)
    found = frozenset(start for start in tiling.starts if _holds(cells, tiling, start))
    return found or frozenset(tiling.starts)


def _holds(cells: Tensor, tiling: Tiling, start: Sequence[int]) -> bool:
    spans = []
    for first, size, (before, _) in zip(start, tiling.roi, tiling.pads, strict=True):
        low, high = first - before, first - before + size
        spans.append(slice(max(low, 0) // CELL, -(-high // CELL)))
    return bool(cells[tuple(spans)].any())
