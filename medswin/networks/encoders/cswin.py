"""CSWin Transformer encoder in 3D: attention in a cross of bars, a third of the heads along each axis.

Source: Dong et al. 2022, "CSWin Transformer"; bars in 3D and the rest of the encoder, which is Swin UNETR's, are our
own choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from medswin.networks.blocks.position import LePE
from medswin.networks.contract import triple
from medswin.networks.encoders.windowed import Position, WindowEncoder, WindowOptions, entries
from medswin.networks.layouts import Bars, Layout, Whole

Stripes = int | Sequence[int | Sequence[int] | None]


class CSwinEncoder(WindowEncoder):
    """Stages of attention in bars along the three axes, with a depthwise convolution of the values for position.

    Nothing in it depends on the size of the input: it takes any grid, cubic or not.

    Args:
        in_channels, feature_size, depths, num_heads: see `WindowEncoder`; heads are multiples of 3 in stages of bars.
        stripe_width: how many tokens a bar is wide: one number, or one entry per stage: a number, one per axis (a bar
            along an axis takes the widths of the other two), or None for full attention.
        lepe: ``"window"`` keeps the positional convolution inside a bar, as published; ``"volume"`` does not.
        options: see `WindowOptions`.

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
        lepe: str = "window",
        **options: Unpack[WindowOptions],
    ) -> None:
        def position(stage: int, dim: int, heads: int) -> Position:
            return None, LePE(dim, within=lepe)

        layouts: list[Layout] = [
            Whole() if entry is None else Bars(triple(entry, "stripe_width"))
            for entry in entries(stripe_width, len(depths), "stripe_width")
        ]
        super().__init__(in_channels, feature_size, depths, num_heads, layouts, position, **options)
