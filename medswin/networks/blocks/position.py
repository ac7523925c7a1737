"""Positional terms: what attention knows about where its tokens are.

`RelativeBias` and `LogCPB` are added to the attention logits, `LePE` to the values that attention mixed.
"""

from __future__ import annotations

from functools import lru_cache
from math import log2, prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.blocks.conv import conv3d
from medswin.networks.contract import Triple
from medswin.networks.partition import Partition, relative_index


class RelativeBias(nn.Module):
    """A learned number per head and relative offset, added to the attention logits (Liu et al. 2021, Swin).

    Args:
        window: largest window, in tokens per axis.
        heads: attention heads.
        truncate_index: for a clipped window take the corner of the full window's index, as MONAI does, instead of the
            clipped window's own. Most pairs then read a wrong entry; only for weights that were trained so.
    """

    weight_decay = False

    def __init__(self, window: Triple, heads: int, truncate_index: bool = False) -> None:
        super().__init__()
        self.window, self.truncate_index = window, truncate_index
        self.table = nn.Parameter(torch.zeros(prod(2 * n - 1 for n in window), heads))
        nn.init.trunc_normal_(self.table, std=0.02)

    def forward(self, window: Triple) -> Tensor:
        """(heads, N, N) for a window of this many tokens per axis, at most ``self.window``."""
        n = prod(window)
        index = relative_index(self.window if self.truncate_index else window, self.window)[:n, :n]
        return self.table.t()[:, index.to(self.table.device)]


def crop_table(table: Tensor, window: Triple, smaller: Triple) -> Tensor:
    """The rows of a `RelativeBias` table of ``window`` that a ``smaller`` window reads: the same bias per offset.

    Args:
        table: (prod(2 * window - 1), heads).
        window, smaller: tokens per axis, the second at most the first.
    """
    whole: Tensor = table.unflatten(0, [2 * n - 1 for n in window])
    d, h, w = (slice(n - s, n + s - 1) for n, s in zip(window, smaller, strict=True))
    return whole[d, h, w].flatten(0, 2)


class LogCPB(nn.Module):
    """Log-spaced continuous position bias: 16 sigmoid(MLP(offset)) per head (Liu et al. 2022, Swin V2).

    An offset of d tokens enters per axis as sign(e) log2(|e| + 1) / 3 with e = 8 d / (window - 1). It is a function of
    the offset alone, hence right for any window, clipped or larger than those of the training.

    Args:
        window: the window in whose units offsets are told, in tokens per axis.
        heads: attention heads.
        hidden: width of the MLP's hidden layer.
    """

    weight_decay = False

    def __init__(self, window: Triple, heads: int, hidden: int = 512) -> None:
        super().__init__()
        self.window = window
        self.hidden, self.out = nn.Linear(3, hidden), nn.Linear(hidden, heads, bias=False)

    def forward(self, window: Triple) -> Tensor:
        """(heads, N, N) for a window of this many tokens per axis."""
        offsets = _log_offsets(window, self.window).to(self.out.weight)
        table = 16 * torch.sigmoid(self.out(F.relu(self.hidden(offsets))))
        return table[relative_index(window, window).to(table.device)].permute(2, 0, 1)


@lru_cache(maxsize=128)
@torch.inference_mode(False)
def _log_offsets(window: Triple, unit: Triple) -> Tensor:
    """Every offset of a window once, log-spaced, in the order of `relative_index`: (rows, 3)."""
    axes = [torch.arange(1 - n, n, device="cpu") * (8 / max(u - 1, 1)) for n, u in zip(window, unit, strict=True)]
    scaled = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).reshape(-1, 3)
    return scaled.sign() * torch.log2(scaled.abs() + 1) / log2(8)


class LePE(nn.Module):
    """Locally enhanced positional encoding: a depthwise 3x3x3 convolution of the values (Dong et al. 2022, CSWin).

    Args:
        dim: channels of a token.
        within: ``"window"`` convolves inside each window, zeros beyond its faces, as published; ``"volume"`` lets the
            convolution reach over the faces of the windows. Pads are zeros in both.
    """

    def __init__(self, dim: int, within: str = "window") -> None:
        super().__init__()
        if within not in ("window", "volume"):
            raise ConfigError(f"LePE works within 'window' or 'volume', got {within!r}", where="lepe")
        self.within = within
        self.conv = nn.Conv3d(dim, dim, 3, padding=1, groups=dim)

    def forward(self, v_MBNC: Tensor, part: Partition, group: int = 0) -> Tensor:
        """Values of a group of heads in the windows of ``part`` -> what is added to their mixture, the same shape.

        Args:
            group: number of the group; its channels are the layer's channels ``group * C`` to ``(group + 1) * C``.
        """
        m, b, n, c = v_MBNC.shape
        if self.within == "volume":
            return part.cut(self._convolve(part.join(v_MBNC), group))
        real = part.real(v_MBNC.device)
        v = v_MBNC if real is None else v_MBNC * real[:, None, :, None]
        return self._convolve(v.reshape(m * b, *part.window, c), group).reshape(m, b, n, c)

    def _convolve(self, x_BDHWC: Tensor, group: int) -> Tensor:
        c = x_BDHWC.shape[-1]
        # Along an axis of one token the outer planes of the kernel meet zeros only: leave them out.
        planes = [slice(1, 2) if size == 1 else slice(None) for size in x_BDHWC.shape[1:4]]
        weight = self.conv.weight[group * c : (group + 1) * c, :, planes[0], planes[1], planes[2]]
        bias = None if self.conv.bias is None else self.conv.bias[group * c : (group + 1) * c]
        padding = [n // 2 for n in weight.shape[2:]]
        return conv3d(x_BDHWC.movedim(-1, 1), weight, bias, padding, groups=c).movedim(1, -1)
