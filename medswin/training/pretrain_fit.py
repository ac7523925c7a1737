"""One pre-training run, resumable after any stop: curves, pictures, checkpoints, and the encoder at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch

from medswin.figures import reconstruction, save_png
from medswin.io import replacing
from medswin.networks.contract import Encoder
from medswin.networks.weights.encoder_file import save_encoder
from medswin.pretraining import MultiTask, TaskOutput
from medswin.pretraining.collapse import CollapseWatch
from medswin.tracking import Tracker
from medswin.training.fit import refuse_second, run_trainer, trainer_for
from medswin.training.pretrain_module import PretrainModule
from medswin.training.recipe import PretrainRecipe
from medswin.training.unlabelled import UnlabelledData, UnlabelledPatches

LOG_EVERY = 10
LOOK_EVERY, WATCHED = 50, 32


class PretrainFiles:
    """Names of the files of a pre-training run in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = folder / "last.ckpt"
        self.encoder = folder / "pretrained.safetensors"
        self.config = folder / "config.json"
        self.scans = folder / "scans.json"
        self.cache = folder / "cache"
        self.pictures = folder / "pictures"


class PretrainKeeper(L.Callback):
    """Tells the tracker, watches for collapse, and writes checkpoints and pictures every ``recipe.save_every`` steps.

    Args:
        recipe, files, tracker: of the run.
        patches: the first `WATCHED` of which are looked at for collapse.
        warn: gets what the user should hear.
    """

    def __init__(
        self,
        recipe: PretrainRecipe,
        files: PretrainFiles,
        tracker: Tracker,
        patches: UnlabelledPatches,
        warn: Callable[[str], None],
    ) -> None:
        self.recipe, self.files, self.tracker, self.patches, self.warn = recipe, files, tracker, patches, warn
        self.watch = CollapseWatch()
        self.watched: list[torch.Tensor] = []
        self.warned = False
        self.clock = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"first": self.watch.first, "warned": self.warned}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.watch.first, self.warned = dict(state["first"]), bool(state["warned"])

    def on_train_start(self, trainer: L.Trainer, module: PretrainModule) -> None:
        trainer.should_stop = module.progress >= 1  # killed between its last checkpoint and its end
        self.watched = [self.patches[k]["image"][None] for k in range(WATCHED)]
        if not self.watch.first:
            self._look(module, trainer.global_step)
        self.clock = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: PretrainModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        module.minutes += (time.monotonic() - self.clock) / 60
        step, over = trainer.global_step, module.progress >= 1
        stopped = step == self.recipe.stop_at_step
        if step % LOG_EVERY == 0 and module.said is not None:
            said = {name: float(value) for name, value in module.said.parts.items()}
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            self.tracker.metrics({"loss": float(module.said.loss), "learning_rate": rate, **said}, step)
        if step % LOOK_EVERY == 0 or over:
            self._look(module, step)
        if over or stopped or step % self.recipe.save_every == 0:
            self._picture(module, batch, step)
            with replacing(self.files.checkpoint) as temporary:
                trainer.save_checkpoint(temporary, weights_only=False)
        trainer.should_stop = trainer.should_stop or over or stopped
        self.clock = time.monotonic()

    def _look(self, module: PretrainModule, step: int) -> None:
        """Features of the same patches each time: samples of different steps would hide a collapse."""
        device, training = next(module.parameters()).device, module.encoder.training
        module.encoder.eval()
        with torch.no_grad():
            found = [module.encoder(patch.to(device))[-1].float().mean((2, 3, 4)).cpu() for patch in self.watched]
        module.encoder.train(training)
        numbers = self.watch.look(torch.cat(found))
        self.tracker.metrics({f"features/{name}": value for name, value in numbers.items()}, step)
        warning = self.watch.warning(numbers)
        if warning is not None and not self.warned:
            self.warned = True
            self.warn(f"step {step}: {warning}")

    def _picture(self, module: PretrainModule, batch: Mapping[str, Any], step: int) -> None:
        shown = _shown(module.said, batch)
        if len(shown) < 2:
            return
        path = self.files.pictures / f"step_{step:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        first = {name: volume[0, 0].float().cpu().numpy() for name, volume in shown.items()}
        save_png(path, reconstruction(first, title=f"step {step}"))
        self.tracker.artifact(path, "pictures")


def _shown(said: TaskOutput | None, batch: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """What a task reconstructed; where none does, the views that are compared or whose turn is to be told."""
    if said is not None and said.picture is not None:
        return dict(zip(("image", "corrupted", "reconstructed"), said.picture, strict=True))
    shown = {"image": batch["image"]}
    for i in (1, 2):
        turn = f", turned by {90 * int(batch[f'turn{i}'][0])}" if f"turn{i}" in batch else ""
        shown |= {f"view {i}{turn}": batch[f"view{i}"]} if f"view{i}" in batch else {}
    return shown


def pretrain(
    encoder: Encoder,
    tasks: MultiTask,
    recipe: PretrainRecipe,
    data: UnlabelledData,
    files: PretrainFiles,
    tracker: Tracker,
    about: Mapping[str, Any],
    *,
    warn: Callable[[str], None],
    resume: bool = False,
    progress: bool = True,
) -> bool:
    """Pre-train until the budget is used up or ``recipe.stop_at_step`` is reached; then write ``files.encoder``.

    Args:
        about: what the file says of itself, as JSON: network, preprocessing, tasks.
        warn: gets what the user should hear while it runs.
        resume: go on from ``files.checkpoint`` (read with ``weights_only=True``) where there is one.
        progress: show a progress bar.

    Returns:
        Whether the run got to its end.

    Raises:
        ConfigError: if the folder holds a run that was not to be resumed, or its checkpoint does not fit.
        TrainingError: if the loss stops being finite.
    """
    if (files.checkpoint.exists() or files.encoder.exists()) and not resume:
        refuse_second(files.folder)
    if files.encoder.exists():
        return True
    keeper = PretrainKeeper(recipe, files, tracker, data.patches, warn)
    module = PretrainModule(encoder, tasks, recipe)
    trainer = trainer_for(recipe, keeper, files.folder, progress=progress)
    run_trainer(trainer, module, data, files.checkpoint)
    if trainer.interrupted or module.progress < 1:
        return False
    save_encoder(files.encoder, encoder, about)
    return True
