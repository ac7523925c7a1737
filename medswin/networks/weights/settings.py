"""What a state dict itself tells of the settings that its network was built with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from medswin.errors import WeightsError
from medswin.networks.weights.names import canonical, is_decoder
from medswin.networks.weights.prefixes import check_prefixes
from medswin.networks.weights.windows import told_window

_PATCH = "swinViT.patch_embed.proj.weight"
_BLOCK = "swinViT.layers{}.0.blocks.0."
_TABLE = _BLOCK + "attn.relative_position_bias_table"


def monai_settings(
    state: Mapping[str, Tensor], where: object = None, given: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Arguments of `SwinUNETR` that a full state dict of MONAI's tells, whatever its prefixes.

    What it cannot tell is left out: ``compat``, ``normalize``, ``downsample`` and the dropouts. ``norm_name`` is told
    where the decoder has running statistics (``"batch"``), left out where it has no norm weights (instance norm), and
    asked for otherwise. The window is told by the index buffers, or as a cube by the length of the bias tables.

    Args:
        state: tensors by name.
        where: the file they came from, for messages.
        given: arguments that are known already, and need not be told by the tensors. They win.

    Raises:
        WeightsError: if a tensor is missing that tells a setting, or lies under an unknown prefix, the network is 2D,
            or its window or norm cannot be told.
    """
    known, said = canonical(state, where), given or {}
    head = known.get("out.conv.conv.weight")
    told = {**encoder_settings(known), "out_channels": None if head is None else head.shape[0]}
    if _PATCH in known and known[_PATCH].ndim == 4:
        raise WeightsError("these are weights of a 2D network", where=where, repair="use weights of a 3D SwinUNETR")
    unknown = [name for name, value in told.items() if value is None and name not in said]
    if unknown:
        check_prefixes(known, where)
        raise _untold(unknown, known, where)
    norm = {} if "norm_name" in said else _norm(known, where)
    return {**told, **norm, **said}


def encoder_settings(known: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of the encoder by canonical names; None for what the tensors do not tell."""
    depths = _depths(known)
    names = [_TABLE.format(i + 1) for i in range(len(depths))]
    tables = {name: known[name] for name in names if name in known and known[name].ndim == 2}
    whole = bool(tables) and len(tables) == len(depths)
    return {
        **_patch(known.get(_PATCH)),
        "depths": depths or None,
        "num_heads": tuple(table.shape[1] for table in tables.values()) if whole else None,
        "window_size": _window(known, tables) if whole else None,
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


def _untold(unknown: list[str], known: Mapping[str, Tensor], where: object) -> WeightsError:
    """What to say where settings are not told."""
    if "window_size" in unknown and "num_heads" not in unknown and _TABLE.format(1) in known:
        return WeightsError(
            f"a bias table of {known[_TABLE.format(1)].shape[0]} rows is of no cubic window, and it has no index that "
            "tells of which",
            where=where,
            repair="say the window that the weights were trained with, for example --set window_size=[7,5,3]",
        )
    return WeightsError(
        f"it tells no {', '.join(unknown)}: it is no full state dict of a SwinUNETR",
        where=where,
        repair="give the state dict of the whole network; an encoder alone goes into a network of your own, see "
        "load_monai_swin_unetr",
    )


def _norm(known: Mapping[str, Tensor], where: object) -> dict[str, str]:
    """``norm_name`` of the decoder where it is not the default."""
    names = [name for name in known if is_decoder(name)]
    weights = any(re.search(r"\.norm\d\.weight$", name) for name in names)
    statistics = any(name.endswith(".running_mean") for name in names)
    if weights and statistics:
        return {"norm_name": "batch"}
    if weights or statistics:
        raise WeightsError(
            "it does not tell the norm of its decoder, which has weights: group norm, or an affine instance norm",
            where=where,
            repair="say the norm that the weights were trained with, for example "
            "--set 'norm_name=[group, {num_groups: 4}]'",
        )
    return {}


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


def _window(known: Mapping[str, Tensor], tables: Iterable[str]) -> int | tuple[Any, ...] | None:
    """One window where all stages have the same, else one per stage; None where one is not told."""
    windows = [told_window(known, table) for table in tables]
    if windows[0] is None or None in windows:
        return None
    return _one(windows[0]) if len(set(windows)) == 1 else tuple(windows)


def _one(sizes: Iterable[int]) -> int | tuple[int, ...]:
    """One number where all axes have the same."""
    axes = tuple(sizes)
    return axes[0] if len(set(axes)) == 1 else axes
