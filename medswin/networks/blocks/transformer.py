"""The transformer block that all window-attention encoders share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medswin.networks.blocks.attention import WindowAttention
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
    """x + attention(norm(x)), then x + MLP(norm(x)), on channels-last tokens (Liu et al. 2021, pre-norm).

    Args:
        dim: channels of a token.
        attention: attention over a partition.
        mlp_ratio: width of the MLP's hidden layer over ``dim``.
        drop: dropout in the MLP, 0 to 1.
        drop_path: stochastic depth rate, 0 to 1.
    """

    def __init__(
        self, dim: int, attention: WindowAttention, mlp_ratio: float = 4.0, drop: float = 0.0, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.norm1, self.attention = nn.LayerNorm(dim), attention
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(drop), nn.Linear(hidden, dim), nn.Dropout(drop)
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, x_BDHWC: Tensor, part: Partition) -> Tensor:
        """(B, *part.grid, C) -> the same shape."""
        x: Tensor = x_BDHWC + self.drop_path(self.attention(self.norm1(x_BDHWC), part))
        x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x


def init_linear(module: nn.Module) -> None:
    """Truncated normal weights (std 0.02) and zero biases in every linear layer, as Swin is published."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            with torch.no_grad():
                module.bias.zero_()
