"""Convolution blocks of the decoder."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.layers.utils import get_norm_layer
from torch import Tensor, nn

from medswin.networks.contract import Triple

Norm = str | tuple[str, dict[str, Any]]


class ResidualConv(nn.Module):
    """leaky(norm(conv(leaky(norm(conv(x))))) + skip(x)) with 3x3x3 convolutions and slope 0.01.

    The skip is the identity, or norm(1x1x1 convolution) where the channels differ.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        norm: MONAI's name of a norm, or (name, arguments).
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
        x: Tensor = self.act(self.norm1(self.conv1(x_BCDHW)))
        x = self.act(self.norm2(self.conv2(x)) + self.skip(x_BCDHW))
        return x


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
