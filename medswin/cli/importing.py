"""A model package from a checkpoint that was trained elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import medswin
from medswin.cli import options
from medswin.errors import ConfigError, MedswinError, ShapeError, WeightsError
from medswin.io.files import sha256
from medswin.io.package import FORMAT_VERSION, write_package
from medswin.labels import LabelSet
from medswin.networks import Segmenter, build
from medswin.networks.weights import LoadReport, load_monai_swin_unetr, monai_settings, read_weights
from medswin.training.card import model_card
from medswin.transforms import Preprocessing

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
LIMITS = (
    "Imported: medswin has measured nothing on it and fitted no detector of unusual scans. Orientation, spacing and "
    "intensities are what was said on import: where they are not those of its training, its outlines are worthless. "
    "medswin ood fit makes a detector from a site's own scans."
)


@dataclass(frozen=True)
class Import:
    """What the checkpoint does not tell of a model, in the words of the command line.

    Attributes:
        name: of the model.
        structures: names, comma-separated, in the order of the classes after the background.
        channels: names, comma-separated, in the order of the network's input; may be empty for one channel.
        spacing: mm per RAS axis, three numbers; empty keeps each scan's own.
        intensity: ``zscore``, or ``window:LOW:HIGH``.
        roi: voxels of a window per axis, three numbers.
        overlap: of the windows, at least 0 and below 1.
        compat: which MONAI trained it, see `medswin.networks.SwinUNETR`.
        licence: of the weights.
        settings: arguments of `medswin.networks.SwinUNETR` that a checkpoint does not tell, by name; not ``compat``.
    """

    name: str
    structures: str
    channels: str = ""
    spacing: str = ""
    intensity: str = "zscore"
    roi: str = "96,96,96"
    overlap: float = 0.5
    compat: str = "monai-legacy"
    licence: str = "not stated"
    settings: Mapping[str, Any] = field(default_factory=dict)


def import_swin_unetr(file: Path, folder: Path, said: Import) -> tuple[str, LoadReport]:
    """Write the package of a published, whole Swin UNETR; gives its id and what was loaded.

    Raises:
        WeightsError: if the file cannot be read, or is not of a whole network.
        ConfigError: for words of the command line that cannot be understood, or do not fit the network.
        PackageError: if ``folder`` holds something else than a package.
    """
    described = _described(said)
    params = {**monai_settings(read_weights(file).state, file, said.settings), "compat": said.compat}
    network = _build(params, file)
    label_set = LabelSet.from_names(options.names(said.structures, "--structures"))
    _check_classes(file, label_set, network.out_channels)
    channels = options.channels(said.channels, network.in_channels)
    _check_window(params, described["window"]["roi_size"])
    report = _load(network, file)
    model = {
        "format_version": FORMAT_VERSION,
        **described,
        "about": {"limits": LIMITS, "recipe": _recipe(file, said)},
        "network": {"name": "swin_unetr", "params": params},
        "labels": label_set.to_json(),
        "channels": channels,
        "fingerprint": {},
        "medswin_version": medswin.__version__,
    }
    card = model_card(model, {}, None)
    return write_package(folder, model=model, state=network.state_dict(), metrics={}, card=card), report


def _build(params: Mapping[str, Any], file: Path) -> Segmenter:
    try:
        return build("swin_unetr", **params)
    except MedswinError:
        raise
    except Exception as error:  # MONAI and torch raise what they like for a norm or a width that is none
        raise ConfigError(
            f"no network has the settings that {file.name} tells and --set gives: {error}",
            where="--set",
            repair="give the settings that the weights were trained with",
        ) from error


def _load(network: Segmenter, file: Path) -> LoadReport:
    try:
        report = load_monai_swin_unetr(network, file)
    except WeightsError as error:  # its repair is in the words of Python
        raise WeightsError(
            error.what,
            where=file,
            repair="give the checkpoint of the whole trained network under the names that MONAI gave its tensors, and "
            "no other settings with --set than those of its training",
        ) from error
    if report.missing:
        raise WeightsError(
            f"{len(report.missing)} tensors of the network are not in it, for example {report.missing[0]}",
            where=file,
            repair="give the checkpoint of the whole trained network, decoder and head included",
        )
    return report


def _described(said: Import) -> dict[str, Any]:
    """What is said of the model and needs no look at its weights."""
    if "compat" in said.settings:
        raise ConfigError("compat has an option of its own", where="--set compat", repair="use --compat")
    if not NAME.fullmatch(said.name):
        raise ConfigError(f"a model's name is letters, digits, . _ and -, got {said.name!r}", where="--name")
    if not 0 <= said.overlap < 1:
        raise ConfigError(f"overlap must be at least 0 and below 1, got {said.overlap}", where="--overlap")
    spacing = options.three(said.spacing, "--spacing", float) if said.spacing else None
    roi = options.three(said.roi, "--roi", int)
    return {
        "name": said.name,
        "version": "1.0.0",
        "licence": said.licence,
        "preprocessing": Preprocessing(spacing, options.intensity(said.intensity)).to_json(),
        "window": {"roi_size": list(roi), "overlap": said.overlap, "mode": "gaussian", "mirror_axes": []},
    }


def _check_classes(file: Path, label_set: LabelSet, classes: int) -> None:
    if len(label_set) + 1 != classes:
        raise ConfigError(
            f"{len(label_set)} structures and the background are {len(label_set) + 1} classes, {file.name} tells "
            f"{classes}",
            where="--structures",
            repair="name every class but the background, in their order; a network of overlapping regions without a "
            "background (sigmoid, such as BraTS' whole tumour, core and enhancing tumour) is not supported",
        )


def _check_window(params: Mapping[str, Any], roi: list[int]) -> None:
    """Run the network once without numbers: what a window cannot be is told now, not at the first scan."""
    with torch.device("meta"):
        network = build("swin_unetr", **params).eval()
    if any(size % step for size, step in zip(roi, network.divisor, strict=True)):
        nearest = ",".join(str(-(-size // step) * step) for size, step in zip(roi, network.divisor, strict=True))
        raise ConfigError(f"must be multiples of {network.divisor}, got {roi}", where="--roi", repair=f"use {nearest}")
    try:
        network(torch.empty(1, network.in_channels, *roi, device="meta"))
    except ShapeError as error:
        raise ConfigError(error.what, where="--roi", repair="give a larger window") from error


def _recipe(file: Path, said: Import) -> str:
    return (
        f"Trained elsewhere with MONAI; imported from {file.name} (SHA-256 {sha256(file.read_bytes())}) with "
        f"`medswin models import --as swin_unetr --compat {said.compat}"
        f"{options.as_words(said.settings, '--set')}`."
    )
