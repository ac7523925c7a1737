"""Segmenter: an encoder, a decoder and a head; and its named constructors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.blocks.conv import Norm, pointwise
from medswin.networks.contract import Decoder, Encoder, Triple
from medswin.networks.decoders import DECODERS
from medswin.networks.decoders.unetr import UNETRDecoder
from medswin.networks.encoders import ENCODERS
from medswin.networks.encoders.cswin import CSwinEncoder, Stripes
from medswin.networks.encoders.swin import SwinEncoder, Windows
from medswin.networks.encoders.windowed import WindowOptions

COMPAT = (None, "monai-1.5", "monai-legacy")


class Segmenter(nn.Module):
    """``forward = decode(encode(x))``: a plain module, at home in MONAI's inferers and anyone's training loop.

    Args:
        encoder: image -> features.
        decoder: features -> one feature at the image's resolution, built from the encoder's channels and strides.
        out_channels: classes, the background included.
    """

    def __init__(self, encoder: Encoder, decoder: Decoder, out_channels: int) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.head = nn.Conv3d(decoder.out_channels, out_channels, 1)
        self.out_channels = out_channels

    @property
    def in_channels(self) -> int:
        return self.encoder.channels[0]

    @property
    def divisor(self) -> Triple:
        """Each spatial size of an input must be a multiple of this, per axis."""
        return self.encoder.divisor

    def encode(self, x_BCDHW: Tensor) -> list[Tensor]:
        """(B, in_channels, D, H, W) -> features, the input first and the bottleneck last; see `Encoder.forward`."""
        features: list[Tensor] = self.encoder(x_BCDHW)
        return features

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        """Features -> logits (B, out_channels, D, H, W)."""
        return pointwise(self.head, self.decoder(features))

    def forward(self, x_BCDHW: Tensor) -> Tensor:
        """(B, in_channels, D, H, W) -> logits (B, out_channels, D, H, W).

        Raises:
            ShapeError: for a wrong number of axes or channels, or a size that `divisor` does not divide.
        """
        return self.decode(self.encode(x_BCDHW))


class SwinUNETR(Segmenter):
    """Swin UNETR (Hatamizadeh et al. 2022) under MONAI's argument names.

    Args:
        in_channels: channels of the image.
        out_channels: classes, the background included.
        feature_size, depths, num_heads, log_cpb: see `SwinEncoder`.
        window_size: see `SwinEncoder`; 4 where None, or MONAI's 7 with ``compat``: on volumes of clinical size the
            smaller window costs a quarter of the time of a training step.
        norm_name: norm of the decoder: MONAI's name, or (name, arguments).
        finest_width: channels of the decoder at the image's resolution; ``feature_size`` where None.
        spatial_dims: 3.
        compat: for weights that were trained with MONAI, whose flaws it reproduces (pads are seen, clipped windows
            read wrong bias entries): ``"monai-1.5"`` for those made with MONAI 1.5 or later, ``"monai-legacy"`` for
            older ones, which is all published ones (its merging reads six of eight sub-lattices). None is right
            everywhere.
        options: ``patch_size``, ``qkv_bias``, ``mlp_ratio``, ``drop_rate``, ``attn_drop_rate``,
            ``dropout_path_rate``, ``normalize``, ``patch_norm``, ``use_checkpoint``, ``downsample``,
            ``merge_strides``, ``post_norm``, ``cosine``, ``stage_conv``: see `WindowOptions`.

    Raises:
        ConfigError: (a ValueError) for parameters that do not fit each other.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        feature_size: int = 24,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] | None = None,
        window_size: Windows | None = None,
        norm_name: Norm = "instance",
        finest_width: int | None = None,
        log_cpb: bool = False,
        spatial_dims: int = 3,
        compat: str | None = None,
        **options: Unpack[WindowOptions],
    ) -> None:
        if spatial_dims != 3:
            raise ConfigError(f"medswin's networks are 3D, got spatial_dims={spatial_dims}", where="spatial_dims")
        if compat not in COMPAT:
            raise ConfigError(f"compat must be one of {COMPAT}, got {compat!r}", where="compat")
        if compat == "monai-legacy" and options.get("downsample", "merging") == "merging":
            options["downsample"] = "monai-legacy"
        windows = window_size if window_size is not None else (7 if compat else 4)
        monai = compat is not None
        encoder = SwinEncoder(in_channels, feature_size, depths, num_heads, windows, log_cpb, monai, **options)
        decoder = UNETRDecoder(encoder.channels, encoder.strides, norm_name, finest_width)
        super().__init__(encoder, decoder, out_channels)


class CSwinUNet(Segmenter):
    """CSwin UNet: Swin UNETR with a cross of bars in the place of shifted cubes (after Li et al. 2025).

    The paper (doi:10.1002/mp.17546) names the network and has no public code: stripe widths, depths and decoder are our
    own choice, and no claim is made that its figures are reproduced.

    Args:
        in_channels: channels of the image.
        out_channels: classes, the background included.
        feature_size, depths, num_heads, stripe_width, lepe: see `CSwinEncoder`.
        norm_name: norm of the decoder: MONAI's name, or (name, arguments).
        finest_width: channels of the decoder at the image's resolution; ``feature_size`` where None.
        options: see `WindowOptions`. Thin volumes want strides of 1 along their short axis: 20 slices go through
            ``patch_size=(1, 2, 2), merge_strides=[(1, 2, 2), 2, 2, 1]``.

    Raises:
        ConfigError: (a ValueError) for parameters that do not fit each other.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        feature_size: int = 24,
        depths: Sequence[int] = (1, 2, 6, 1),
        num_heads: Sequence[int] | None = None,
        stripe_width: Stripes = (1, 2, 4, None),
        norm_name: Norm = "instance",
        finest_width: int | None = None,
        lepe: str = "window",
        **options: Unpack[WindowOptions],
    ) -> None:
        encoder = CSwinEncoder(in_channels, feature_size, depths, num_heads, stripe_width, lepe, **options)
        decoder = UNETRDecoder(encoder.channels, encoder.strides, norm_name, finest_width)
        super().__init__(encoder, decoder, out_channels)


def segmenter(encoder: dict[str, Any], decoder: dict[str, Any], in_channels: int, out_channels: int) -> Segmenter:
    """Any registered encoder with any registered decoder.

    Args:
        encoder: ``{"name": ..., **parameters}`` without ``in_channels``.
        decoder: ``{"name": ..., **parameters}`` without ``channels`` and ``strides``.
        in_channels: channels of the image.
        out_channels: classes, the background included.
    """
    rest = dict(encoder)
    built = ENCODERS.build(rest.pop("name", ""), in_channels=in_channels, **rest)
    rest = dict(decoder)
    decoded = DECODERS.build(rest.pop("name", ""), channels=built.channels, strides=built.strides, **rest)
    return Segmenter(built, decoded, out_channels)
