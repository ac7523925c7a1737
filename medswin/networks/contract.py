"""What an encoder and a decoder promise each other, in words and code.

Shape legend, used in every room: B batch, C channels, D/H/W the three spatial axes in the order of the array
(for RAS images: left-right, posterior-anterior, inferior-superior), N tokens of one window, M windows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from medswin.errors import ConfigError, ShapeError

Triple = tuple[int, int, int]


class Encoder(nn.Module, ABC):
    """Turns an image into a pyramid of features.

    Attributes:
        channels: channels of each feature; ``channels[0]`` are the image's own.
        strides: voxels of the image per position of each feature, per axis; ``strides[0]`` is ``(1, 1, 1)``.

    A subclass writes `embed` and `encode`. The split lets a masked pre-training task put its own mask token between
    the two, so that an encoder's state dict never carries parts of a task.
    """

    channels: tuple[int, ...]
    strides: tuple[Triple, ...]

    @property
    def divisor(self) -> Triple:
        """Each spatial size of an input must be a multiple of this, per axis."""
        return self.strides[-1]

    @abstractmethod
    def embed(self, x_BCDHW: Tensor) -> Tensor:
        """Cut the image into patches: (B, channels[0], D, H, W) -> tokens (B, channels[1], *at strides[1])."""

    @abstractmethod
    def encode(self, tokens_BCDHW: Tensor) -> list[Tensor]:
        """Features after the image itself, finest first, each (B, channels[i], *spatial size / strides[i])."""

    def forward(self, x_BCDHW: Tensor) -> list[Tensor]:
        """``[x, *encode(embed(x))]``: the first feature is the input, the last one the bottleneck.

        Raises:
            ShapeError: if the input is not 5D, has other channels, or a size that `divisor` does not divide.
        """
        check_input(x_BCDHW, self.channels[0], self.divisor)
        return [x_BCDHW, *self.encode(self.embed(x_BCDHW))]


class Decoder(nn.Module, ABC):
    """Turns a pyramid of features into one feature at the image's own resolution.

    Built from ``channels`` and ``strides`` alone: a decoder never sees the encoder.

    Attributes:
        out_channels: channels of what it returns.
    """

    out_channels: int

    @abstractmethod
    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of an encoder, finest first -> (B, out_channels, D, H, W)."""


def check_input(x: Tensor, channels: int, divisor: Triple) -> None:
    """Raise ShapeError, with the repair, unless ``x`` is (B, channels, D, H, W) with sizes that ``divisor`` divides."""
    if x.ndim != 5:
        raise ShapeError(
            f"the network takes (batch, channel, D, H, W), got shape {tuple(x.shape)}",
            repair="add or drop axes until there are five",
        )
    if x.shape[1] != channels:
        raise ShapeError(
            f"the network takes {channels} channel(s), got {x.shape[1]}",
            repair="give the channels that the network was built for",
        )
    size = tuple(x.shape[2:])
    if any(s % d for s, d in zip(size, divisor, strict=True)) or 0 in size:
        padded = tuple(max(1, -(-s // d)) * d for s, d in zip(size, divisor, strict=True))
        raise ShapeError(f"spatial shape {size} must be divisible by {divisor}", repair=f"pad to {padded}")


def triple(value: object, name: str) -> Triple:
    """One positive int for all three axes, or one per axis.

    Raises:
        ConfigError: for another length or a value below 1.
    """
    values = (value,) * 3 if isinstance(value, int) else tuple(value) if isinstance(value, Sequence) else ()
    if len(values) != 3 or not all(isinstance(v, int) and v >= 1 for v in values):
        raise ConfigError(f"{name} must be a positive integer or three of them, got {value!r}", where=name)
    return values[0], values[1], values[2]
