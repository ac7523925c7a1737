"""Multi-head self-attention inside the windows of one partition, or of one partition per group of heads."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.blocks.mixing import mix
from medswin.networks.blocks.norm import has_hooks
from medswin.networks.blocks.position import LePE, LogCPB, RelativeBias
from medswin.networks.partition import Group, Partition

LARGEST_SCALE = 100.0


class WindowAttention(nn.Module):
    """softmax(q k^T / sqrt(head width) + bias) v + LePE(v) among the tokens of each window that may see each other.

    Args:
        dim: channels of a token, divisible by ``heads``.
        heads: attention heads.
        bias: positional term of the logits, if any.
        lepe: positional term of the values, if any.
        qkv_bias: whether queries, keys and values have a bias.
        attn_drop: dropout of the attention weights, 0 to 1.
        proj_drop: dropout of the output, 0 to 1.
        mask_pads: hide the tokens that padding brought in.
        cosine: the logits are s cos(q, k) + bias, with a learned s of at most 100 per head, and keys have no bias
            (Liu et al. 2022, Swin V2).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        bias: RelativeBias | LogCPB | None = None,
        lepe: LePE | None = None,
        qkv_bias: bool = True,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        mask_pads: bool = True,
        cosine: bool = False,
    ) -> None:
        super().__init__()
        if dim % heads:
            raise ConfigError(
                f"{dim} channels cannot be shared among {heads} heads", repair="make the heads divide the channels"
            )
        self.heads, self.bias, self.lepe = heads, bias, lepe
        self.attn_drop, self.mask_pads = attn_drop, mask_pads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.logit_scale = nn.Parameter(torch.full((heads,), log(10.0))) if cosine else None
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, x_BDHWC: Tensor, parts: Sequence[Partition]) -> Tensor:
        """(B, *grid, C) -> the same shape.

        Args:
            parts: partitions of the grid; the heads are shared among them in equal groups, the first heads to the
                first partition.
        """
        mixed = [self._attend(x_BDHWC, part, group, len(parts)) for group, part in enumerate(parts)]
        whole = mixed[0] if len(mixed) == 1 else torch.cat(mixed, dim=-1)
        attended: Tensor = self.proj_drop(self.proj(whole))
        return attended

    def _attend(self, x_BDHWC: Tensor, part: Partition, group: int, groups: int) -> Tensor:
        windows = part.cut(x_BDHWC)
        m, b, n, _ = windows.shape
        heads = slice(group * self.heads // groups, (group + 1) * self.heads // groups)
        qkv = self._projected(windows, group, groups).view(m * b, n, 3, self.heads // groups, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind()
        scale = q.shape[-1] ** -0.5
        if self.logit_scale is not None:
            sharpness = self.logit_scale[heads].clamp(max=log(LARGEST_SCALE)).exp()[:, None, None]
            q, k, scale = F.normalize(q, dim=-1) * sharpness.to(q.dtype), F.normalize(k, dim=-1), 1.0
        kinds = part.groups(self.mask_pads)
        sizes = [b * kind.windows for kind in kinds]
        mixed = mix(q, k, v, self._added(part, kinds, heads, q), sizes, scale, self.attn_drop if self.training else 0.0)
        mixed = mixed.transpose(1, 2).reshape(m, b, n, -1)
        if self.lepe is not None:
            mixed = mixed + self.lepe(qkv[:, :, 2].reshape(m, b, n, -1), part, group)
        return part.join(mixed)

    def _projected(self, windows: Tensor, group: int, groups: int) -> Tensor:
        """Queries, keys and values of a group of heads, by the module itself where more hangs on it than weights."""
        if self.logit_scale is None and (groups == 1 or has_hooks(self.qkv) or type(self.qkv) is not nn.Linear):
            whole: Tensor = self.qkv(windows)
            return whole if groups == 1 else whole.unflatten(-1, (3, groups, -1))[..., group, :].flatten(-2)
        return F.linear(windows, *self._weights(group, groups))

    def _weights(self, group: int, groups: int) -> tuple[Tensor, Tensor | None]:
        """The rows of the query, key and value projections that belong to a group of heads."""
        weight = self.qkv.weight.unflatten(0, (3, groups, -1))[:, group].flatten(0, 1)
        if self.qkv.bias is None:
            return weight, None
        bias = self.qkv.bias.unflatten(0, (3, groups, -1))[:, group]
        if self.logit_scale is not None:
            bias = torch.stack([bias[0], torch.zeros_like(bias[1]), bias[2]])
        return weight, bias.flatten()

    def _added(self, part: Partition, kinds: Sequence[Group], heads: slice, like: Tensor) -> Tensor | None:
        """What is added to the logits of each kind of windows: (kinds, heads or 1, N, N), or None for nothing."""
        bias = None if self.bias is None else self.bias(part.window)[heads].to(like.dtype)
        if all(kind.visible is None for kind in kinds):
            return None if bias is None else bias[None]
        seen = like.new_zeros(()) if bias is None else bias
        masks = [seen if kind.visible is None else _masked(seen, kind.visible) for kind in kinds]
        shape = torch.broadcast_shapes(*(mask.shape for mask in masks), (1, 1, 1))
        return torch.stack([mask.expand(shape) for mask in masks])


def _masked(seen: Tensor, visible: Tensor) -> Tensor:
    return seen.masked_fill(~visible.to(seen.device), float("-inf"))
