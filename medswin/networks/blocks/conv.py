"""Residual convolutions, of the decoder and before a stage."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.layers.utils import get_norm_layer
from torch import Tensor, nn

from medswin.errors import ShapeError
from medswin.networks.contract import Triple

Norm = str | tuple[str, dict[str, Any]]


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
        self.conv1 = nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm1 = get_norm_layer(norm, spatial_dims=3, channels=out_channels)
        self.conv2 = nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = get_norm_layer(norm, spatial_dims=3, channels=out_channels)
        self.skip: nn.Module = nn.Identity()
        if in_channels != out_channels:
            conv = nn.Conv3d(in_channels, out_channels, 1, bias=False)
            self.skip = nn.Sequential(conv, get_norm_layer(norm, spatial_dims=3, channels=out_channels))
        self.act = nn.LeakyReLU(0.01, inplace=True)

    def forward(self, x_BCDHW: Tensor) -> Tensor:
        """(B, in_channels, D, H, W) -> (B, out_channels, D, H, W)."""
        if _averages_over_one(self.norm1, x_BCDHW):
            raise ShapeError(
                f"the network shrinks its input to a map of one voxel, over which {type(self.norm1).__name__} cannot "
                "average",
                repair="give larger patches, fewer stages (depths) or smaller strides, or, in the decoder, another "
                "norm, for example norm_name=('group', {'num_groups': 4})",
            )
        x: Tensor = self.act(self.norm1(self.conv1(x_BCDHW)))
        x = self.act(self.norm2(self.conv2(x)) + self.skip(x_BCDHW))
        return x


def _averages_over_one(norm: nn.Module, x_BCDHW: Tensor) -> bool:
    voxels = x_BCDHW.shape[2:].numel()
    if isinstance(norm, nn.InstanceNorm3d):
        return voxels == 1 and (norm.training or not norm.track_running_stats)
    return isinstance(norm, nn.BatchNorm3d) and norm.training and x_BCDHW.shape[0] * voxels == 1


class UpBlock(nn.Module):
    """Transposed convolution to the finer grid, concatenation with the skip, residual convolution.

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
        x: Tensor = self.conv(torch.cat([self.up(x_BCDHW), skip_BCDHW], dim=1))
        return x
