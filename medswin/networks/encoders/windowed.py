"""What all encoders made of window attention share: patches, stages, features. They differ in layout and positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.blocks.attention import WindowAttention
from medswin.networks.blocks.conv import ResidualConv
from medswin.networks.blocks.merging import PatchMerging
from medswin.networks.blocks.transformer import Stage, TransformerBlock, init_linear
from medswin.networks.contract import Encoder, Triple, triple
from medswin.networks.partition import Layout

Strides = int | Sequence[int | Sequence[int]]
Downsample = str | Callable[..., nn.Module]


class WindowEncoder(Encoder):
    """Patch embedding, then stages of window attention, each ending in a merging that doubles the channels.

    Args:
        in_channels: channels of the image.
        feature_size: channels of the first tokens, C; feature i + 1 has C * 2**i.
        depths: transformer blocks per stage; its length is the number of stages.
        num_heads: heads per stage; 3, 6, 12, ... where None.
        layouts: one per stage.
        attention: builds a block's attention from its stage, its channels and its heads.
        patch_size: voxels of a patch, one number or one per axis.
        merge_strides: tokens merged at the end of a stage: one number, or one entry per stage (a number, or one per
            axis).
        mlp_ratio: width of the MLP's hidden layer over that of the tokens.
        drop_rate, dropout_path_rate: dropouts, 0 to 1; the second rises linearly from block to block.
        normalize: layer-normalise every feature over its channels (without parameters) before it is handed out.
        patch_norm: layer-normalise the first tokens.
        use_checkpoint: recompute the blocks in the backward pass: less memory, about a third more time.
        downsample: ``"merging"``, ``"mergingv2"``, or a class built with (dim=, norm_layer=, spatial_dims=) that maps
            (B, D, H, W, C) to (B, D/2, H/2, W/2, 2C).
        post_norm: normalise what attention, MLP and merging return instead of what they get.
        stage_conv: a residual convolution before the blocks of every stage.

    Raises:
        ConfigError: for parameters that do not fit each other, naming both.
    """

    def __init__(
        self,
        in_channels: int,
        feature_size: int,
        depths: Sequence[int],
        num_heads: Sequence[int] | None,
        layouts: Sequence[Layout],
        attention: Callable[[int, int, int], WindowAttention],
        patch_size: int | Sequence[int] = 2,
        merge_strides: Strides = 2,
        mlp_ratio: float = 4.0,
        drop_rate: float = 0.0,
        dropout_path_rate: float = 0.0,
        normalize: bool = True,
        patch_norm: bool = False,
        use_checkpoint: bool = False,
        downsample: Downsample = "merging",
        post_norm: bool = False,
        stage_conv: bool = False,
    ) -> None:
        super().__init__()
        stages = len(depths)
        heads = tuple(num_heads) if num_heads is not None else tuple(3 * 2**i for i in range(stages))
        _check(layouts, heads, drop_rate=drop_rate, dropout_path_rate=dropout_path_rate)
        patch = triple(patch_size, "patch_size")
        steps = per_stage(merge_strides, stages, "merge_strides")
        widths = [feature_size * 2**i for i in range(stages + 1)]
        self.channels = (in_channels, *widths)
        self.strides = ((1, 1, 1), *accumulate(steps, _times, initial=patch))
        self.normalize = normalize
        self.patch = nn.Conv3d(in_channels, feature_size, patch, patch)
        self.patch_norm = nn.LayerNorm(feature_size) if patch_norm else None
        self.drop = nn.Dropout(drop_rate)
        rates = iter(torch.linspace(0, dropout_path_rate, sum(depths), device="cpu").tolist())
        self.stages = nn.ModuleList()
        for i, (depth, dim) in enumerate(zip(depths, widths, strict=False)):
            blocks = [
                TransformerBlock(dim, attention(i, dim, heads[i]), mlp_ratio, drop_rate, next(rates), post_norm)
                for _ in range(depth)
            ]
            before = ResidualConv(dim, dim) if stage_conv else None
            merging = _merging(downsample, dim, steps[i], post_norm)
            self.stages.append(Stage(blocks, layouts[i], merging, before, use_checkpoint))
        self.apply(init_linear)

    def embed(self, x_BCDHW: Tensor) -> Tensor:
        tokens: Tensor = self.patch(x_BCDHW)
        if self.patch_norm is not None:
            tokens = self.patch_norm(tokens.movedim(1, -1)).movedim(-1, 1)
        return tokens

    def encode(self, tokens_BCDHW: Tensor) -> list[Tensor]:
        x = self.drop(tokens_BCDHW).movedim(1, -1)
        features = [self._out(x)]
        for stage in self.stages:
            x = stage(x)
            features.append(self._out(x))
        return features

    def _out(self, x_BDHWC: Tensor) -> Tensor:
        if self.normalize:
            x_BDHWC = F.layer_norm(x_BDHWC, x_BDHWC.shape[-1:])
        return x_BDHWC.movedim(-1, 1)


def per_stage(value: int | Sequence[int | Sequence[int]], stages: int, name: str) -> list[Triple]:
    """One number for all stages, or one entry per stage, each a number or one per axis.

    Raises:
        ConfigError: for another number of entries than stages.
    """
    entries = [value] * stages if isinstance(value, int) else list(value)
    if len(entries) != stages:
        raise ConfigError(f"{name} has {len(entries)} entries for {stages} stages", where=name)
    return [triple(entry, name) for entry in entries]


def _merging(downsample: Downsample, dim: int, stride: Triple, post_norm: bool) -> nn.Module:
    if isinstance(downsample, str):
        return PatchMerging(dim, stride=stride, order=downsample, post_norm=post_norm)
    return downsample(dim=dim, norm_layer=nn.LayerNorm, spatial_dims=3)


def _times(a: Triple, b: Triple) -> Triple:
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


def _check(layouts: Sequence[Layout], heads: Sequence[int], **rates: float) -> None:
    stages = len(layouts)
    if stages < 1 or len(heads) != stages:
        raise ConfigError(f"num_heads has {len(heads)} entries for {stages} stage(s) in depths", where="num_heads")
    for number, layout in zip(heads, layouts, strict=True):
        if number % layout.groups:
            raise ConfigError(
                f"{number} heads cannot be shared among the {layout.groups} directions of the bars",
                where="num_heads",
                repair=f"take multiples of {layout.groups}",
            )
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise ConfigError(f"{name} must lie in 0 to 1, got {rate}", where=name)
