"""Masked volume inpainting: what was cut out of a view is to be found again.

Loss: the mean of |reconstruction - clean| over all voxels of both views. Source: Tang et al. 2022 (arXiv:2111.14791),
whose decoder this is: convolution, instance norm, leaky ReLU and trilinear upsampling for each step of the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medswin.networks.blocks.conv import Conv3d
from medswin.networks.contract import Triple
from medswin.pretraining.contract import PretrainTask, TaskOutput, Views, widened


class Inpainting(PretrainTask):
    """Reconstructs the patch from the bottleneck alone.

    Args:
        channels, strides: of the encoder.
    """

    needs = ("clean1", "clean2", "view1", "view2")

    def __init__(self, channels: Sequence[int], strides: Sequence[Triple]) -> None:
        super().__init__(channels, strides)
        steps: list[nn.Module] = []
        for i in range(len(channels) - 1, 0, -1):
            scale = tuple(float(a // b) for a, b in zip(strides[i], strides[i - 1], strict=True))
            width = channels[max(i - 1, 1)]
            steps += [Conv3d(channels[i], width, 3, padding=1), nn.InstanceNorm3d(width), nn.LeakyReLU()]
            steps += [nn.Upsample(scale_factor=scale, mode="trilinear", align_corners=False)]
        self.decoder = nn.Sequential(*steps, nn.Conv3d(channels[1], channels[0], 1))

    def forward(self, views: Views) -> TaskOutput:
        """L1 over all voxels of both views."""
        found = [widened(self.decoder(views.features(f"view{i}")[-1])) for i in (1, 2)]
        errors: list[Tensor] = [(one - views[f"clean{i}"]).abs() for i, one in zip((1, 2), found, strict=True)]
        loss = (errors[0].mean() + errors[1].mean()) / 2
        return TaskOutput(loss, picture=(views["clean1"], views["view1"], found[0].detach()))
