"""Residual convolutions, of the decoder and before a stage."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from monai.networks.layers.utils import get_norm_layer
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from medswin.errors import ShapeError
from medswin.networks.blocks.norm import has_hooks, norm_act
from medswin.networks.contract import Triple

Norm = str | tuple[str, dict[str, Any]]
LAST = torch.channels_last_3d
FEWEST = 4  # channels
SMALL = 20480  # channels * depth * height up to which PyTorch takes a kernel for one sample that is 2 to 5 times slower


class Conv3d(nn.Conv3d):
    """PyTorch's, with the right gradients in bf16 on CPUs too: see `conv3d`."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.stride == (1, 1, 1) and self.dilation == (1, 1, 1) and self.padding_mode == "zeros":
            return conv3d(x, weight, bias, self.padding, self.groups)
        plain: Tensor = super()._conv_forward(x, weight, bias)
        return plain


class ResidualConv(nn.Module):
    """leaky(norm(conv(leaky(norm(conv(x))))) + skip(x)) with 3x3x3 convolutions and slope 0.01.

    The skip is the identity, or norm(1x1x1 convolution) where the channels differ.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: MONAI's name of a norm, or (name, arguments).

    Raises:
        ShapeError: (when called) for a map of one voxel, where instance norm, and batch norm in training, have nothing
            to average over.
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm = "instance") -> None:
        super().__init__()
        self.conv1 = Conv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = get_norm_layer(norm, spatial_dims=3, channels=out_channels)
        self.conv2 = Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = get_norm_layer(norm, spatial_dims=3, channels=out_channels)
        self.skip: nn.Module = nn.Identity()
        if in_channels != out_channels:
            conv = nn.Conv3d(in_channels, out_channels, 1, bias=False)
            self.skip = nn.Sequential(conv, get_norm_layer(norm, spatial_dims=3, channels=out_channels))

    def forward(self, *parts_BCDHW: Tensor) -> Tensor:
        """(B, in_channels, D, H, W), or parts of it along the channels -> (B, out_channels, D, H, W)."""
        if _averages_over_one(self.norm1, parts_BCDHW[0]):
            raise ShapeError(
                f"the network shrinks its input to a map of one voxel, over which {type(self.norm1).__name__} cannot "
                "average",
                repair="give larger patches, fewer stages (depths) or smaller strides, or, in the decoder, another "
                "norm, for example norm_name=('group', {'num_groups': 4})",
            )
        x = [part.contiguous(memory_format=LAST) for part in parts_BCDHW]
        if isinstance(self.skip, nn.Sequential):
            conv: Any = self.skip[0]
            skip = norm_act(convolve(conv, x), self.skip[1], slope=1.0)
        else:
            skip = x[0] if len(x) == 1 else torch.cat(x, dim=1)
        inner = norm_act(convolve(self.conv1, x), self.norm1)
        return norm_act(convolve(self.conv2, [inner]), self.norm2, skip)


def convolve(conv: nn.Conv3d, parts_BCDHW: Sequence[Tensor]) -> Tensor:
    """The convolution of the concatenated parts, which are never concatenated; channels-last in memory.

    Args:
        conv: of stride 1, or of a stride as large as its kernel.
        parts_BCDHW: channels-last in memory, but for one of one channel.
    """
    if has_hooks(conv):  # pruning, feature extraction and the like
        called: Tensor = conv(torch.cat(list(parts_BCDHW), dim=1))
        return called.clone()  # what follows overwrites it, and a hook may have kept it
    bias = conv.bias
    weights = conv.weight.split([part.shape[1] for part in parts_BCDHW], dim=1)
    by_patches = conv.stride == conv.kernel_size
    summed: list[Tensor] = []
    for part, weight in zip(parts_BCDHW, weights, strict=True):
        if by_patches:
            more = F.linear(_patches(part, conv.stride), weight.movedim(1, -1).flatten(1), bias)
        else:
            more = conv3d(_widened(part), _widened(weight), bias, conv.padding)
        summed = [summed[0].add_(more) if summed else more]
        bias = None
    return summed[0].movedim(-1, 1) if by_patches else summed[0]


class _Pointwise(torch.autograd.Function):
    """A matrix for all voxels, from channels last to channels first; the gradient of the input has them last again."""

    @staticmethod
    def forward(ctx: Any, voxels_BNC: Tensor, weight_KC: Tensor, bias_K: Tensor) -> Tensor:
        ctx.save_for_backward(voxels_BNC, weight_KC)
        return torch.baddbmm(bias_K[:, None], weight_KC.expand(len(voxels_BNC), -1, -1), voxels_BNC.mT)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BKN: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        voxels, weight = ctx.saved_tensors
        of_voxels = grad_BKN.mT @ weight.to(grad_BKN.dtype)
        of_weight = (grad_BKN @ voxels.to(grad_BKN.dtype)).sum(0)
        return of_voxels.to(voxels.dtype), of_weight.to(weight.dtype), grad_BKN.sum((0, 2)).to(weight.dtype)


def pointwise(conv: nn.Conv3d, x_BCDHW: Tensor) -> Tensor:
    """A convolution of 1x1x1 from channels last in memory to channels first, as losses and labels want them."""
    if has_hooks(conv):
        called: Tensor = conv(x_BCDHW)
        return called
    flat: Tensor = _Pointwise.apply(x_BCDHW.movedim(1, -1).flatten(1, 3), conv.weight.flatten(1), conv.bias)
    volume: Tensor = flat.unflatten(-1, x_BCDHW.shape[2:])
    return volume


def conv3d(x_BCDHW: Tensor, weight: Tensor, bias: Tensor | None, padding: Any, groups: int = 1) -> Tensor:
    """The convolution of stride 1, by oneDNN also where PyTorch leaves it out.

    A map of less depth than the kernel is convolved in fp32 while gradients are recorded: for it oneDNN (in PyTorch
    2.13) makes a weight gradient in half precision out of memory that nobody wrote, often NaN, and may write beyond it.
    """
    on_cpu, recasts = x_BCDHW.device.type == "cpu", torch.is_autocast_enabled("cpu")
    if on_cpu and x_BCDHW.shape[2] < weight.shape[2] and torch.is_grad_enabled():
        half = torch.get_autocast_dtype("cpu") if recasts else x_BCDHW.dtype
        if half in (torch.bfloat16, torch.float16):
            with torch.autocast("cpu", enabled=False):
                exact_bias = None if bias is None else bias.float()
                return F.conv3d(x_BCDHW.float(), weight.float(), exact_bias, padding=padding, groups=groups).to(half)
    left_out = len(x_BCDHW) == 1 and x_BCDHW.shape[1:4].numel() <= SMALL and not _recorded()
    plain = on_cpu and not recasts and isinstance(padding, tuple) and groups == 1
    if left_out and plain and x_BCDHW.dtype == weight.dtype == torch.float32 and _has_onednn():
        ones = (1, 1, 1)
        found: Tensor = torch.mkldnn_convolution(x_BCDHW, weight, bias, padding, ones, ones, 1)
        return found
    return F.conv3d(x_BCDHW, weight, bias, padding=padding, groups=groups)


def _recorded() -> bool:
    return torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined]


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and bool(torch.backends.mkldnn.enabled)


def _patches(x_BCDHW: Tensor, size: Sequence[int]) -> Tensor:
    """(B, D/d, H/h, W/w, d*h*w*C)."""
    x = x_BCDHW.movedim(1, -1)
    if prod(size) == 1:
        return x
    for axis in (3, 2, 1):
        x = x.unflatten(axis, (-1, size[axis - 1]))
    patches: Tensor = x.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4)
    return patches


def _widened(x: Tensor) -> Tensor:
    """With zeros for channels up to `FEWEST`: the kernels for fewer are slow."""
    lacking = FEWEST - x.shape[1]
    return x if lacking <= 0 else F.pad(x, (0, 0, 0, 0, 0, 0, 0, lacking)).contiguous(memory_format=LAST)


def _averages_over_one(norm: nn.Module, x_BCDHW: Tensor) -> bool:
    voxels = x_BCDHW.shape[2:].numel()
    if isinstance(norm, nn.InstanceNorm3d):
        return voxels == 1 and (norm.training or not norm.track_running_stats)
    return isinstance(norm, nn.BatchNorm3d) and norm.training and x_BCDHW.shape[0] * voxels == 1


class UpBlock(nn.Module):
    """Transposed convolution to the finer grid, then a residual convolution of it and the skip together.

    Args:
        in_channels: channels of the coarse input.
        out_channels: channels of the skip and of the output.
        stride: fine positions per coarse position, per axis.
        norm: see `ResidualConv`.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: Triple, norm: Norm = "instance") -> None:
        super().__init__()
        self.up = nn.ConvTranspose3d(in_channels, out_channels, stride, stride, bias=False)
        self.conv = ResidualConv(2 * out_channels, out_channels, norm)

    def forward(self, x_BCDHW: Tensor, skip_BCDHW: Tensor) -> Tensor:
        """(B, in_channels, D, H, W) and (B, out_channels, D*s, H*s, W*s) -> the skip's shape."""
        x: Tensor = self.conv(self.up(x_BCDHW), skip_BCDHW)
        return x
