"""The gate for encoders that medswin pre-trained: ``pretrained.safetensors`` into a network of the same encoder."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from math import isclose, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from medswin.errors import WeightsError
from medswin.io.files import replacing
from medswin.networks.contract import Encoder
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


def load_encoder(segmenter: Segmenter, path: Path | str, *, channels: str | None = None) -> LoadReport:
    """Fill the encoder of ``segmenter`` with a pre-trained one, whole; decoder and head stay as they are.

    Args:
        segmenter: whose encoder has the settings that were pre-trained.
        path: a file that ``medswin pretrain`` wrote.
        channels: what to do where its scans had another number of channels: ``"repeat"`` or ``"mean"``, see
            `adapt_channels`, or ``"fresh"`` to leave the first convolution as it is. None refuses.

    Raises:
        WeightsError: if the file is damaged, of another encoder, or of other channels with ``channels=None``. The
            segmenter is unchanged then.
    """
    about = encoder_about(path) or {}
    state = {f"encoder.{name}": tensor for name, tensor in load_file(path).items()}
    own = {name: tensor.clone() for name, tensor in segmenter.state_dict().items()}
    _check_names(own, state, about, path)
    other_channels = STEM in state and state[STEM].shape != own[STEM].shape
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
    if not _same(structure(_as_written(segmenter.encoder, state)), about.get("structure")):
        raise _another("its tensors fit, but it computes something else (heads, windows, norms, merging)", about, path)
    segmenter.load_state_dict({**own, **filled})
    places = [name for name in own if name.startswith("encoder.")]
    return LoadReport(
        loaded=tuple(name for name in filled if filled[name] is state[name]),
        adapted=tuple(name for name in filled if filled[name] is not state[name]),
        skipped=tuple(name for name in state if name not in filled),
        missing=tuple(name for name in own if name not in filled),
        encoder_coverage=sum(own[n].numel() for n in filled) / max(1, sum(own[n].numel() for n in places)),
    )


def save_encoder(path: Path | str, encoder: Encoder, about: Mapping[str, Any]) -> None:
    """Write an encoder's tensors, and what the file says of itself: ``about`` and its `structure`."""
    state = {name: tensor.cpu().clone().contiguous() for name, tensor in encoder.state_dict().items()}
    told = json.dumps({**about, "structure": structure(encoder)})
    with replacing(path) as temporary:
        save_file(state, temporary, metadata={ABOUT: told})


def structure(encoder: Encoder) -> list[float]:
    """What an encoder finds in fixed noise, with fixed noise in the place of its weights.

    Two encoders whose settings differ in anything that is computed differ here, whatever they have learned: weights of
    a short training hardly attend, so that other heads or windows would not show in what they find. In float64, on the
    CPU, with numpy's frozen generator: the same everywhere.
    """
    twin, draw = copy.deepcopy(encoder).cpu().double().eval(), np.random.RandomState(0).standard_normal
    with torch.no_grad():
        for _, parameter in sorted(twin.named_parameters()):
            fan_in = prod(parameter.shape[1:])
            parameter.copy_(torch.as_tensor(draw(tuple(parameter.shape))) / fan_in**0.5)
        # 3 positions in the bottleneck: windows and bars of 2 and of all of an axis differ, and pads come in.
        noise = torch.from_numpy(draw((1, twin.channels[0], *(3 * edge for edge in twin.divisor))))
        found = [feature.flatten() for feature in twin(noise)[1:]]
        return [float(x @ torch.from_numpy(draw(len(x))) / len(x) ** 0.5) for x in found for _ in range(2)]


def _as_written(encoder: Encoder, state: Mapping[str, Tensor]) -> Encoder:
    """A copy that holds what the file has, for as many channels as it was trained on."""
    twin: Any = copy.deepcopy(encoder)
    if STEM in state:
        twin.channels = (state[STEM].shape[1], *twin.channels[1:])
        twin.patch.weight = nn.Parameter(state[STEM])
    twin.load_state_dict({name.removeprefix("encoder."): tensor for name, tensor in state.items()})
    written: Encoder = twin
    return written


def _same(one: list[float], other: list[float] | None) -> bool:
    return other is None or all(isclose(a, b, rel_tol=1e-4, abs_tol=1e-6) for a, b in zip(one, other, strict=True))


def _check_names(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], about: Mapping[str, Any], path: Path | str
) -> None:
    """Raise WeightsError unless the file has all of our encoder's tensors in their shapes, and no others."""
    places = [name for name in own if name.startswith("encoder.")]
    surplus, missing = sorted(set(state) - set(places)), [name for name in places if name not in state]
    differing = [n for n in places if n in state and _but_channels(n, state[n]) != _but_channels(n, own[n])]
    if surplus or missing or differing:
        raise _another(
            f"{len(surplus)} of its tensors have no place, {len(missing)} of ours are not in it, {len(differing)} "
            f"differ in shape; for example {[*surplus, *missing, *differing][0]}",
            about,
            path,
        )


def _but_channels(name: str, tensor: Tensor) -> tuple[int, ...]:
    shape = tuple(tensor.shape)
    return (shape[0], *shape[2:]) if name == STEM else shape


def _another(what: str, about: Mapping[str, Any], path: Path | str) -> WeightsError:
    settings = json.dumps(about.get("network", {}))
    repair = f"build the network with the settings that were pre-trained: {settings}"
    return WeightsError(f"it is of another encoder: {what}", where=path, repair=repair)
