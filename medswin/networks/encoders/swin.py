"""Swin Transformer encoder in 3D: attention in cubes, shifted in every second block.

Sources: Liu et al. 2021, "Swin Transformer"; in 3D and with a merging at the end of every stage as in Hatamizadeh et
al. 2022, "Swin UNETR"; the options ``post_norm``, ``cosine`` and ``log_bias`` from Liu et al. 2022, "Swin Transformer
V2"; ``stage_conv`` from He et al. 2023, "SwinUNETR-V2".
"""

from __future__ import annotations

from collections.abc import Sequence

from medswin.errors import ConfigError
from medswin.networks.blocks.attention import WindowAttention
from medswin.networks.blocks.position import LogBias, RelativeBias
from medswin.networks.contract import Triple, triple
from medswin.networks.encoders.windowed import Downsample, Strides, WindowEncoder, per_stage
from medswin.networks.partition import Cubes

Windows = int | Sequence[int] | Sequence[int | Sequence[int]]


class SwinEncoder(WindowEncoder):
    """Stages of attention in cubes, every second block's shifted by half a cube, with a bias per relative offset.

    Args:
        in_channels, feature_size, depths, num_heads, patch_size, merge_strides, mlp_ratio, drop_rate,
            dropout_path_rate, normalize, patch_norm, use_checkpoint, downsample, stage_conv: see `WindowEncoder`.
            ``stage_conv`` is what MONAI calls ``use_v2``.
        window_size: tokens of a window: one number, one per axis, or one such entry per stage.
        qkv_bias: whether queries, keys and values have a bias.
        attn_drop_rate: dropout of the attention weights, 0 to 1.
        post_norm, cosine, log_bias: the three parts of Swin V2: norms after instead of before, attention by cosine
            similarity, and a bias that is a function of the offset instead of a table.
        monai: reproduce MONAI 1.6.1: pads are seen, and the bias index of a clipped window is truncated.

    Raises:
        ConfigError: for parameters that do not fit each other, naming both.
    """

    def __init__(
        self,
        in_channels: int,
        feature_size: int = 24,
        depths: Sequence[int] = (2, 2, 2, 2),
        num_heads: Sequence[int] | None = None,
        window_size: Windows = 7,
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
        post_norm: bool = False,
        cosine: bool = False,
        log_bias: bool = False,
        stage_conv: bool = False,
        monai: bool = False,
    ) -> None:
        if not 0 <= attn_drop_rate <= 1:
            raise ConfigError(f"attn_drop_rate must lie in 0 to 1, got {attn_drop_rate}", where="attn_drop_rate")
        windows = _windows(window_size, len(depths))

        def attention(stage: int, dim: int, heads: int) -> WindowAttention:
            window = windows[stage]
            bias = LogBias(window, heads) if log_bias else RelativeBias(window, heads, truncate_index=monai)
            return WindowAttention(
                dim,
                heads,
                bias,
                qkv_bias=qkv_bias,
                attn_drop=attn_drop_rate,
                proj_drop=drop_rate,
                mask_pads=not monai,
                cosine=cosine,
            )

        super().__init__(
            in_channels,
            feature_size,
            depths,
            num_heads,
            [Cubes(window) for window in windows],
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


def _windows(value: Windows, stages: int) -> list[Triple]:
    """One window for all stages (a number, or one per axis as in MONAI), or a list of such entries, one per stage."""
    if isinstance(value, int) or all(isinstance(v, int) for v in value):
        return [triple(value, "window_size")] * stages  # type: ignore[arg-type]
    return per_stage(value, stages, "window_size")
