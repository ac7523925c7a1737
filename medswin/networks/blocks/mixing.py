"""softmax(q k^T scale + added) v for groups of windows, with no matrix of all weights ever in memory.

PyTorch's fused kernel does the forward pass, but for narrow heads in bf16 on CPUs, which are a third faster as plain
products of a few windows at a time, with logits and weights rounded to bf16 as without a kernel (an error of 1 % where
the kernel's is 0.2 %). On CPUs it has no gradient for what is added to the logits, which is learned here:
the backward pass then makes the weights again, a few windows at a time (after Dao et al. 2022, FlashAttention).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

NARROW, LARGE = 16, 256  # a head of fewer channels, a window of more tokens: plain products are faster than the kernel
CORE_BYTES = 2**21  # of attention weights at once for each core: with their gradients, what its cache holds, about


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
    unrecorded = not (torch.is_grad_enabled() or dropout)
    half_on_cpu = q.device.type == "cpu" and q.dtype == torch.bfloat16
    if unrecorded and half_on_cpu and q.shape[3] < NARROW and q.shape[2] > LARGE:
        return _plain(q, k, v, added, sizes, scale)
    if added is None or len(sizes) == 1:
        return F.scaled_dot_product_attention(q, k, v, added, dropout, scale=scale)
    groups = zip(*(x.split(tuple(sizes)) for x in (q, k, v)), added.split(1), strict=True)
    return torch.cat([F.scaled_dot_product_attention(a, b, c, d, dropout, scale=scale) for a, b, c, d in groups])


def _plain(q: Tensor, k: Tensor, v: Tensor, added: Tensor | None, sizes: Sequence[int], scale: float) -> Tensor:
    """Without a gradient, a few windows at a time."""
    at_once, mixed = _at_once(q), torch.empty_like(q, memory_format=torch.contiguous_format)
    made = q.new_empty((at_once, *q.shape[1:3], q.shape[2]))  # written again and again: it stays in the cache
    added = q.new_zeros((len(sizes), 1, 1, 1)) if added is None else added
    for group, part in _chunks(sizes, at_once):
        weights = _weights(q, k, added[group], part, scale, made)
        torch.bmm(weights, v[part].flatten(0, 1), out=mixed[part].flatten(0, 1))
    return mixed


def _weights(q: Tensor, k: Tensor, added_HNN: Tensor, part: slice, scale: float, made_WHNN: Tensor) -> Tensor:
    """Attention weights of a few windows, (windows * heads, N, N), in memory that is there."""
    whole = made_WHNN[: part.stop - part.start]
    weights, bias = whole.flatten(0, 1), added_HNN.expand_as(whole).flatten(0, 1)
    torch.baddbmm(bias, q[part].flatten(0, 1), k[part].flatten(0, 1).mT, alpha=scale, out=weights)
    return torch.softmax(weights, -1, out=weights)


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
        scale, grad = ctx.scale, grad.to(q.dtype)
        of_q, of_k, of_v = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (q, k, v)]
        at_once, exact = _at_once(q), torch.promote_types(added.dtype, torch.float32)
        sums = added.new_zeros((len(added), *q.shape[1:3], q.shape[2]), dtype=exact)
        ones = sums.new_ones(at_once)
        made = q.new_empty((2, at_once, *q.shape[1:3], q.shape[2]))  # written again and again: it stays in the cache
        for group, part in _chunks(ctx.sizes, at_once):
            windows = part.stop - part.start
            weights, of_logits = _weights(q, k, added[group], part, scale, made[0]), made[1, :windows].flatten(0, 1)
            queries, keys, values, mixed = (x[part].flatten(0, 1) for x in (q, k, v, grad))
            of_v[part].flatten(0, 1).copy_((mixed.mT @ weights).mT)  # faster than weights.mT @ mixed
            torch.bmm(mixed, values.mT, out=of_logits)
            torch.ops.aten._softmax_backward_data.out(of_logits, weights, -1, weights.dtype, grad_input=of_logits)
            torch.bmm(of_logits, keys, out=of_q[part].flatten(0, 1))
            of_k[part].flatten(0, 1).copy_((queries.mT @ of_logits).mT)
            logits = made[1, :windows].flatten(1).to(exact)
            sums[group].view(-1).addmv_(logits.mT, ones[:windows])  # a faster sum(0)
        return of_q.mul_(scale), of_k.mul_(scale), of_v, sums.sum_to_size(added.shape).to(added.dtype), None, None


def _at_once(q_WHND: Tensor) -> int:
    """Windows whose attention weights, and the gradients of these, are made together."""
    bytes_each = q_WHND.shape[1] * q_WHND.shape[2] ** 2 * q_WHND.element_size()
    return min(max(CORE_BYTES * torch.get_num_threads() // bytes_each, 1), len(q_WHND))


def _chunks(sizes: Sequence[int], at_once: int) -> Iterator[tuple[int, slice]]:
    """Few windows of one group at a time: the group, and which windows."""
    first = 0
    for group, size in enumerate(sizes):
        for start in range(first, first + size, at_once):
            yield group, slice(start, min(start + at_once, first + size))
        first += size
