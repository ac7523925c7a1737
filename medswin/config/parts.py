"""The parts that a config names, built; and the check that they can be, before anything is read or trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
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
from medswin.ood import DETECTORS
from medswin.training.validation import Infer
from medswin.transforms import build_augmentation


def network(config: Config, channels: int, classes: int) -> Segmenter:
    """The config's network with fresh weights; ``classes`` counts the background."""
    built: Segmenter = build(medswin.networks.build, config.network, in_channels=channels, out_channels=classes)
    return built


def loss(config: Config) -> nn.Module:
    """The config's loss."""
    built: nn.Module = build(medswin.losses.build, config.loss)
    return built


def augmentation(config: Config) -> Compose:
    """The config's augmentation, which ends in training patches."""
    return build(build_augmentation, config.augmentation, patch_size=config.training.patch_size)


def infer(config: Config) -> Infer:
    """Window inference with the features that the OOD judge sees; the windows are the training patches by default."""
    window = config.window
    inferer = WindowInferer(
        window.roi_size or config.training.patch_size,
        overlap=window.overlap,
        mode=window.mode,
        mirror_axes=window.mirror_axes,
        device="cpu",
    )
    return partial(inferer.with_features, stages=config.ood.stages)


def check(config: Config) -> None:
    """Raise ConfigError, naming the section, unless all parts can be built and fit each other."""
    with naming("network"), torch.device("meta"):
        built = network(config, channels=1, classes=2)
    for where, size in (
        ("training.patch_size", config.training.patch_size),
        ("window.roi_size", config.window.roi_size),
    ):
        if size is not None and (min(size) < 1 or any(s % d for s, d in zip(size, built.divisor, strict=True))):
            raise ConfigError(f"{size} must be divisible by the network's {built.divisor}", where=where)
    with naming("training.patch_size"):  # a dry run, without numbers: it meets what a first step would meet
        built.train()(torch.empty(config.training.batch_size, 1, *config.training.patch_size, device="meta"))
    stages = len(built.encoder.channels)
    if any(not -stages <= stage < stages for stage in config.ood.stages):
        raise ConfigError(f"the network has the stages 0 to {stages - 1}, got {config.ood.stages}", where="ood.stages")
    with naming("augmentation"):
        augmentation(config)
    with naming("loss"):
        loss(config)
    with naming("window"):
        infer(config)
    width = sum(built.encoder.channels[stage] for stage in config.ood.stages)
    noise = np.random.default_rng(0).normal(size=(2 * width, width))
    for entry in config.ood.detectors:  # detectors check their parameters when they are fitted
        with naming("ood.detectors"):
            spec: Mapping[str, Any] = {"name": entry} if isinstance(entry, str) else entry
            DETECTORS.build(spec["name"], **spec.get("params", {})).fit(noise)
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
