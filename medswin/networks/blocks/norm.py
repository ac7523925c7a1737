"""leaky(norm(x) + skip) as one step.

On CPUs plain instance norm goes through memory once, in place, and what is kept for the backward pass is the result
alone: the normalised values follow from it, since the activation can be undone (after Rota Bulo et al. 2018, In-Place
Activated BatchNorm). Other norms and devices take PyTorch's own functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medswin.errors import ConfigError

LAST = torch.channels_last_3d
CHUNK_VALUES = 2**19  # of a map at once: what a processor's cache holds
WIDEST_FOLD = 1024  # values; rows of few channels are slow, so several voxels share one


def norm_act(x_BCDHW: Tensor, norm: nn.Module, skip_BCDHW: Tensor | None = None, slope: float = 0.01) -> Tensor:
    """leaky_relu(norm(x) + skip), channels-last in memory; ``x`` is overwritten.

    Args:
        x_BCDHW: what a convolution returned, needed by nobody else.
        norm: normalises over space.
        skip_BCDHW: added before the activation, if any.
        slope: of the activation below zero, positive; 1 for none.

    Raises:
        ConfigError: where it is compiled for a CPU in bf16.
    """
    _refuse_garbage(x_BCDHW)
    plain = isinstance(norm, nn.InstanceNorm3d) and not norm.affine and not norm.track_running_stats
    plain = plain and not has_hooks(norm) and x_BCDHW.numel() > 0 and x_BCDHW.dtype != torch.float64
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined]
    if plain and x_BCDHW.device.type == "cpu" and not traced:
        skip = None if skip_BCDHW is None else skip_BCDHW.contiguous(memory_format=LAST)
        done: Tensor = _InstanceNormAct.apply(x_BCDHW.contiguous(memory_format=LAST), skip, slope, norm.eps)
        return done
    # Group norm of maps that have channels last is inexact in PyTorch 2.13: 1e-4 where 1e-6 is usual.
    x = norm(x_BCDHW.contiguous() if isinstance(norm, nn.GroupNorm) else x_BCDHW)
    x = x if skip_BCDHW is None else x + skip_BCDHW
    return F.leaky_relu(x, slope, inplace=True)


def _refuse_garbage(x_BCDHW: Tensor) -> None:
    """Refuse what PyTorch 2.13 compiles into numbers from memory that nobody wrote, often NaN.

    A map of bf16 that a convolution left with channels first, normalised and added to one with channels last, is
    enough for that: ``leaky_relu(instance_norm(a) + b)``, by g++ 12 for AVX512.
    """
    if torch.compiler.is_compiling() and x_BCDHW.dtype == torch.bfloat16 and x_BCDHW.device.type == "cpu":
        raise ConfigError(
            "PyTorch's compiler makes wrong numbers of bf16 on CPUs",
            where="torch.compile",
            repair="leave torch.compile out, which makes nothing faster there, or compile in fp32",
        )


def has_hooks(module: nn.Module) -> bool:
    """Whether something waits for the module to be called, which then must be called as it is."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks)


