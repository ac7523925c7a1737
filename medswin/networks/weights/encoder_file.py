"""The gate for encoders that medswin pre-trained: ``pretrained.safetensors`` into a network of the same encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from medswin.errors import WeightsError
from medswin.networks.segmenter import Segmenter
from medswin.networks.weights.channels import adapt_channels
from medswin.networks.weights.report import LoadReport

ABOUT = "medswin"
"""Key of what the file says of itself, as JSON, among the metadata."""
STEM = "encoder.patch.weight"


def encoder_about(path: Path | str) -> dict[str, Any] | None:
    """What an encoder's file says of itself; None for another file.

    Raises:
        WeightsError: for a damaged safetensors file.
    """
    if Path(path).suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(ABOUT)
    except (SafetensorError, OSError) as error:
        raise WeightsError("it is damaged or not there", where=path, repair="get the file again") from error
    about: dict[str, Any] | None = None if text is None else json.loads(text)
    return about


def load_encoder(
    segmenter: Segmenter, path: Path | str, *, channels: str | None = None, floor: float = 0.9
) -> LoadReport:
    """Fill the encoder of ``segmenter`` with a pre-trained one; decoder and head stay as they are.

    Args:
        segmenter: whose encoder has the settings that were pre-trained.
        path: a file that ``medswin pretrain`` wrote.
        channels: what to do where its scans had another number of channels: ``"repeat"`` or ``"mean"``, see
            `adapt_channels`, or ``"fresh"`` to leave the first convolution as it is. None refuses.
        floor: least share of the encoder's parameters that must be filled, 0 to 1.

    Raises:
        WeightsError: if the file is damaged, of another encoder, or of other channels with ``channels=None``. The
            segmenter is unchanged then.
    """
    encoder_about(path)
    state = {f"encoder.{name}": tensor for name, tensor in load_file(path).items()}
    own = segmenter.state_dict()
    places = [name for name in own if name.startswith("encoder.")]
    surplus, missing = sorted(set(state) - set(places)), [name for name in places if name not in state]
    differing = [n for n in places if n in state and state[n].shape != own[n].shape]
    other_channels = STEM in differing and state[STEM].shape[2:] == own[STEM].shape[2:]
    if surplus or missing or set(differing) - ({STEM} if other_channels else set()):
        example = next(iter([*surplus, *missing, *differing]))
        raise WeightsError(
            f"it is of another encoder: {len(surplus)} of its tensors have no place, {len(missing)} of ours are not in "
            f"it, {len(differing)} differ in shape; for example {example}",
            where=path,
            repair=f"build the network with the settings that were pre-trained: {_settings(path)}",
        )
    if other_channels and channels is None:
        raise WeightsError(
            f"it was pre-trained on {state[STEM].shape[1]} channel(s), the network takes {own[STEM].shape[1]}",
            where=path,
            repair="say how its first convolution is to be adapted: repeat, mean or fresh (--init-channels)",
        )
    filled = dict(state)
    if other_channels and channels == "fresh":
        del filled[STEM]
    elif other_channels and channels is not None:
        filled[STEM] = adapt_channels(state[STEM], own[STEM].shape[1], channels)
    sizes = {name: own[name].numel() for name in places}
    coverage = sum(sizes[name] for name in filled) / max(1, sum(sizes.values()))
    if coverage < floor:
        raise WeightsError(f"only {100 * coverage:.1f} % of the encoder's parameters would be filled", where=path)
    segmenter.load_state_dict({**own, **filled})
    return LoadReport(
        loaded=tuple(name for name in filled if name not in differing),
        adapted=tuple(name for name in filled if name in differing),
        skipped=tuple(name for name in state if name not in filled),
        missing=tuple(name for name in own if name not in filled),
        encoder_coverage=coverage,
    )


def _settings(path: Path | str) -> str:
    about = encoder_about(path) or {}
    return json.dumps(about.get("network", {}))
