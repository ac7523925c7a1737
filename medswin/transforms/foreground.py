"""Where the patient is: cells of a scan that are not air."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

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


def body_box(image_CDHW: Tensor, margin: int = 0) -> tuple[slice, slice, slice]:
    """The box of voxels that holds all `body_cells`, and ``margin`` voxels around it; all of a scan without any."""
    cells = body_cells(image_CDHW)
    spans = []
    for axis, size in enumerate(image_CDHW.shape[1:]):
        held = cells.any(dim=tuple(other for other in range(3) if other != axis)).nonzero().flatten().tolist()
        first, last = (held[0] * CELL, (held[-1] + 1) * CELL) if held else (0, size)
        spans.append(slice(max(first - margin, 0), min(last + margin, size)))
    return spans[0], spans[1], spans[2]
