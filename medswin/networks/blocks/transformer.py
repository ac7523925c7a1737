"""The transformer block and the stage that all window-attention encoders share."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medswin.networks.blocks.attention import WindowAttention
from medswin.networks.layouts import Layout
from medswin.networks.partition import Partition


class DropPath(nn.Module):
    """Leave a residual branch out for whole samples while training (stochastic depth, Huang et al. 2016).

    Args:
        rate: probability of leaving it out, 0 to 1; kept branches are scaled by 1 / (1 - rate).
    """

    def __init__(self, rate: float = 0.0) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0.0:
            return x
        keep = 1.0 - self.rate
        return x * x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(keep) / max(keep, 1e-12)


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)), on channels-last tokens (Liu et al. 2021).

    With ``post_norm`` x + norm(attention(x)), then x + norm(MLP(x)), where the norms begin at zero, so that an
    untrained block changes nothing (Liu et al. 2022, Swin V2).

    Args:
        dim: channels of a token.
        attention: attention over a partition.
        mlp_ratio: width of the MLP's hidden layer over ``dim``.
        drop: dropout in the MLP, 0 to 1.
        drop_path: stochastic depth rate, 0 to 1.
        post_norm: normalise what a branch returns instead of what it gets.
    """

    def __init__(
        self,
        dim: int,
        attention: WindowAttention,
        mlp_ratio: float = 4.0,
        drop: float = 0.0,
        drop_path: float = 0.0,
        post_norm: bool = False,
    ) -> None:
        super().__init__()
        self.post_norm = post_norm
        hidden = int(dim * mlp_ratio)
        self.norm1, self.attention = nn.LayerNorm(dim), attention
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(drop), nn.Linear(hidden, dim), nn.Dropout(drop)
        )
        self.drop_path = DropPath(drop_path)
        for norm in (self.norm1, self.norm2) if post_norm else ():
            nn.init.zeros_(norm.weight)

    def forward(self, x_BDHWC: Tensor, parts: Sequence[Partition]) -> Tensor:
        """(B, *grid, C) -> the same shape; for ``parts`` see `WindowAttention.forward`."""
        x: Tensor = x_BDHWC
        if self.post_norm:
            x = x + self.drop_path(self.norm1(self.attention(x, parts)))
        else:
            x = x + self.drop_path(self.attention(self.norm1(x), parts))
        # The MLP's hidden layer is the widest map of all, and made again in a fraction of the time that it took.
        more = checkpoint(self._mixed_channels, x, use_reentrant=False) if x.requires_grad else self._mixed_channels(x)
        x = x + self.drop_path(more)
        return x

    def _mixed_channels(self, x_BDHWC: Tensor) -> Tensor:
        mixed: Tensor = self.norm2(self.mlp(x_BDHWC)) if self.post_norm else self.mlp(self.norm2(x_BDHWC))
        return mixed


class Stage(nn.Module):
    """Transformer blocks over one grid, then the merging to a coarser one; channels-last.

    Args:
        blocks: the blocks.
        layout: which partitions each block attends over.
        merging: (B, D, H, W, C) -> the coarser grid.
        before: convolution in front of the blocks, channels-first, if any.
        use_checkpoint: recompute the blocks in the backward pass.
    """

    def __init__(
        self,
        blocks: Sequence[TransformerBlock],
        layout: Layout,
        merging: nn.Module,
        before: nn.Module | None = None,
        use_checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.before, self.blocks, self.merging = before, nn.ModuleList(blocks), merging
        self.layout, self.use_checkpoint = layout, use_checkpoint

    def forward(self, x_BDHWC: Tensor) -> Tensor:
        """(B, *grid, C) -> (B, *coarser grid, 2C)."""
        x = x_BDHWC
        if self.before is not None:
            x = self.before(x.movedim(-1, 1)).movedim(1, -1)
        d, h, w = x.shape[1:4]
        recompute = self.use_checkpoint and torch.is_grad_enabled()
        for i, block in enumerate(self.blocks):
            parts = self.layout((d, h, w), i)
            x = checkpoint(block, x, parts, use_reentrant=False) if recompute else block(x, parts)
        merged: Tensor = self.merging(x)
        return merged


def init_linear(module: nn.Module) -> None:
    """Truncated normal weights (std 0.02) and zero biases in every linear layer, as Swin is published."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            with torch.no_grad():
                module.bias.zero_()
