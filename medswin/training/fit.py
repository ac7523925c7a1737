"""Fit: one training run of a segmenter under a recipe, resumable after any stop."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import NoReturn
from zipfile import is_zipfile

import lightning as L
import torch
from safetensors.torch import load_file
from torch import nn

from medswin.errors import ConfigError
from medswin.networks import Segmenter
from medswin.networks.precision import has_bf16
from medswin.tracking import Tracker
from medswin.training.callback import Keeper, RunFiles
from medswin.training.data import TrainingData
from medswin.training.module import SegmentationModule
from medswin.training.recipe import Recipe, Schedule
from medswin.training.validation import Validation


def fit(
    network: Segmenter,
    loss: nn.Module,
    recipe: Recipe,
    data: TrainingData,
    validation: Validation,
    files: RunFiles,
    tracker: Tracker,
    *,
    resume: bool = False,
    progress: bool = True,
) -> bool:
    """Train until the budget is used up or ``recipe.stop_at_step`` is reached.

    At the end ``network`` holds the chosen weights, which also lie at ``files.chosen``.

    Args:
        resume: go on from ``files.checkpoint`` (read with ``weights_only=True``) where there is one.
        progress: show a progress bar.

    Returns:
        Whether the run got to its end.

    Raises:
        ConfigError: if the folder holds a run that was not to be resumed, or its checkpoint does not fit the network.
        TrainingError: if the loss stops being finite.
    """
    if (files.checkpoint.exists() or files.chosen.exists()) and not resume:
        refuse_second(files.folder)
    if not files.chosen.exists():
        trainer = trainer_for(recipe, Keeper(recipe, validation, files, tracker), files.folder, progress=progress)
        module = SegmentationModule(network, loss, recipe)
        run_trainer(trainer, module, data, files.checkpoint)
        if trainer.interrupted or module.progress < 1:
            return False
        files.best.replace(files.chosen)
    network.load_state_dict(load_file(files.chosen))
    network.eval()
    return True


def refuse_second(folder: Path) -> NoReturn:
    """Raise ConfigError for a folder that holds a run which is not to be resumed."""
    raise ConfigError("a run is in this folder already", where=folder, repair="add --resume, or use another folder -o")


def run_trainer(trainer: L.Trainer, module: L.LightningModule, data: L.LightningDataModule, checkpoint: Path) -> None:
    """Train, from a checkpoint where there is one.

    Raises:
        ConfigError: if it is damaged, or was made for another network.
    """
    start = checkpoint if checkpoint.exists() else None
    if start is not None and not is_zipfile(start):
        raise ConfigError("it is damaged", where=start, repair="start anew in another folder -o, or delete it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Lightning's advice on loaders and loggers does not apply here
        try:
            trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
        except (RuntimeError, KeyError) as error:
            if start is None or "state_dict" not in str(error):
                raise
            raise ConfigError(
                "the checkpoint was made for another network",
                where=start,
                repair="resume with the config of the run, or use another folder -o",
            ) from error


def trainer_for(recipe: Schedule, keeper: L.Callback, folder: Path, *, progress: bool) -> L.Trainer:
    """Lightning's trainer for a schedule, on one device, with all that is kept done by ``keeper``."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)  # it tells of accelerators and other products
    device = "cuda" if torch.cuda.is_available() else "cpu"
    bf16 = recipe.precision == "bf16" or (recipe.precision == "auto" and has_bf16(device))
    return L.Trainer(
        accelerator=device,
        devices=1,  # checkpoints, clock and package are one process's; several GPUs come with their own tests
        max_steps=recipe.max_steps,
        precision="bf16-mixed" if bf16 else "32-true",
        callbacks=[keeper],
        enable_progress_bar=progress,
        enable_checkpointing=False,
        enable_model_summary=False,
        logger=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
    )
