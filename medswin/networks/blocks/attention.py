"""Multi-head self-attention inside the windows of a partition."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.blocks.bias import RelativeBias
from medswin.networks.partition import Partition


class WindowAttention(nn.Module):
    """softmax(q k^T / sqrt(head width) + bias) v among the tokens of each window that may see each other.

    Args:
        dim: channels of a token, divisible by ``heads``.
        heads: attention heads.
        bias: the positional term.
        qkv_bias: whether queries, keys and values have a bias.
        attn_drop: dropout of the attention weights, 0 to 1.
        proj_drop: dropout of the output, 0 to 1.
        mask_pads: hide the tokens that padding brought in.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        bias: RelativeBias,
        qkv_bias: bool = True,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        mask_pads: bool = True,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(
                f"{dim} channels cannot be shared among {heads} heads", repair="make the heads divide the channels"
            )
        self.heads, self.bias, self.attn_drop, self.mask_pads = heads, bias, attn_drop, mask_pads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, x_BDHWC: Tensor, part: Partition) -> Tensor:
        """(B, *part.grid, C) -> the same shape."""
        windows = part.cut(x_BDHWC)
        b, m, n, c = windows.shape
        q, k, v = self.qkv(windows).reshape(b, m, n, 3, self.heads, c // self.heads).permute(3, 0, 1, 4, 2, 5)
        dropout = self.attn_drop if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=self._added(part, q), dropout_p=dropout)
        mixed = mixed.transpose(2, 3).reshape(b, m, n, c)
        return part.join(self.proj_drop(self.proj(mixed)))

    def _added(self, part: Partition, q: Tensor) -> Tensor:
        """What is added to the attention logits: (heads, N, N), or (M, heads, N, N) where some pairs are hidden."""
        bias: Tensor = self.bias(part.window)
        visible = part.visible(self.mask_pads)
        if visible is not None:
            bias = torch.where(visible[:, None].to(q.device), bias, float("-inf"))
        return bias.to(q.dtype)
