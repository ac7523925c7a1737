"""Swin Transformer encoder in 3D: attention in cubes, shifted in every second block.

Source: Liu et al. 2021, "Swin Transformer"; in 3D and with a merging at the end of every stage as in Hatamizadeh et al.
2022, "Swin UNETR".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from medswin.errors import ConfigError
from medswin.networks.blocks.attention import WindowAttention
from medswin.networks.blocks.bias import RelativeBias
from medswin.networks.blocks.merging import PatchMerging
from medswin.networks.blocks.transformer import TransformerBlock, init_linear
from medswin.networks.contract import Encoder, Triple, triple
from medswin.networks.partition import Partition

Windows = int | Sequence[int] | Sequence[int | Sequence[int]]
Strides = int | Sequence[int | Sequence[int]]


class SwinEncoder(Encoder):
    """Patch embedding, then stages of window attention, each ending in a merging that doubles the channels.

    Args:
        in_channels: channels of the image.
        feature_size: channels of the first tokens, C; feature i + 1 has C * 2**i.
        depths: transformer blocks per stage; its length is the number of stages.
        num_heads: heads per stage; 3, 6, 12, ... where None.
        window_size: tokens of a window: one number, one per axis, or one such entry per stage.
        patch_size: voxels of a patch, one number or one per axis.
        merge_strides: tokens merged at the end of a stage: one number, or one entry per stage (a number, or one per
            axis).
        mlp_ratio, qkv_bias: of every block.
        drop_rate, attn_drop_rate, dropout_path_rate: dropouts, 0 to 1; the last rises linearly from block to block.
        normalize: layer-normalise every feature over its channels (without parameters) before it is handed out.
        patch_norm: layer-normalise the first tokens.
        use_checkpoint: recompute the blocks in the backward pass: less memory, about a third more time.
        downsample: ``"merging"``, ``"mergingv2"``, or a class built with (dim=, norm_layer=, spatial_dims=) that maps
            (B, D, H, W, C) to (B, D/2, H/2, W/2, 2C).
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
        downsample: str | Callable[..., nn.Module] = "merging",
        monai: bool = False,
    ) -> None:
        super().__init__()
        stages = len(depths)
        heads = tuple(num_heads) if num_heads is not None else tuple(3 * 2**i for i in range(stages))
        _check(stages, heads, drop_rate=drop_rate, attn_drop_rate=attn_drop_rate, dropout_path_rate=dropout_path_rate)
        patch = triple(patch_size, "patch_size")
        steps = _per_stage(merge_strides, stages, "merge_strides")
        widths = [feature_size * 2**i for i in range(stages + 1)]
        self.channels = (in_channels, *widths)
        self.strides = ((1, 1, 1), *accumulate(steps, _times, initial=patch))
        self.normalize = normalize
        self.patch = nn.Conv3d(in_channels, feature_size, patch, patch)
        self.patch_norm = nn.LayerNorm(feature_size) if patch_norm else None
        self.drop = nn.Dropout(drop_rate)
        rates = torch.linspace(0, dropout_path_rate, sum(depths), device="cpu").tolist()
        windows = _windows(window_size, stages)
        self.stages = nn.ModuleList()
        for i, (depth, window) in enumerate(zip(depths, windows, strict=True)):
            blocks = [
                TransformerBlock(
                    widths[i],
                    WindowAttention(
                        widths[i],
                        heads[i],
                        RelativeBias(window, heads[i], truncate_index=monai),
                        qkv_bias=qkv_bias,
                        attn_drop=attn_drop_rate,
                        proj_drop=drop_rate,
                        mask_pads=not monai,
                    ),
                    mlp_ratio=mlp_ratio,
                    drop=drop_rate,
                    drop_path=rates[sum(depths[:i]) + j],
                )
                for j in range(depth)
            ]
            self.stages.append(SwinStage(blocks, window, _merging(downsample, widths[i], steps[i]), use_checkpoint))
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


class SwinStage(nn.Module):
    """Blocks over one grid, every second one shifted by half a window, then the merging; channels-last."""

    def __init__(
        self, blocks: list[TransformerBlock], window: Triple, merging: nn.Module, use_checkpoint: bool = False
    ) -> None:
        super().__init__()
        self.blocks, self.merging = nn.ModuleList(blocks), merging
        self.window, self.use_checkpoint = window, use_checkpoint

    def forward(self, x_BDHWC: Tensor) -> Tensor:
        x = x_BDHWC
        for i, block in enumerate(self.blocks):
            shift = tuple(n // 2 if i % 2 else 0 for n in self.window)
            part = Partition.fit(x.shape[1:4], self.window, shift)
            x = checkpoint(block, x, part, use_reentrant=False) if self._recompute() else block(x, part)
        merged: Tensor = self.merging(x)
        return merged

    def _recompute(self) -> bool:
        return self.use_checkpoint and torch.is_grad_enabled()


def _merging(downsample: str | Callable[..., nn.Module], dim: int, stride: Triple) -> nn.Module:
    if isinstance(downsample, str):
        return PatchMerging(dim, stride=stride, order=downsample)
    return downsample(dim=dim, norm_layer=nn.LayerNorm, spatial_dims=3)


def _times(a: Triple, b: Triple) -> Triple:
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


def _windows(value: Windows, stages: int) -> list[Triple]:
    """One window for all stages (a number, or one per axis as in MONAI), or a list of such entries, one per stage."""
    if isinstance(value, int) or all(isinstance(v, int) for v in value):
        return [triple(value, "window_size")] * stages  # type: ignore[arg-type]
    return _per_stage(value, stages, "window_size")


def _per_stage(value: int | Sequence[int | Sequence[int]], stages: int, name: str) -> list[Triple]:
    """One number for all stages, or one entry per stage, each a number or one per axis."""
    entries = [value] * stages if isinstance(value, int) else list(value)
    if len(entries) != stages:
        raise ConfigError(f"{name} has {len(entries)} entries for {stages} stages", where=name)
    return [triple(entry, name) for entry in entries]


def _check(stages: int, heads: Sequence[int], **rates: float) -> None:
    if stages < 1 or len(heads) != stages:
        raise ConfigError(f"num_heads has {len(heads)} entries for {stages} stage(s) in depths", where="num_heads")
    for name, rate in rates.items():
        if not 0 <= rate <= 1:
            raise ConfigError(f"{name} must lie in 0 to 1, got {rate}", where=name)
