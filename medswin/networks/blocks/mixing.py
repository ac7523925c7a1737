"""softmax(q k^T scale + added) v for groups of windows, with no matrix of all weights ever in memory.

PyTorch's fused kernel does the forward pass everywhere. On CPUs it has no gradient for what is added to the logits,
which is learned here: the backward pass then makes the weights again, a few windows at a time (after Dao et al. 2022,
FlashAttention).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_BYTES = 2**22  # of attention weights at once: what the cache of a core or two holds


def mix(
    q_WHND: Tensor,
    k_WHND: Tensor,
    v_WHND: Tensor,
    added_GHNN: Tensor | None,
    sizes: Sequence[int],
    scale: float,
    dropout: float = 0.0,
) -> Tensor:
    """Attention in each of W windows.

    Args:
        q_WHND, k_WHND, v_WHND: queries, keys and values of H heads and N tokens.
        added_GHNN: added to the logits of each group of windows, H or 1 heads; None for nothing.
        sizes: windows of each group, in their order.
        scale: factor of the products of queries and keys.
        dropout: of the attention weights, 0 to 1.

    Returns:
        (W, H, N, D).
    """
    device = q_WHND.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        q_WHND, k_WHND, v_WHND = (x.to(dtype) for x in (q_WHND, k_WHND, v_WHND))
        added_GHNN = None if added_GHNN is None else added_GHNN.to(dtype)
    learned = added_GHNN is not None and added_GHNN.requires_grad and torch.is_grad_enabled()
    if learned and device == "cpu" and not dropout:
        mixed: Tensor = _Biased.apply(q_WHND, k_WHND, v_WHND, added_GHNN, tuple(sizes), scale)
        return mixed
    return _fused(q_WHND, k_WHND, v_WHND, added_GHNN, sizes, scale, dropout)


def _fused(
    q: Tensor, k: Tensor, v: Tensor, added: Tensor | None, sizes: Sequence[int], scale: float, dropout: float
) -> Tensor:
    if added is None or len(sizes) == 1:
        return F.scaled_dot_product_attention(q, k, v, added, dropout, scale=scale)
    groups = zip(*(x.split(tuple(sizes)) for x in (q, k, v)), added.split(1), strict=True)
    return torch.cat([F.scaled_dot_product_attention(a, b, c, d, dropout, scale=scale) for a, b, c, d in groups])


class _Biased(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, added: Tensor, sizes: tuple[int, ...], scale: float
    ) -> Tensor:
        ctx.save_for_backward(q, k, v, added)
        ctx.sizes, ctx.scale = sizes, scale
        return _fused(q, k, v, added.detach(), sizes, scale, 0.0)  # what still asks for a gradient is mixed slowly

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, added = ctx.saved_tensors
        grad = grad.to(q.dtype)
        grads = [torch.empty_like(x) for x in (q, k, v)]
        grad_added = torch.zeros_like(added, dtype=torch.promote_types(added.dtype, torch.float32))
        for group, part in _chunks(ctx.sizes, q.shape[1] * q.shape[2] ** 2 * q.element_size()):
            of_q, of_k, of_v, of_mixed = (x[part].contiguous() for x in (q, k, v, grad))
            of_q = of_q * ctx.scale
            weights = (of_q @ of_k.mT).add_(added[group]).softmax(-1)
            grads[2][part] = (of_mixed.mT @ weights).mT  # faster than weights.mT @ of_mixed
            of_logits = torch._softmax_backward_data(of_mixed @ of_v.mT, weights, -1, weights.dtype)
            grads[0][part] = (of_logits @ of_k).mul_(ctx.scale)
            grads[1][part] = (of_q.mT @ of_logits).mT
            grad_added[group] += of_logits.sum(0, dtype=grad_added.dtype).sum_to_size(added.shape[1:])
        return (*grads, grad_added.to(added.dtype), None, None)


def _chunks(sizes: Sequence[int], bytes_each: int) -> Iterator[tuple[int, slice]]:
    """Few windows of one group at a time: the group, and which windows."""
    at_once, first = max(CHUNK_BYTES // bytes_each, 1), 0
    for group, size in enumerate(sizes):
        for start in range(first, first + size, at_once):
            yield group, slice(start, min(start + at_once, first + size))
        first += size
