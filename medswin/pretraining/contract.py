"""What every pre-training task promises, in words and code.

A task learns from scans without labels. It sees `Views`: what was made of a batch of patches
(`medswin.transforms.views`), and the encoder's features of them, which tasks that are trained together share. It owns
its heads and mask tokens, never the encoder: what a run exports is ``encoder.state_dict()`` alone. A new task is one
file and one line in ``TASKS``.

Shape legend: N samples, C channels, F features, D/H/W spatial axes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather

from medswin.errors import ConfigError
from medswin.networks.contract import Encoder, Triple

COMPAT = (None, "tang")


@dataclass(frozen=True)
class TaskOutput:
    """What a task says of a batch.

    Attributes:
        loss: scalar, to be made smaller.
        parts: numbers to be tracked, by name; without gradients.
        picture: image, corrupted and reconstructed (N, C, D, H, W) of the batch, for tasks that have them; for others
            the views are pictured.
    """

    loss: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    picture: tuple[Tensor, Tensor, Tensor] | None = None


class Views:
    """A batch of views, with the features that an encoder finds in them; each is encoded once.

    Args:
        encoder: may be in training.
        tensors: by the names of `medswin.transforms.views`.
    """

    def __init__(self, encoder: Encoder, tensors: Mapping[str, Any]) -> None:
        self.encoder, self.tensors = encoder, tensors
        self._features: dict[str, list[Tensor]] = {}

    def __getitem__(self, name: str) -> Tensor:
        found: Tensor = self.tensors[name]
        return found

    def features(self, name: str) -> list[Tensor]:
        """Features of a view, the view itself first and the bottleneck last."""
        if name not in self._features:
            self._features[name] = self.encoder(self[name])
        return self._features[name]

    def pooled(self, name: str) -> Tensor:
        """(N, F) the bottleneck's mean over all positions."""
        return widened(self.features(name)[-1]).mean((2, 3, 4))


class PretrainTask(nn.Module, ABC):
    """A loss on views, with the heads that it takes.

    A subclass is built from an encoder's ``channels`` and ``strides`` and parameters of its own that fit into JSON.

    Attributes:
        needs: names of the views that it reads; features of those that it reads so are shared between tasks.

    A parameter of its constructor cannot be called ``name`` or ``weight``: configs give these to the task as a whole.
    """

    needs: ClassVar[tuple[str, ...]]

    def __init__(self, channels: Sequence[int], strides: Sequence[Triple]) -> None:
        super().__init__()
        self.channels, self.strides = tuple(channels), tuple(strides)

    @abstractmethod
    def forward(self, views: Views) -> TaskOutput:
        """The loss of a batch: a mean over its samples."""

    def attach(self, encoder: Encoder) -> None:
        """Told once of the encoder, before anything is loaded or trained: for teachers, who begin as a copy of it."""

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """After the optimiser's step, at this share of the run (0 to 1): for teachers, who follow the encoder."""


class JointTask(PretrainTask):
    """A task whose loss compares the samples of a batch with each other: it is no mean over samples.

    Where a batch is split, over steps or over processes, projections are gathered before the loss is taken. A
    projection must not depend on the other samples: no batch norm.
    """

    @abstractmethod
    def project(self, views: Views) -> Tensor:
        """(N, 2, F) projections of the two views of each sample."""

    @abstractmethod
    def compare(self, projections_N2F: Tensor) -> TaskOutput:
        """The loss of all samples of a batch."""

    def forward(self, views: Views) -> TaskOutput:
        return self.compare(gathered(self.project(views)))


def gathered(projections: Tensor) -> Tensor:
    """The projections of all processes, one after the other, with gradients to each; as they are in a single one."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return projections
    everybody: Sequence[Tensor] = all_gather(projections)
    return torch.cat(list(everybody))


def check_compat(compat: str | None) -> None:
    """Raise ConfigError unless ``compat`` is known."""
    if compat not in COMPAT:
        raise ConfigError(f"compat must be one of {COMPAT}, got {compat!r}", where="compat")


def widened(values: Tensor) -> Tensor:
    """In float32 at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def token(features_NCDHW: Tensor, i: int) -> Tensor:
    """(N, C) token ``i`` of the bottleneck, counted along the last axis first.

    Raises:
        ConfigError: where the bottleneck has no such token.
    """
    flat = features_NCDHW.flatten(2)
    if flat.shape[2] <= i:
        raise ConfigError(
            f'compat="tang" reads token {i} of the bottleneck, which has {flat.shape[2]}',
            where="compat",
            repair="use larger patches, or leave compat out: heads then see the mean over all tokens",
        )
    return widened(flat[:, :, i])
