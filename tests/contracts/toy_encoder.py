"""The one file of a new encoder: all that somebody writes who adds one. See notebooks/06_add_an_encoder."""

from torch import Tensor, nn

from medswin.networks import Encoder


class ToyEncoder(Encoder):
    """Two strided convolutions; the last axis is halved only once, as on thick slices."""

    def __init__(self, in_channels: int, width: int = 4) -> None:
        super().__init__()
        self.channels = (in_channels, width, 2 * width)
        self.strides = ((1, 1, 1), (2, 2, 1), (4, 4, 2))
        self.patch = nn.Conv3d(in_channels, width, kernel_size=(2, 2, 1), stride=(2, 2, 1))
        self.down = nn.Conv3d(width, 2 * width, kernel_size=2, stride=2)

    def embed(self, x_BCDHW: Tensor) -> Tensor:
        tokens: Tensor = self.patch(x_BCDHW)
        return tokens

    def encode(self, tokens_BCDHW: Tensor) -> list[Tensor]:
        return [tokens_BCDHW, self.down(nn.functional.gelu(tokens_BCDHW))]
