"""What happens after each step: the running mean of the weights, validation, checkpoints, and the end."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning as L
from safetensors.torch import save_file

from medswin.io import replacing
from medswin.tracking import Tracker
from medswin.training.module import SegmentationModule
from medswin.training.recipe import Recipe
from medswin.training.validation import Validation

LOG_EVERY = 10


class RunFiles:
    """Names of the files of a training run in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = folder / "last.ckpt"
        self.best = folder / "best.safetensors"
        self.chosen = folder / "weights.safetensors"
        self.config = folder / "config.json"
        self.splits = folder / "splits.json"
        self.fingerprint = folder / "fingerprint.json"
        self.cache = folder / "cache"
        self.pictures = folder / "validation"
        self.package = folder / "package"


class Keeper(L.Callback):
    """Validates and writes a checkpoint every ``recipe.validate_every`` steps, and ends the run in time.

    The best weights by mean validation Dice are kept; the checkpoint is written after they are, so that a kill at any
    moment leaves a pair from which the run goes on as if nothing had happened.
    """

    def __init__(self, recipe: Recipe, validation: Validation, files: RunFiles, tracker: Tracker) -> None:
        self.recipe, self.validation, self.files, self.tracker = recipe, validation, files, tracker
        self.best = -1.0
        self.clock = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = float(state["best"])

    def on_train_start(self, trainer: L.Trainer, module: SegmentationModule) -> None:
        trainer.should_stop = module.progress >= 1  # killed between its last checkpoint and its end
        self.clock = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: SegmentationModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module.average()
        module.minutes += (time.monotonic() - self.clock) / 60
        step, over = trainer.global_step, module.progress >= 1
        stopped = step == self.recipe.stop_at_step
        if step % LOG_EVERY == 0:
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self.tracker.metrics({"loss": float(outputs["loss"]), "learning_rate": rate}, step)
        if over or step % self.recipe.validate_every == 0:
            self._validate(trainer, module, step)
        if over or stopped or step % self.recipe.validate_every == 0:
            with replacing(self.files.checkpoint) as temporary:
                trainer.save_checkpoint(temporary, weights_only=False)
        trainer.should_stop = trainer.should_stop or over or stopped
        self.clock = time.monotonic()

    def _validate(self, trainer: L.Trainer, module: SegmentationModule, step: int) -> None:
        scores, pictures = self.validation(module.ema, step)
        self.tracker.metrics({f"validation/{name}": value for name, value in scores.items()}, step)
        for picture in pictures:
            self.tracker.artifact(picture, "validation")
        module.log("validation_dice", scores["dice"], prog_bar=True)
        if scores["dice"] > self.best:
            self.best = scores["dice"]
            with replacing(self.files.best) as temporary:
                # MONAI's DynUNet lists its layers twice; safetensors wants every tensor to own its memory.
                save_file({k: v.cpu().clone().contiguous() for k, v in module.ema.state_dict().items()}, temporary)
