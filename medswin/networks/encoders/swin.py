"""Swin Transformer encoder in 3D: attention in cubes, shifted in every second block.

Sources: Liu et al. 2021, "Swin Transformer"; in 3D and with a merging at the end of every stage as in Hatamizadeh et
al. 2022, "Swin UNETR"; the options ``post_norm``, ``cosine`` and ``log_cpb`` from Liu et al. 2022, "Swin Transformer
V2"; ``stage_conv`` from He et al. 2023, "SwinUNETR-V2".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from medswin.networks.blocks.position import LogCPB, RelativeBias
from medswin.networks.contract import Triple, triple
from medswin.networks.encoders.windowed import Position, WindowEncoder, WindowOptions, per_stage
from medswin.networks.layouts import Cubes

Windows = int | Sequence[int] | Sequence[int | Sequence[int]]


class SwinEncoder(WindowEncoder):
    """Stages of attention in cubes, every second block's shifted by half a cube, with a bias per relative offset.

    Args:
        in_channels, feature_size, depths, num_heads: see `WindowEncoder`.
        window_size: tokens of a window: one number, one per axis, or a list of one entry per stage, each a number or
            one per axis. Three numbers are the three axes, also for three stages.
        log_cpb: a bias that is a function of the offset, as in Swin V2, instead of a table of all offsets.
        monai: reproduce MONAI 1.6.1: pads are seen, and the bias index of a clipped window is truncated.
        options: see `WindowOptions`. With ``log_cpb``, ``post_norm`` and ``cosine`` it is Swin V2.

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
        log_cpb: bool = False,
        monai: bool = False,
        **options: Unpack[WindowOptions],
    ) -> None:
        windows = _windows(window_size, len(depths))

        def position(stage: int, dim: int, heads: int) -> Position:
            window = windows[stage]
            return LogCPB(window, heads) if log_cpb else RelativeBias(window, heads, truncate_index=monai), None

        layouts = [Cubes(window) for window in windows]
        super().__init__(
            in_channels, feature_size, depths, num_heads, layouts, position, mask_pads=not monai, **options
        )


def _windows(value: Windows, stages: int) -> list[Triple]:
    if isinstance(value, Sequence) and len(value) == 3 and all(isinstance(v, int) for v in value):
        return [triple(value, "window_size")] * stages
    return per_stage(value, stages, "window_size")
