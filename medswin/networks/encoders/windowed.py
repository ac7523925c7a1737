"""What all encoders made of window attention share: patches, stages, features. They differ in layout and positions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from typing import Any, TypedDict, Unpack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.blocks.attention import WindowAttention
from medswin.networks.blocks.conv import ResidualConv, convolve
from medswin.networks.blocks.merging import PatchMerging
from medswin.networks.blocks.position import LePE, LogCPB, RelativeBias
from medswin.networks.blocks.transformer import Stage, TransformerBlock, init_linear
from medswin.networks.contract import Encoder, Triple, triple
from medswin.networks.layouts import Layout

Strides = int | Sequence[int | Sequence[int]]
Downsample = str | Callable[..., nn.Module]
Position = tuple[RelativeBias | LogCPB | None, LePE | None]

DEFAULTS: dict[str, Any] = {
    "patch_size": 2,
    "merge_strides": 2,
    "mlp_ratio": 4.0,
    "qkv_bias": True,
    "drop_rate": 0.0,
    "attn_drop_rate": 0.0,
    "dropout_path_rate": 0.0,
    "normalize": True,
    "patch_norm": False,
    "use_checkpoint": False,
    "downsample": "merging",
    "post_norm": False,
    "cosine": False,
    "stage_conv": False,
}


class WindowOptions(TypedDict, total=False):
    """What the encoders of this family have in common, with the defaults of `WindowEncoder`.

    patch_size: voxels of a patch, one number or one per axis (2).
    merge_strides: tokens merged at the end of a stage: one number, or one entry per stage (2).
    mlp_ratio: width of the MLP's hidden layer over that of the tokens (4).
    qkv_bias: whether queries, keys and values have a bias (True).
    drop_rate, attn_drop_rate: dropout of outputs and of attention weights, 0 to 1 (0).
    dropout_path_rate: stochastic depth, 0 to 1, rising linearly from block to block up to this (0).
    normalize: layer-normalise every feature over its channels, without parameters, before it is handed out (True).
    patch_norm: layer-normalise the first tokens (False).
    use_checkpoint: recompute the blocks in the backward pass, for less memory and more time: for all stages, or one
        entry per stage (False).
    downsample: ``"merging"``, ``"mergingv2"``, or a class built with (dim=, norm_layer=, spatial_dims=) that maps
        (B, D, H, W, C) to (B, D/2, H/2, W/2, 2C) (``"merging"``).
    post_norm: normalise what attention, MLP and merging return instead of what they get, as Swin V2 does (False).
    cosine: attention by cosine similarity, as in Swin V2 (False).
    stage_conv: a residual convolution before the blocks of every stage, MONAI's ``use_v2`` (False).
    """

    patch_size: int | Sequence[int]
    merge_strides: Strides
    mlp_ratio: float
    qkv_bias: bool
    drop_rate: float
    attn_drop_rate: float
    dropout_path_rate: float
    normalize: bool
    patch_norm: bool
    use_checkpoint: bool | Sequence[bool]
    downsample: Downsample
    post_norm: bool
    cosine: bool
    stage_conv: bool


class WindowEncoder(Encoder):
    """Patch embedding, then stages of window attention, each ending in a merging that doubles the channels.

    Args:
        in_channels: channels of the image.
        feature_size: channels of the first tokens, C; feature i + 1 has C * 2**i.
        depths: transformer blocks per stage; its length is the number of stages.
        num_heads: heads per stage; 3, 6, 12, ... where None.
        layouts: one per stage.
        position: builds a block's positional terms, of the logits and of the values, from its stage, its channels and
            its heads.
        mask_pads: hide the tokens that padding brought in.
        Others: see `WindowOptions`.

    Raises:
        ConfigError: for parameters that do not fit each other, naming both.
        TypeError: for an argument that is none.
    """

    def __init__(
        self,
        in_channels: int,
        feature_size: int,
        depths: Sequence[int],
        num_heads: Sequence[int] | None,
        layouts: Sequence[Layout],
        position: Callable[[int, int, int], Position],
        mask_pads: bool = True,
        **options: Unpack[WindowOptions],
    ) -> None:
        super().__init__()
        chosen = {**DEFAULTS, **options}
        if len(chosen) > len(DEFAULTS):
            raise TypeError(f"unexpected argument {', '.join(sorted(set(chosen) - set(DEFAULTS)))}")
        stages = len(depths)
        heads = tuple(num_heads) if num_heads is not None else tuple(3 * 2**i for i in range(stages))
        _check(depths, heads, layouts, chosen)
        patch = triple(chosen["patch_size"], "patch_size")
        steps = per_stage(chosen["merge_strides"], stages, "merge_strides")
        widths = [feature_size * 2**i for i in range(stages + 1)]
        self.channels = (in_channels, *widths)
        self.strides = ((1, 1, 1), *accumulate(steps, _times, initial=patch))
        self.normalize = chosen["normalize"]
        self.patch = nn.Conv3d(in_channels, feature_size, patch, patch)
        self.patch_norm = nn.LayerNorm(feature_size) if chosen["patch_norm"] else None
        self.drop = nn.Dropout(chosen["drop_rate"])
        rates = iter(torch.linspace(0, chosen["dropout_path_rate"], sum(depths), device="cpu").tolist())
        checkpoints = entries(chosen["use_checkpoint"], stages, "use_checkpoint")
        self.stages = nn.ModuleList()
        for i, dim in enumerate(widths[:-1]):
            attentions = [
                _attention(dim, heads[i], position(i, dim, heads[i]), mask_pads, chosen) for _ in range(depths[i])
            ]
            blocks = [_block(dim, attention, next(rates), chosen) for attention in attentions]
            before = ResidualConv(dim, dim) if chosen["stage_conv"] else None
            merging = _merging(chosen["downsample"], dim, steps[i], chosen["post_norm"])
            self.stages.append(Stage(blocks, layouts[i], merging, before, bool(checkpoints[i])))
        self.apply(init_linear)

    def embed(self, x_BCDHW: Tensor) -> Tensor:
        tokens: Tensor = convolve(self.patch, [x_BCDHW])
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
        ConfigError: for another number of entries than stages, or an entry that is neither.
    """
    return [triple(entry, name) for entry in entries(value, stages, name)]


