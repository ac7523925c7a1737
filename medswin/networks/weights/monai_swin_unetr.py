"""MONAI's SwinUNETR state dict, taken over into ours by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from medswin.errors import WeightsError
from medswin.networks.segmenter import Segmenter

WRAPPERS = ("state_dict", "model", "network_weights", "net")


@dataclass(frozen=True)
class LoadReport:
    """What a gate took over.

    Attributes:
        loaded: our names of the tensors that were filled.
        skipped: foreign names that have no place in our network (index buffers, other heads).
        missing: our names that the file did not fill; always empty after a strict load.
    """

    loaded: tuple[str, ...]
    skipped: tuple[str, ...]
    missing: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """Share of our tensors that were filled, 0 to 1."""
        return len(self.loaded) / max(1, len(self.loaded) + len(self.missing))


def load_monai_swin_unetr(segmenter: Segmenter, source: str | Path | Mapping[str, Tensor]) -> LoadReport:
    """Fill ``segmenter`` with the weights of a MONAI SwinUNETR of the same settings.

    Build the segmenter with ``compat="monai-1.5"`` to get MONAI's logits from them; without it the network is the
    corrected one and its logits differ where a map is padded or smaller than a window.

    Args:
        segmenter: a `SwinUNETR` with any number of stages.
        source: MONAI's state dict, or a ``.pt``/``.pth`` file that holds one, bare or under a usual wrapper key. Files
            are read with ``weights_only=True``.

    Raises:
        WeightsError: if the file cannot be read, a shape differs (nothing is ever broadcast), or a tensor of ours is
            not filled. The segmenter is unchanged then.
    """
    where = source if isinstance(source, (str, Path)) else "state dict"
    foreign = _read(Path(source)) if isinstance(source, (str, Path)) else source
    names = monai_names(segmenter)
    own = segmenter.state_dict()
    missing = sorted(ours for ours, theirs in names.items() if theirs not in foreign)
    if missing:
        raise WeightsError(
            f"{len(missing)} of {len(names)} tensors are not in it, for example {names[missing[0]]!r}",
            where=where,
            repair="build the network with the settings (depths, patch_norm, ...) that the weights were trained with",
        )
    for ours, theirs in names.items():
        if own[ours].shape != foreign[theirs].shape:
            raise WeightsError(
                f"{theirs!r} has shape {tuple(foreign[theirs].shape)}, the network needs {tuple(own[ours].shape)}",
                where=where,
                repair="build the network with the channels, feature size, heads and window of the weights",
            )
    segmenter.load_state_dict({ours: foreign[theirs] for ours, theirs in names.items()})
    skipped = tuple(sorted(set(foreign) - set(names.values())))
    return LoadReport(tuple(names), skipped, ())


def monai_names(segmenter: Segmenter) -> dict[str, str]:
    """Our tensor name -> MONAI's, for every tensor of a Swin UNETR."""
    return {ours: _monai_name(ours, len(segmenter.encoder.channels) - 2) for ours in segmenter.state_dict()}


def _monai_name(name: str, stages: int) -> str:
    room, *rest = name.split(".")
    if room == "head":
        return ".".join(["out.conv.conv", *rest])
    if room == "encoder":
        return "swinViT." + _encoder_name(rest)
    index, tail = int(rest[1]), rest[2:]
    if rest[0] == "skips":  # the bottleneck's block is called encoder10 whatever the number of stages
        block = "encoder10" if index == stages + 1 else f"encoder{index + 1}"
        return f"{block}.layer.{_conv_name(tail)}"
    if tail[0] == "up":
        return f"decoder{index + 1}.transp_conv.conv.{tail[-1]}"
    return f"decoder{index + 1}.conv_block.{_conv_name(tail[1:])}"


def _encoder_name(rest: list[str]) -> str:
    if rest[0] == "patch":
        return f"patch_embed.proj.{rest[1]}"
    if rest[0] == "patch_norm":
        return f"patch_embed.norm.{rest[1]}"
    stage, part = f"layers{int(rest[1]) + 1}.0", rest[2:]
    if part[0] == "merging":
        return ".".join([stage, "downsample", *part[1:]])
    block, inner = f"{stage}.blocks.{part[1]}", ".".join(part[2:])
    renamed = {
        "attention.bias.table": "attn.relative_position_bias_table",
        "mlp.0.weight": "mlp.linear1.weight",
        "mlp.0.bias": "mlp.linear1.bias",
        "mlp.3.weight": "mlp.linear2.weight",
        "mlp.3.bias": "mlp.linear2.bias",
    }
    return f"{block}.{renamed.get(inner, inner.replace('attention.', 'attn.'))}"


def _conv_name(tail: list[str]) -> str:
    names = {"conv1": "conv1.conv", "conv2": "conv2.conv", "skip": "conv3.conv", "norm1": "norm1", "norm2": "norm2"}
    if tail[0] == "skip":
        return f"conv3.conv.{tail[-1]}" if tail[1] == "0" else f"norm3.{tail[-1]}"
    return f"{names[tail[0]]}.{tail[-1]}"


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError("no such file", where=path, repair="check the path") from error
    except Exception as error:  # torch.load raises whatever its parsers meet in a file that is none of its own
        raise WeightsError(
            "it is damaged, or holds more than tensors",
            where=path,
            repair="save the bare state dict: torch.save(model.state_dict(), path)",
        ) from error
    for key in WRAPPERS:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise WeightsError("it holds no state dict", where=path, repair="save model.state_dict()")
    return found
