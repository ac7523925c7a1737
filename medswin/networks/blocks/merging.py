"""Patch merging: a coarser grid of wider tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.contract import triple


def by_distance(stride: Sequence[int]) -> list[tuple[int, ...]]:
    """Sub-lattice offsets, nearest to the corner first: 000 100 010 001 110 101 011 111 (MONAI's order since 1.5)."""
    return sorted(by_axis(stride), key=lambda offset: (sum(offset), [-i for i in offset]))


def by_axis(stride: Sequence[int]) -> list[tuple[int, ...]]:
    """Sub-lattice offsets in row-major order: 000 001 010 011 100 101 110 111 (MONAI's "mergingv2")."""
    return list(product(*(range(s) for s in stride)))


def legacy(stride: Sequence[int]) -> list[tuple[int, ...]]:
    """MONAI's order before 1.5: 000 100 010 001 101 010 001 111; two sub-lattices twice, two never.

    Raises:
        ConfigError: for another stride than 2 along every axis, which MONAI never had.
    """
    if tuple(stride) != (2, 2, 2):
        raise ConfigError(f"MONAI's old merging order is for a stride of 2, got {tuple(stride)}", where="merge_strides")
    return [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (0, 1, 0), (0, 0, 1), (1, 1, 1)]


ORDERS = {"merging": by_distance, "mergingv2": by_axis, "monai-legacy": legacy}


class PatchMerging(nn.Module):
    """Concatenate the prod(stride) sub-lattices of a token grid, normalise, and project to twice the channels.

    With ``post_norm`` it projects first and normalises the result (Liu et al. 2022, Swin V2).

    Args:
        dim: channels of a token.
        norm_layer: builds the norm from its number of channels.
        spatial_dims: 3; kept so that a caller may pass it by MONAI's name.
        stride: tokens merged per axis.
        order: order of the sub-lattices in the channels, ``"merging"``, ``"mergingv2"`` or ``"monai-legacy"``. It
            matters only for weights trained elsewhere.
        post_norm: normalise after the projection.
    """

    def __init__(
        self,
        dim: int,
        norm_layer: Callable[[int], nn.Module] = nn.LayerNorm,
        spatial_dims: int = 3,
        stride: int | Sequence[int] = 2,
        order: str = "merging",
        post_norm: bool = False,
    ) -> None:
        super().__init__()
        if spatial_dims != 3 or order not in ORDERS:
            raise ConfigError(
                f"patch merging works in 3 dimensions in the order {' or '.join(ORDERS)}, got {spatial_dims}, {order!r}"
            )
        self.stride = triple(stride, "stride")
        self.offsets = ORDERS[order](self.stride)
        self.order, self.post_norm = order, post_norm
        self.norm = norm_layer(2 * dim if post_norm else prod(self.stride) * dim)
        self.reduction = nn.Linear(prod(self.stride) * dim, 2 * dim, bias=False)

    def forward(self, x_BDHWC: Tensor) -> Tensor:
        """(B, D, H, W, C) -> (B, D/s, H/s, W/s, 2C); sizes that the stride does not divide are padded on the right."""
        a, b, c = (-size % step for size, step in zip(x_BDHWC.shape[1:4], self.stride, strict=True))
        x = F.pad(x_BDHWC, (0, 0, 0, c, 0, b, 0, a)) if a or b or c else x_BDHWC
        d, h, w = self.stride
        lattices = [x[:, i::d, j::h, k::w] for i, j, k in self.offsets]
        merged: Tensor = torch.cat(lattices, dim=-1)
        merged = self.norm(self.reduction(merged)) if self.post_norm else self.reduction(self.norm(merged))
        return merged