def entries(value: object, stages: int, name: str) -> list[Any]:
    """One entry per stage, from one number for all or from a list.

    Raises:
        ConfigError: for another number of entries than stages, or what is neither a number nor a list.
    """
    if isinstance(value, int):
        return [value] * stages
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ConfigError(f"{name} must be a number or a list of one entry per stage, got {value!r}", where=name)
    if len(value) != stages:
        raise ConfigError(f"{name} has {len(value)} entries for {stages} stages", where=name)
    return list(value)


def _attention(dim: int, heads: int, position: Position, mask_pads: bool, chosen: Mapping[str, Any]) -> WindowAttention:
    return WindowAttention(
        dim,
        heads,
        *position,
        qkv_bias=chosen["qkv_bias"],
        attn_drop=chosen["attn_drop_rate"],
        proj_drop=chosen["drop_rate"],
        mask_pads=mask_pads,
        cosine=chosen["cosine"],
    )


def _block(dim: int, attention: WindowAttention, rate: float, chosen: Mapping[str, Any]) -> TransformerBlock:
    return TransformerBlock(dim, attention, chosen["mlp_ratio"], chosen["drop_rate"], rate, chosen["post_norm"])


def _merging(downsample: Downsample, dim: int, stride: Triple, post_norm: bool) -> nn.Module:
    if isinstance(downsample, str):
        return PatchMerging(dim, stride=stride, order=downsample, post_norm=post_norm)
    return downsample(dim=dim, norm_layer=nn.LayerNorm, spatial_dims=3)


def _times(a: Triple, b: Triple) -> Triple:
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


def _check(depths: Sequence[int], heads: Sequence[int], layouts: Sequence[Layout], chosen: Mapping[str, Any]) -> None:
    if not depths or min(depths) < 1:
        raise ConfigError(f"every stage has at least one block, got depths {tuple(depths)}", where="depths")
    if len(heads) != len(depths):
        raise ConfigError(f"num_heads has {len(heads)} entries for {len(depths)} stage(s) in depths", where="num_heads")
    for number, layout in zip(heads, layouts, strict=True):
        if number % layout.groups:
            raise ConfigError(
                f"{number} heads cannot be shared among the {layout.groups} directions of the bars",
                where="num_heads",
                repair=f"take multiples of {layout.groups}",
            )
    for name in ("drop_rate", "attn_drop_rate", "dropout_path_rate"):
        if not 0 <= chosen[name] <= 1:
            raise ConfigError(f"{name} must lie in 0 to 1, got {chosen[name]}", where=name)
