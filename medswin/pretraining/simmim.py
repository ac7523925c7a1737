"""SimMIM: hidden tokens are replaced by one learned token, and the voxels under them are to be found.

Loss: sum(|reconstruction - image| * mask) / (sum(mask) * channels) over voxels. Source: Xie et al. 2022
(arXiv:2111.09886); in 3D one 1x1x1 convolution gives each bottleneck position the voxels of its whole cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.contract import Triple
from medswin.pretraining.contract import PretrainTask, TaskOutput, Views, widened


class SimMIM(PretrainTask):
    """Masks the encoder's tokens, and reconstructs from the bottleneck with one linear layer.

    The mask token is the task's: it replaces tokens between ``encoder.embed`` and ``encoder.encode``.

    Args:
        channels, strides: of the encoder.
    """

    needs = ("image", "mask")

    def __init__(self, channels: Sequence[int], strides: Sequence[Triple]) -> None:
        super().__init__(channels, strides)
        self.token = nn.Parameter(torch.zeros(channels[1]))
        nn.init.trunc_normal_(self.token, std=0.02)
        self.head = nn.Conv3d(channels[-1], channels[0] * prod(strides[-1]), 1)

    def forward(self, views: Views) -> TaskOutput:
        image, mask = views["image"], views["mask"]
        tokens = views.encoder.embed(image)
        hidden = over_cells(mask, tokens.shape[2:])
        token = self.token.to(tokens.dtype)[:, None, None, None]
        features = views.encoder.encode(torch.where(hidden > 0, token, tokens))
        found = widened(to_voxels(self.head(features[-1]), self.strides[-1]))
        voxels = over_cells(mask, image.shape[2:])
        error = ((found - image).abs() * voxels).sum() / (voxels.sum() * image.shape[1])
        shown = torch.where(voxels > 0, found.detach(), image)
        return TaskOutput(error, picture=(image, image * (1 - voxels), shown))


def over_cells(mask: Tensor, shape: Sequence[int]) -> Tensor:
    """A mask over units (N, 1, d, h, w) -> over a finer grid of this spatial shape.

    Raises:
        ConfigError: unless every unit holds whole cells of the finer grid.
    """
    for axis, (units, cells) in enumerate(zip(mask.shape[2:], shape, strict=True), start=2):
        if cells % units:
            raise ConfigError(
                f"{units} units of the mask lie on {cells} tokens along an axis",
                where="views.mask_unit",
                repair="make it a multiple of the network's patch_size",
            )
        mask = mask.repeat_interleave(cells // units, axis)
    return mask


def to_voxels(cells_NCDHW: Tensor, stride: Sequence[int]) -> Tensor:
    """(N, C * prod(stride), d, h, w) -> (N, C, d * stride, ...): each position's channels become its cell's voxels."""
    n, channels, d, h, w = cells_NCDHW.shape
    a, b, c = stride
    cells = cells_NCDHW.view(n, channels // (a * b * c), a, b, c, d, h, w)
    return cells.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(n, channels // (a * b * c), d * a, h * b, w * c)