class _InstanceNormAct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, skip: Tensor | None, slope: float, eps: float) -> Tensor:
        scales = []
        for sample, rows in enumerate(_rows(x)):
            mean, scale = _moments(rows, x.shape[1], eps)
            scales.append(scale)
            factor, shift = (values.repeat(rows.shape[1] // len(mean)) for values in (scale, -mean * scale))
            skips = None if skip is None else _rows(skip)[sample]
            exact = torch.empty(0) if rows.dtype == shift.dtype else shift.new_empty(rows[: _chunk(rows)].shape)
            for part in _chunks(rows):
                given = rows[part]
                values = exact[: len(given)].copy_(given) if len(exact) else given
                torch.addcmul(shift, values, factor, out=values)
                if skips is not None:
                    values += skips[part]
                F.leaky_relu_(values, slope)
                if len(exact):
                    given.copy_(values)
        y = x.detach()  # and not marked as overwritten, which costs copies where x is a view
        ctx.save_for_backward(y, skip, torch.stack(scales))
        ctx.slope = slope
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        y, skip, scales = ctx.saved_tensors
        grad = grad.contiguous(memory_format=LAST)
        grad_sum = torch.empty_like(y)  # of norm(x) + skip
        grad_x = torch.empty_like(y) if skip is not None else grad_sum
        for sample, (grads, done) in enumerate(zip(_rows(grad), _rows(y), strict=True)):
            skips = None if skip is None else _rows(skip)[sample]
            of_sums, of_xs = _rows(grad_sum)[sample], _rows(grad_x)[sample]
            totals = _undo_activation(grads, done, skips, ctx.slope, of_sums)
            means = totals.unflatten(1, (-1, y.shape[1])).sum(1) * (y.shape[1] / done.numel())
            _undo_norm(done, skips, ctx.slope, of_sums, means, scales[sample], of_xs)
        return grad_x, grad_sum if skip is not None else None, None, None


def _undo_activation(grads: Tensor, done: Tensor, skips: Tensor | None, slope: float, of_sums: Tensor) -> Tensor:
    """Gradient of norm(x) + skip; its sum over the rows, and that of its product with norm(x), (2, width).

    The activation multiplies by a, 1 or the slope, on the way there and back: the product is (g a) (y / a - skip).
    """
    totals, held = done.new_zeros((2, done.shape[1]), dtype=torch.float32), _buffers(done)
    for part in _chunks(done):
        given, result = grads[part].float(), done[part].float()
        values, products = of_sums[part] if held.dtype == done.dtype else held[0, : len(given)], held[1, : len(given)]
        torch.ops.aten.leaky_relu_backward.grad_input(given, result, slope, True, grad_input=values)
        torch.mul(given, result, out=products)
        if skips is not None:
            products.addcmul_(values, skips[part], value=-1)
        totals[0] += values.sum(0)
        totals[1] += products.sum(0)
        if held.dtype != done.dtype:
            of_sums[part] = values
    return totals


def _undo_norm(
    done: Tensor, skips: Tensor | None, slope: float, of_sums: Tensor, means: Tensor, scale: Tensor, of_xs: Tensor
) -> None:
    """Gradient of x: (g - mean(g) - norm(x) mean(g norm(x))) times the scale."""
    fold = done.shape[1] // len(scale)
    factor, shift, slant = (values.repeat(fold) for values in (scale, -means[0] * scale, -means[1] * scale))
    held = _buffers(done)
    for part in _chunks(done):
        normed = torch.ops.aten.leaky_relu.out(done[part].float(), 1 / slope, out=held[0, : part.stop - part.start])
        if skips is not None:
            normed.sub_(skips[part])
        torch.addcmul(shift, normed, slant, out=normed)
        values = of_xs[part] if held.dtype == done.dtype else held[1, : len(normed)]
        torch.addcmul(normed, of_sums[part].float(), factor, out=values)
        if held.dtype != done.dtype:
            of_xs[part] = values


def _buffers(rows: Tensor) -> Tensor:
    """For two chunks, written again and again: they stay in the cache."""
    return rows.new_empty((2, *rows[: _chunk(rows)].shape), dtype=torch.float32)


def _moments(rows: Tensor, channels: int, eps: float) -> tuple[Tensor, Tensor]:
    """Mean of each channel, and 1 / its standard deviation."""
    found = [torch.batch_norm_update_stats(rows[part].float(), None, None, 0.0) for part in _chunks(rows)]
    means, variances = (torch.stack(values).unflatten(1, (-1, channels)) for values in zip(*found, strict=True))
    share = means.new_tensor([part.stop - part.start for part in _chunks(rows)])[:, None, None]
    share = share / (len(rows) * means.shape[1])
    mean = (share * means).sum((0, 1))
    variance = (share * (variances + (means - mean).square())).sum((0, 1))
    return mean, (variance + eps).rsqrt()


def _rows(x: Tensor) -> list[Tensor]:
    """Each sample as a matrix, several voxels to a row where they are few channels wide."""
    batch, channels, *size = x.shape
    voxels, fold = torch.Size(size).numel(), 1
    while voxels % (2 * fold) == 0 and 2 * fold * channels <= WIDEST_FOLD:
        fold *= 2
    return list(x.movedim(1, -1).view(batch, voxels // fold, fold * channels))


def _chunks(rows: Tensor) -> Iterator[slice]:
    count = _chunk(rows)
    return (slice(first, min(first + count, len(rows))) for first in range(0, len(rows), count))


def _chunk(rows: Tensor) -> int:
    return max(CHUNK_VALUES // rows.shape[1], 1)
