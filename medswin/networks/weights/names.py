"""The names of a Swin UNETR's tensors: ours, MONAI's, and the many that other people's files give to MONAI's."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from medswin.errors import WeightsError
from medswin.networks.segmenter import Segmenter

PREFIXES = frozenset(
    {
        "module",
        "backbone",
        "encoder",
        "model",
        "net",
        "network",
        "student",
        "teacher",
        "swin_vit",
        "swinViT",
        "_orig_mod",
    }
)
"""What training scripts put in front of a name, once or nested."""

_EXTRAS = re.compile(r"swinViT\.(norm\d?|mask_token|.*\.relative_position_index|.*\.attn_mask)(\.|$)")
_ENCODER = re.compile(r"(patch_embed|layers\d+c?|norm|mask_token)$")
_DECODER = re.compile(r"(encoder\d+\.layer|decoder\d+\.(transp_conv|conv_block))\.")
_HEAD = "out.conv.conv."

_RESIDUAL = (
    (r"(?P<part>conv\d)\.weight", "{part}.conv.weight"),
    (r"(?P<part>norm\d)\.(?P<kind>\w+)", "{part}.{kind}"),
    (r"skip\.0\.weight", "conv3.conv.weight"),
    (r"skip\.1\.(?P<kind>\w+)", "norm3.{kind}"),
)
_BLOCK = (
    (r"(?P<part>norm[12])\.(?P<kind>\w+)", "{part}.{kind}"),
    (r"attention\.(?P<part>qkv|proj)\.(?P<kind>\w+)", "attn.{part}.{kind}"),
    (r"attention\.bias\.table", "attn.relative_position_bias_table"),
    (r"mlp\.0\.(?P<kind>\w+)", "mlp.linear1.{kind}"),
    (r"mlp\.3\.(?P<kind>\w+)", "mlp.linear2.{kind}"),
)
_PLACES = (
    (r"encoder\.stages\.(?P<stage>\d+)\.blocks\.(?P<block>\d+)", "swinViT.layers{stage}.0.blocks.{block}", _BLOCK),
    (r"encoder\.stages\.(?P<stage>\d+)\.before", "swinViT.layers{stage}c.0.layer", _RESIDUAL),
    (r"decoder\.skips\.(?P<skip>\d+)", "encoder{skip}.layer", _RESIDUAL),
    (r"decoder\.ups\.(?P<up>\d+)\.conv", "decoder{up}.conv_block", _RESIDUAL),
)
_RULES = (
    (r"encoder\.patch\.(?P<kind>\w+)", "swinViT.patch_embed.proj.{kind}"),
    (r"encoder\.patch_norm\.(?P<kind>\w+)", "swinViT.patch_embed.norm.{kind}"),
    (
        r"encoder\.stages\.(?P<stage>\d+)\.merging\.(?P<part>\w+)\.(?P<kind>\w+)",
        "swinViT.layers{stage}.0.downsample.{part}.{kind}",
    ),
    (r"decoder\.ups\.(?P<up>\d+)\.up\.weight", "decoder{up}.transp_conv.conv.weight"),
    (r"head\.(?P<kind>\w+)", _HEAD + "{kind}"),
    *((f"{ours}\\.{tail}", f"{theirs}.{end}") for ours, theirs, rows in _PLACES for tail, end in rows),
)
_WEIGHT = re.compile("|".join(re.sub(r"\\{\w+\\}", r"\\w+", re.escape(theirs)) for _, theirs in _RULES))


def monai_names(segmenter: Segmenter) -> dict[str, str]:
    """Our tensor name -> MONAI's, for every tensor of a Swin UNETR with any number of stages.

    Raises:
        WeightsError: if the network has a tensor that no Swin UNETR of MONAI's has.
    """
    stages = len(segmenter.encoder.channels) - 2
    names = {ours: _monai_name(ours, stages) for ours in segmenter.state_dict()}
    strange = [ours for ours, theirs in names.items() if not theirs]
    if strange:
        raise WeightsError(
            f"MONAI's SwinUNETR has nothing like {len(strange)} of the network's tensors, for example {strange[0]!r}",
            repair="use a SwinUNETR without the options that MONAI lacks (cosine, log_cpb, ...)",
        )
    return names


def canonical(state: Mapping[str, Tensor], where: object = None) -> dict[str, Tensor]:
    """The tensors by MONAI's present names, `canonical_name`.

    Raises:
        WeightsError: if two different tensors come to have one name, as those of a student and its teacher do.
    """
    origin: dict[str, str] = {}
    for name, tensor in state.items():
        twin = origin.setdefault(canonical_name(name), name)
        if twin != name and not is_extra(canonical_name(name)) and not torch.equal(state[twin], tensor):
            raise WeightsError(
                f"{twin!r} and {name!r} stand for the same tensor and differ",
                where=where,
                repair="keep one of the two networks and take the other's tensors out",
            )
    return {new: state[name] for new, name in origin.items()}


def canonical_name(name: str) -> str:
    """MONAI's present name of a tensor; a name that no Swin UNETR has comes back as it is.

    Prefixes go, ``fc1`` and ``fc2`` become ``linear1`` and ``linear2``, and ``layersN.0.0.`` becomes ``layersN.0.``.
    """
    parts = name.split(".")
    while len(parts) > 1 and parts[0] in PREFIXES:
        parts = parts[1:]
    if _ENCODER.match(parts[0]):
        doubled = parts[0].startswith("layers") and parts[1:3] == ["0", "0"]
        inner = ".".join(parts[:2] + parts[3:] if doubled else parts)
        return "swinViT." + inner.replace(".mlp.fc", ".mlp.linear")
    bare = ".".join(parts)
    return bare if is_decoder(bare) or is_head(bare) else name


def is_weight(name: str) -> bool:
    """Whether a canonical name is of a weight that some Swin UNETR has."""
    return bool(_WEIGHT.fullmatch(name))


def is_extra(name: str) -> bool:
    """Whether a canonical name is of something in an encoder that holds no weight of the segmenter's."""
    return bool(_EXTRAS.match(name))


def is_encoder(name: str) -> bool:
    """Whether a canonical name is of a weight of the encoder."""
    return name.startswith("swinViT.") and not is_extra(name)


def is_decoder(name: str) -> bool:
    """Whether a canonical name is of the decoder."""
    return bool(_DECODER.match(name))


def is_head(name: str) -> bool:
    """Whether a canonical name is of the head."""
    return name.startswith(_HEAD)


def _monai_name(ours: str, stages: int) -> str:
    for pattern, template in _RULES:
        found = re.fullmatch(pattern, ours)
        if found:
            parts: dict[str, object] = dict(found.groupdict())
            parts |= {key: int(found[key]) + 1 for key in ("stage", "skip", "up") if key in parts}
            if parts.get("skip") == stages + 2:  # the bottleneck's, whatever the number of stages
                parts["skip"] = 10
            return template.format(**parts)
    return ""
