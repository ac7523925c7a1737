"""Segmenter: an encoder, a decoder and a head; and its named constructors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.blocks.conv import Norm
from medswin.networks.contract import Decoder, Encoder, Triple
from medswin.networks.decoders import DECODERS
from medswin.networks.decoders.unetr import UNETRDecoder
from medswin.networks.encoders import ENCODERS
from medswin.networks.encoders.cswin import CSwinEncoder, Stripes
from medswin.networks.encoders.swin import SwinEncoder, Windows
from medswin.networks.encoders.windowed import Downsample, Strides

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
        logits: Tensor = self.head(self.decoder(features))
        return logits

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
        patch_size, depths, num_heads, window_size, merge_strides, feature_size, mlp_ratio, qkv_bias, drop_rate,
            attn_drop_rate, dropout_path_rate, normalize, patch_norm, use_checkpoint, downsample, post_norm, cosine,
            log_bias, stage_conv: see `SwinEncoder`.
        finest_width: channels of the decoder at the image's resolution; ``feature_size`` where None.
        norm_name: norm of the decoder: MONAI's name, or (name, arguments).
        spatial_dims: 3.
        compat: for weights that were trained with MONAI, whose flaws it reproduces (pads are seen, clipped windows
            read wrong bias entries): ``"monai-1.5"`` for those made with MONAI 1.5 or later, ``"monai-legacy"`` for
            older ones, which is all published ones (its merging reads six of eight sub-lattices). None is right
            everywhere.

    Without ``compat`` the window defaults to 4 tokens, with it to MONAI's 7: on volumes of clinical size the smaller
    window costs a quarter of the time of a training step.

    Raises:
        ConfigError: (a ValueError) for parameters that do not fit each other.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        patch_size: int | Sequence[int] = 2,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] | None = None,
        window_size: Windows | None = None,
        qkv_bias: bool = True,
        mlp_ratio: float = 4.0,
        feature_size: int = 24,
        norm_name: Norm = "instance",
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        dropout_path_rate: float = 0.0,
        normalize: bool = True,
        patch_norm: bool = False,
        use_checkpoint: bool = False,
        spatial_dims: int = 3,
        downsample: Downsample = "merging",
        merge_strides: Strides = 2,
        finest_width: int | None = None,
        post_norm: bool = False,
        cosine: bool = False,
        log_bias: bool = False,
        stage_conv: bool = False,
        compat: str | None = None,
    ) -> None:
        if spatial_dims != 3:
            raise ConfigError(f"medswin's networks are 3D, got spatial_dims={spatial_dims}", where="spatial_dims")
        if compat not in COMPAT:
            raise ConfigError(f"compat must be one of {COMPAT}, got {compat!r}", where="compat")
        encoder = SwinEncoder(
            in_channels=in_channels,
            feature_size=feature_size,
            depths=depths,
            num_heads=num_heads,
            window_size=window_size if window_size is not None else (7 if compat else 4),
            patch_size=patch_size,
            merge_strides=merge_strides,
            mlp_ratio=mlp_ratio,
            qkv_bias=qkv_bias,
            drop_rate=drop_rate,
            attn_drop_rate=attn_drop_rate,
            dropout_path_rate=dropout_path_rate,
            normalize=normalize,
            patch_norm=patch_norm,
            use_checkpoint=use_checkpoint,
            downsample="monai-legacy" if compat == "monai-legacy" and downsample == "merging" else downsample,
            post_norm=post_norm,
            cosine=cosine,
            log_bias=log_bias,
            stage_conv=stage_conv,
            monai=compat is not None,
        )
        decoder = UNETRDecoder(encoder.channels, encoder.strides, norm_name, finest_width)
        super().__init__(encoder, decoder, out_channels)


class CSwinUNet(Segmenter):
    """CSwin UNet: Swin UNETR with a cross of bars in the place of shifted cubes (after Li et al. 2025).

    The paper (doi:10.1002/mp.17546) names the network and has no public code: stripe widths, depths and decoder are our
    own choice, and no claim is made that its figures are reproduced.

    Args:
        in_channels: channels of the image.
        out_channels: classes, the background included.
        patch_size, depths, num_heads, stripe_width, merge_strides, feature_size, mlp_ratio, qkv_bias, drop_rate,
            attn_drop_rate, dropout_path_rate, normalize, patch_norm, use_checkpoint, downsample, lepe, post_norm,
            stage_conv: see `CSwinEncoder`. Thin volumes want strides of 1 along their short axis: 20 slices go through
            ``patch_size=(1, 2, 2), merge_strides=[(1, 2, 2), 2, 2, 1]``.
        finest_width: channels of the decoder at the image's resolution; ``feature_size`` where None.
        norm_name: norm of the decoder: MONAI's name, or (name, arguments).

    Raises:
        ConfigError: (a ValueError) for parameters that do not fit each other.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        patch_size: int | Sequence[int] = 2,
        depths: Sequence[int] = (1, 2, 6, 1),
        num_heads: Sequence[int] | None = None,
        stripe_width: Stripes = (1, 2, 4, None),
        qkv_bias: bool = True,
        mlp_ratio: float = 4.0,
        feature_size: int = 24,
        norm_name: Norm = "instance",
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        dropout_path_rate: float = 0.0,
        normalize: bool = True,
        patch_norm: bool = False,
        use_checkpoint: bool = False,
        downsample: Downsample = "merging",
        merge_strides: Strides = 2,
        lepe: str = "window",
        finest_width: int | None = None,
        post_norm: bool = False,
        stage_conv: bool = False,
    ) -> None:
        encoder = CSwinEncoder(
            in_channels=in_channels,
            feature_size=feature_size,
            depths=depths,
            num_heads=num_heads,
            stripe_width=stripe_width,
            patch_size=patch_size,
            merge_strides=merge_strides,
            mlp_ratio=mlp_ratio,
            qkv_bias=qkv_bias,
            drop_rate=drop_rate,
            attn_drop_rate=attn_drop_rate,
            dropout_path_rate=dropout_path_rate,
            normalize=normalize,
            patch_norm=patch_norm,
            use_checkpoint=use_checkpoint,
            downsample=downsample,
            lepe=lepe,
            post_norm=post_norm,
            stage_conv=stage_conv,
        )
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
