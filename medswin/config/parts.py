"""The parts that a config names, built; and the check that they can be, before anything is read or trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from monai.transforms import Compose
from torch import nn

import medswin.losses
import medswin.networks
from medswin.config.schema import Config
from medswin.errors import ConfigError, MedswinError
from medswin.inference import WindowInferer
from medswin.io import people
from medswin.networks import Segmenter
from medswin.ood import View, columns, is_output, parsed, row_layout
from medswin.ood import build as build_detector
from medswin.regions import Regions
from medswin.transforms import build_augmentation


def network(config: Config, channels: int, outputs: int) -> Segmenter:
    """The config's network with fresh weights; ``outputs`` are classes with the background, or regions."""
    built: Segmenter = build(medswin.networks.build, config.network, in_channels=channels, out_channels=outputs)
    return built


def loss(config: Config, regions: Regions | None = None) -> nn.Module:
    """The config's loss, of classes or of regions."""
    given = {} if regions is None else {"regions": [region.of for region in regions]}
    built: nn.Module = build(medswin.losses.build, config.loss, **given)
    return built


def augmentation(config: Config) -> Compose:
    """The config's augmentation, which ends in training patches."""
    return build(build_augmentation, config.augmentation, patch_size=config.training.patch_size)


def inferer(config: Config) -> WindowInferer:
    """Window inference; the windows are the training patches by default."""
    window = config.window
    return WindowInferer(
        window.roi_size or config.training.patch_size,
        overlap=window.overlap,
        mode=window.mode,
        mirror_axes=window.mirror_axes,
        device="cpu",
    )


def view(config: Config) -> View:
    """What the judge sees of a scan: what the config says, and the outputs that its detectors read."""
    reads = [name for spec in config.ood.detectors for name in parsed(spec)[2]]
    outputs = tuple(dict.fromkeys(name for name in reads if is_output(name)))
    if "disagreement" in outputs and not config.window.mirror_axes:
        raise ConfigError(
            "disagreement compares mirrored passes, and the windows are not mirrored",
            where="ood.detectors",
            repair="set window.mirror_axes, or take disagreement out",
        )
    chosen = config.ood.model_dump(include={"grid", "kernel", "stride", "flat", "foreground"})
    return View(**chosen, stages=stages(config), outputs=outputs, appearance=True, shape=True)


def stages(config: Config) -> tuple[int, ...]:
    """The features that the judge sees: those that the config names, or all of the network's but the input itself."""
    if config.ood.stages is not None:
        return config.ood.stages
    with torch.device("meta"):
        return tuple(range(1, len(network(config, channels=1, outputs=2).encoder.channels)))


def check(config: Config) -> None:
    """Raise ConfigError, naming the section, unless all parts can be built and fit each other."""
    with naming("network"), torch.device("meta"):
        built = network(config, channels=1, outputs=2)
    for where, size in (
        ("training.patch_size", config.training.patch_size),
        ("window.roi_size", config.window.roi_size),
    ):
        if size is not None and (min(size) < 1 or any(s % d for s, d in zip(size, built.divisor, strict=True))):
            raise ConfigError(f"{size} must be divisible by the network's {built.divisor}", where=where)
    with naming("training.patch_size"):  # a dry run, without numbers: it meets what a first step would meet
        built.train()(torch.empty(config.training.batch_size, 1, *config.training.patch_size, device="meta"))
    count, seen = len(built.encoder.channels), stages(config)
    if any(not -count <= stage < count for stage in seen):
        raise ConfigError(f"the network has the stages 0 to {count - 1}, got {seen}", where="ood.stages")
    with naming("augmentation"):
        augmentation(config)
    with naming("loss"):
        loss(config)
    with naming("window"):
        inferer(config)
    with naming("ood"):
        shown = view(config)
    layout = row_layout(shown, sum(built.encoder.channels[stage] for stage in seen) * shown.cells, ["1"], ["1"])
    noise = np.random.default_rng(0).normal(size=(40, layout.width))
    for spec in config.ood.detectors:  # detectors check their parameters when they are fitted
        with naming("ood.detectors"):
            name, params, reads = parsed(spec)
            build_detector(name, **params).fit(columns(noise, layout, reads))
    with naming("data.group"):
        people([], config.data.group)


@contextmanager
def naming(section: str) -> Iterator[None]:
    """Turns what goes wrong inside into a ConfigError about a section."""
    try:
        yield
    except MedswinError as error:
        raise ConfigError(error.what, where=error.where or section, repair=error.repair) from error
    except (TypeError, ValueError, RuntimeError, KeyError, AttributeError) as error:
        raise ConfigError(f"cannot be built ({error})", where=section, repair="correct its values") from error


def build(maker: Callable[..., Any], part: Mapping[str, Any], **given: Any) -> Any:
    """A part that a config names as ``{"name": ..., **parameters}``; ``given`` is what the run adds."""
    return maker(part["name"], **{key: value for key, value in part.items() if key != "name"}, **given)
