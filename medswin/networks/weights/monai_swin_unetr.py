"""The gate for the weights of MONAI's SwinUNETR: other people's files, taken over into our network by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from medswin.errors import ConfigError
from medswin.networks.blocks.merging import PatchMerging
from medswin.networks.segmenter import Segmenter
from medswin.networks.weights import names
from medswin.networks.weights.channels import CHOICES
from medswin.networks.weights.gate import Gate
from medswin.networks.weights.reading import Weights, read_weights
from medswin.networks.weights.report import LoadReport


def load_monai_swin_unetr(
    segmenter: Segmenter,
    source: str | Path | Mapping[str, Any],
    *,
    channels: str | None = None,
    head: str | None = None,
    decoder: str | None = None,
    floor: float = 0.9,
) -> LoadReport:
    """Fill ``segmenter`` with the weights of a MONAI SwinUNETR of the same settings.

    Build it with ``compat="monai-legacy"`` for weights that were trained before MONAI 1.5, which all published ones
    were, and with ``compat="monai-1.5"`` for later ones. Without ``compat`` its logits differ from MONAI's. No file
    tells that merging order, ``normalize``, the number of groups of a group norm or, without index buffers, a window
    from one with equally long tables: with others the weights load, and the logits are wrong.

    Nothing is ever broadcast. A file without a decoder (self-supervised pre-training) leaves ours fresh.

    Args:
        segmenter: a `SwinUNETR`, of as many stages and blocks as the weights are for.
        source: a file or a state dict, under any wrapper and prefix that published weights have, see `read_weights`
            and `canonical_name`.
        channels: what to do where the images have another number of channels: ``"repeat"`` or ``"mean"``, see
            `adapt_channels`, or ``"fresh"`` to leave the first convolutions as they are. None refuses.
        head: ``"fresh"`` leaves the head as it is, for other structures. None takes the file's.
        decoder: ``"fresh"`` leaves decoder and head as they are. None takes the file's, if it has one.
        floor: least share of the encoder's parameters that must be in the file, 0 to 1.

    Raises:
        WeightsError: if the file cannot be read, it covers less of the encoder than ``floor``, its network had other
            settings, it holds part of a decoder, a prefix is unknown, or a shape differs. The segmenter is unchanged
            then.
        ConfigError: for another choice than those above.
    """
    _check_choices(channels, head, decoder, floor)
    weights = read_weights(source)
    gate = Gate.between(segmenter, weights.state, weights.where)
    taken = gate.fill(channels, head, decoder, floor)
    segmenter.load_state_dict({**gate.own, **taken})
    return _report(segmenter, weights, gate, taken)


def _report(segmenter: Segmenter, weights: Weights, gate: Gate, taken: Mapping[str, Tensor]) -> LoadReport:
    places = {gate.names[ours] for ours in taken}
    adapted = tuple(ours for ours in taken if gate.own[ours].shape != gate.state[gate.names[ours]].shape)
    orders = {module.order for module in segmenter.modules() if isinstance(module, PatchMerging)}
    return LoadReport(
        loaded=tuple(ours for ours in taken if ours not in adapted),
        adapted=adapted,
        skipped=tuple(sorted(name for name in weights.state if names.canonical_name(name) not in places)),
        missing=tuple(ours for ours in gate.own if ours not in taken),
        encoder_coverage=gate.covered(taken),
        wrapper=weights.wrapper,
        merging=orders.pop() if len(orders) == 1 else "",
    )


def _check_choices(channels: str | None, head: str | None, decoder: str | None, floor: float) -> None:
    for name, value, choices in (
        ("channels", channels, CHOICES),
        ("head", head, ("fresh",)),
        ("decoder", decoder, ("fresh",)),
    ):
        if value is not None and value not in choices:
            raise ConfigError(
                f"{name} must be one of {', '.join(map(repr, choices))} or None, got {value!r}", where=name
            )
    if not 0 <= floor <= 1:
        raise ConfigError(f"floor must lie in 0 to 1, got {floor}", where="floor")
