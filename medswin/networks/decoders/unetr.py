"""The decoder of Swin UNETR: residual convolutions on the skips, transposed convolutions up.

Source: Hatamizadeh et al. 2022, "Swin UNETR".
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.blocks.conv import Norm, ResidualConv, UpBlock
from medswin.networks.contract import Decoder, Triple


class UNETRDecoder(Decoder):
    """From the bottleneck up to the image's resolution, one step per feature.

    Every feature passes a residual convolution on its way in, but for the second coarsest, which is used raw (so in
    the published network).

    Args:
        channels: channels of the encoder's features.
        strides: strides of the encoder's features.
        norm: MONAI's name of a norm, or (name, arguments).
        finest_width: channels at the image's own resolution, where most of the time goes; as many as the first tokens
            have where None.
    """

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Triple],
        norm: Norm = "instance",
        finest_width: int | None = None,
    ) -> None:
        super().__init__()
        if len(channels) != len(strides) or len(channels) < 3:
            raise ConfigError(f"the decoder takes at least three features, got {channels} at strides {strides}")
        self.out_channels = finest_width or channels[1]
        widths = [self.out_channels, *channels[1:]]
        last = len(channels) - 1
        self.skips = nn.ModuleList(
            nn.Identity() if i == last - 1 else ResidualConv(channels[i], widths[i], norm) for i in range(last + 1)
        )
        self.ups = nn.ModuleList(
            UpBlock(widths[i + 1], widths[i], _ratio(strides[i + 1], strides[i]), norm) for i in range(last)
        )

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        x: Tensor = self.skips[-1](features[-1])
        for i in reversed(range(len(self.ups))):
            x = self.ups[i](x, self.skips[i](features[i]))
        return x


def _ratio(coarse: Triple, fine: Triple) -> Triple:
    return coarse[0] // fine[0], coarse[1] // fine[1], coarse[2] // fine[2]
