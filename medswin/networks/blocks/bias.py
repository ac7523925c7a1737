"""Positional terms: what attention knows about where its tokens are."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from medswin.networks.contract import Triple
from medswin.networks.partition import relative_index


class RelativeBias(nn.Module):
    """A learned number per head and relative offset, added to the attention logits (Liu et al. 2021, Swin).

    Args:
        window: largest window, in tokens per axis.
        heads: attention heads.
        truncate_index: for a clipped window take the corner of the full window's index, as MONAI does, instead of the
            clipped window's own. Most pairs then read a wrong entry; only for weights that were trained so.
    """

    def __init__(self, window: Triple, heads: int, truncate_index: bool = False) -> None:
        super().__init__()
        self.window, self.truncate_index = window, truncate_index
        self.table = nn.Parameter(torch.zeros(prod(2 * n - 1 for n in window), heads))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, window: Triple) -> Tensor:
        """(heads, N, N) for a window of this many tokens per axis, at most ``self.window``."""
        n = prod(window)
        index = relative_index(self.window if self.truncate_index else window, self.window)[:n, :n]
        return self.table[index.to(self.table.device)].permute(2, 0, 1)
