"""Recipes: the numbers of a training run, and of a pre-training run."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import ClassVar

from medswin.errors import ConfigError


@dataclass(frozen=True)
class Schedule:
    """How long and how hard to train, whatever is trained.

    A run ends at ``max_steps`` or ``max_minutes``, whichever comes first; the learning rate warms up over the first
    ``warmup`` share of that budget and falls as a cosine over the rest. Minutes count training steps and their data,
    neither caching nor validation.

    Attributes:
        patch_size: voxels per axis that a training step sees of a case.
        batch_size: patches per step and process.
        max_steps: optimiser steps of the whole schedule.
        max_minutes: minutes of the whole schedule; None for no limit. Where these end first, the learning rate follows
            the clock, and no two runs are quite the same.
        stop_at_step: stop there as a kill would, without changing the schedule; ``--resume`` goes on.
        learning_rate: at the end of the warm-up.
        weight_decay: AdamW's, on matrices and kernels, but for those of position biases.
        warmup: share of the budget, 0 to 1.
        clip_norm: largest norm of the gradient.
        precision: ``"auto"`` (bf16 where the processor has it), ``"fp32"`` or ``"bf16"``.
        workers: processes that load and augment; 0 does it in the main process.
        seed: of weights, order, augmentation and dropout.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    patch_size: tuple[int, int, int]
    batch_size: int = 2
    max_steps: int = 2000
    max_minutes: float | None = None
    stop_at_step: int | None = None
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.05
    clip_norm: float = 1.0
    precision: str = "auto"
    workers: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        self._at_least_one("batch_size", "max_steps")
        for name in ("max_minutes", "learning_rate", "clip_norm"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"must be above 0, got {value}", where=f"training.{name}")
        if self.stop_at_step is not None:
            self._at_least_one("stop_at_step")
        self._at_least_zero("workers")
        self._share("warmup")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise ConfigError(f"must be auto, fp32 or bf16, got {self.precision!r}", where="training.precision")

    def _at_least_one(self, *names: str) -> None:
        for name in names:
            if getattr(self, name) < 1:
                raise ConfigError(f"must be at least 1, got {getattr(self, name)}", where=f"training.{name}")

    def _at_least_zero(self, name: str) -> None:
        if getattr(self, name) < 0:
            raise ConfigError(f"must not be negative, got {getattr(self, name)}", where=f"training.{name}")

    def _share(self, name: str) -> None:
        if not 0 <= getattr(self, name) < 1:
            raise ConfigError(f"must lie in [0, 1), got {getattr(self, name)}", where=f"training.{name}")

    def progress(self, step: int, minutes: float) -> float:
        """Share of the budget that is used up, 0 to 1."""
        by_time = minutes / self.max_minutes if self.max_minutes else 0.0
        return min(1.0, max(step / self.max_steps, by_time))

    def rate(self, progress: float) -> float:
        """Learning rate at this share of the budget: linear warm-up, then half a cosine down to 0."""
        if progress < self.warmup:
            return self.learning_rate * max(progress / self.warmup, 0.01)
        return self.learning_rate * 0.5 * (1 + cos(pi * (progress - self.warmup) / (1 - self.warmup)))


@dataclass(frozen=True)
class Recipe(Schedule):
    """The numbers of a training run.

    Attributes:
        ema_decay: decay of the running mean of the weights that is validated and shipped; 0 ships the last weights.
        validate_every: steps between validations, each of which also writes a checkpoint.
        key_images: validation cases pictured at each validation.
        freeze_steps: steps at the beginning in which the encoder that a run starts from (``--init``) stays as it is.
        layer_decay: factor on the learning rate from each stage of the encoder to the one before it, 0 to 1; 1 is the
            same for all.
        Others: see `Schedule`.
    """

    ema_decay: float = 0.995
    validate_every: int = 200
    key_images: int = 2
    freeze_steps: int = 0
    layer_decay: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_one("validate_every")
        self._share("ema_decay")
        self._at_least_zero("freeze_steps")
        if not 0 < self.layer_decay <= 1:
            raise ConfigError(f"must lie in (0, 1], got {self.layer_decay}", where="training.layer_decay")


@dataclass(frozen=True)
class PretrainRecipe(Schedule):
    """The numbers of a pre-training run.

    Attributes:
        accumulate: parts that a step is computed in, of ``batch_size`` patches each: the gradients are those of one
            batch of ``accumulate * batch_size``, with the memory of ``batch_size``.
        save_every: steps between checkpoints, each with a picture of what was reconstructed, or of the views.
        Others: see `Schedule`.
    """

    accumulate: int = 1
    save_every: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least_one("accumulate", "save_every")
