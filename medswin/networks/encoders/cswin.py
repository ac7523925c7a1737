"""CSWin Transformer encoder in 3D: attention in a cross of bars, a third of the heads along each axis.

Source: Dong et al. 2022, "CSWin Transformer"; bars in 3D and the rest of the encoder, which is Swin UNETR's, are our
own choice.
"""

from __future__ import annotations

from collections.abc import Sequence

from medswin.errors import ConfigError
from medswin.networks.blocks.attention import WindowAttention
from medswin.networks.blocks.position import LePE
from medswin.networks.contract import triple
from medswin.networks.encoders.windowed import Downsample, Strides, WindowEncoder
from medswin.networks.partition import Bars, Layout, Whole

Stripes = int | Sequence[int | Sequence[int] | None]


class CSwinEncoder(WindowEncoder):
    """Stages of attention in bars along the three axes, with a depthwise convolution of the values for position.

    Nothing in it depends on the size of the input: it takes any grid, cubic or not.

    Args:
        in_channels, feature_size, depths, num_heads, patch_size, merge_strides, mlp_ratio, drop_rate,
            dropout_path_rate, normalize, patch_norm, use_checkpoint, downsample, post_norm, stage_conv: see
            `WindowEncoder`. Heads are multiples of 3 in stages of bars.
        stripe_width: how many tokens a bar is wide: one number, or one entry per stage: a number, one per axis (a bar
            along an axis takes the widths of the other two), or None for full attention.
        lepe: ``"window"`` keeps the positional convolution inside a bar, as published; ``"volume"`` does not.
        qkv_bias: whether queries, keys and values have a bias.
        attn_drop_rate: dropout of the attention weights, 0 to 1.

    Raises:
        ConfigError: for parameters that do not fit each other, naming both.
    """

    def __init__(
        self,
        in_channels: int,
        feature_size: int = 24,
        depths: Sequence[int] = (1, 2, 6, 1),
        num_heads: Sequence[int] | None = None,
        stripe_width: Stripes = (1, 2, 4, None),
        patch_size: int | Sequence[int] = 2,
        merge_strides: Strides = 2,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        dropout_path_rate: float = 0.0,
        normalize: bool = True,
        patch_norm: bool = False,
        use_checkpoint: bool = False,
        downsample: Downsample = "merging",
        lepe: str = "window",
        post_norm: bool = False,
        stage_conv: bool = False,
    ) -> None:
        if not 0 <= attn_drop_rate <= 1:
            raise ConfigError(f"attn_drop_rate must lie in 0 to 1, got {attn_drop_rate}", where="attn_drop_rate")

        def attention(stage: int, dim: int, heads: int) -> WindowAttention:
            position = LePE(dim, within=lepe)
            return WindowAttention(
                dim, heads, None, position, qkv_bias=qkv_bias, attn_drop=attn_drop_rate, proj_drop=drop_rate
            )

        super().__init__(
            in_channels,
            feature_size,
            depths,
            num_heads,
            _layouts(stripe_width, len(depths)),
            attention,
            patch_size=patch_size,
            merge_strides=merge_strides,
            mlp_ratio=mlp_ratio,
            drop_rate=drop_rate,
            dropout_path_rate=dropout_path_rate,
            normalize=normalize,
            patch_norm=patch_norm,
            use_checkpoint=use_checkpoint,
            downsample=downsample,
            post_norm=post_norm,
            stage_conv=stage_conv,
        )


def _layouts(stripe_width: Stripes, stages: int) -> list[Layout]:
    entries = [stripe_width] * stages if isinstance(stripe_width, int) else list(stripe_width)
    if len(entries) != stages:
        raise ConfigError(f"stripe_width has {len(entries)} entries for {stages} stages", where="stripe_width")
    return [Whole() if entry is None else Bars(triple(entry, "stripe_width")) for entry in entries]
