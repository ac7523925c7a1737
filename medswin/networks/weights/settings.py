"""What a state dict itself tells of the settings that its network was built with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from medswin.errors import WeightsError
from medswin.networks.weights.names import canonical

_PATCH = "swinViT.patch_embed.proj.weight"
_BLOCK = "swinViT.layers{}.0.blocks.0."


def monai_settings(state: Mapping[str, Tensor], where: object = None) -> dict[str, Any]:
    """Arguments of `SwinUNETR` that a full state dict of MONAI's tells, whatever its prefixes.

    What it cannot tell is left out: ``compat``, ``norm_name``, ``normalize``, ``downsample`` and the dropouts.

    Args:
        state: tensors by name.
        where: the file they came from, for messages.

    Raises:
        WeightsError: if a tensor is missing that tells a setting, the network is 2D, or its window is no cube.
    """
    known = canonical(state, where)
    head = known.get("out.conv.conv.weight")
    found = {**encoder_settings(known), "out_channels": None if head is None else head.shape[0]}
    if _PATCH in known and known[_PATCH].ndim == 4:
        raise WeightsError("these are weights of a 2D network", where=where, repair="use weights of a 3D SwinUNETR")
    if found["window_size"] is None and found["num_heads"] is not None:
        rows = known[_BLOCK.format(1) + "attn.relative_position_bias_table"].shape[0]
        raise WeightsError(
            f"a bias table of {rows} rows is of no cubic window",
            where=where,
            repair="build the network yourself with the window_size that the weights were trained with",
        )
    unknown = [name for name, value in found.items() if value is None]
    if unknown:
        raise WeightsError(
            f"it tells no {', '.join(unknown)}: it is no full state dict of a SwinUNETR",
            where=where,
            repair="give the state dict of the whole network; an encoder alone goes into a network of your own, see "
            "load_monai_swin_unetr",
        )
    return found


def encoder_settings(known: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of the encoder by canonical names; None for what the tensors do not tell."""
    depths = _depths(known)
    tables = [known.get(_BLOCK.format(i + 1) + "attn.relative_position_bias_table") for i in range(len(depths))]
    shapes = [table.shape for table in tables if table is not None and table.ndim == 2]
    whole = bool(shapes) and len(shapes) == len(depths)
    return {
        **_patch(known.get(_PATCH)),
        "depths": depths or None,
        "num_heads": tuple(heads for _, heads in shapes) if whole else None,
        "window_size": _cube(rows for rows, _ in shapes),
        "mlp_ratio": _ratio(known.get(_BLOCK.format(1) + "mlp.linear1.weight")),
        "qkv_bias": any(name.endswith(".attn.qkv.bias") for name in known),
        "patch_norm": any(name.startswith("swinViT.patch_embed.norm.") for name in known),
        "stage_conv": any(name.startswith("swinViT.layers1c.") for name in known),
    }


def differences(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Their settings where both are known and differ."""
    shared = theirs.keys() & ours.keys()
    return {
        name: theirs[name]
        for name in sorted(shared)
        if None not in (theirs[name], ours[name]) and theirs[name] != ours[name]
    }


def _patch(weight: Tensor | None) -> dict[str, Any]:
    if weight is None or weight.ndim != 5:
        return {"in_channels": None, "feature_size": None, "patch_size": None}
    width, channels, *sizes = weight.shape
    return {"in_channels": channels, "feature_size": width, "patch_size": _one(sizes)}


def _ratio(weight: Tensor | None) -> float | None:
    return weight.shape[0] / weight.shape[1] if weight is not None and weight.ndim == 2 else None


def _depths(known: Mapping[str, Tensor]) -> tuple[int, ...]:
    deepest: dict[int, int] = {}
    for name in known:
        block = re.match(r"swinViT\.layers(\d+)\.0\.blocks\.(\d+)\.", name)
        if block:
            stage = int(block[1])
            deepest[stage] = max(deepest.get(stage, 0), int(block[2]) + 1)
    return tuple(deepest.get(stage, 0) for stage in range(1, max(deepest, default=0) + 1))


def _cube(rows: Iterable[int]) -> int | None:
    """The side w of a cubic window whose table has (2w - 1)**3 rows; None where tables differ or there is none."""
    sides = {next((w for w in range(1, 65) if (2 * w - 1) ** 3 == n), None) for n in rows}
    return sides.pop() if len(sides) == 1 else None


def _one(sizes: Iterable[int]) -> int | tuple[int, ...]:
    """One number where all axes have the same."""
    axes = tuple(sizes)
    return axes[0] if len(set(axes)) == 1 else axes
