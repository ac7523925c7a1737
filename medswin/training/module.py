"""The Lightning module that trains a segmenter."""

from __future__ import annotations

import copy
import re
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn

from medswin.errors import TrainingError
from medswin.networks import Segmenter
from medswin.training.nan import explain
from medswin.training.optimiser import adamw, set_rate
from medswin.training.recipe import Recipe


class SegmentationModule(L.LightningModule):
    """AdamW on a segmenter, with a running mean of its weights.

    Args:
        network: the segmenter to train, changed in place.
        loss: (logits, labels) -> scalar.
        recipe: the numbers.

    ``ema`` holds the running mean of the weights; it is what gets validated and shipped.
    """

    def __init__(self, network: Segmenter, loss: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network, self.loss, self.recipe = network, loss, recipe
        self.ema = copy.deepcopy(network).requires_grad_(False).eval()
        self.minutes = 0.0

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        # Dropout must not depend on how often a run was stopped: its randomness is a function of the step alone.
        seed = self.recipe.seed * 1_000_003 + self.global_step
        torch.manual_seed(seed)
        set_rate(self.trainer.optimizers[0], self.recipe.rate(self.progress))
        self._freeze()
        loss: Tensor = self.loss(self.network(batch["image"]).float(), batch["label"])
        if not torch.isfinite(loss):
            torch.manual_seed(seed)
            raise explain(self.network, batch, self.global_step)
        self.log("loss", loss.detach(), prog_bar=True)
        return loss

    @property
    def progress(self) -> float:
        """Share of the budget used, 0 to 1."""
        return self.recipe.progress(self.global_step, self.minutes)

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"the gradient of step {self.global_step} is not finite, though its loss is",
                repair="lower training.learning_rate, or set training.precision=fp32; the last checkpoint is intact, "
                "--resume goes on from it",
            )

    def average(self) -> None:
        """Take the weights after an optimiser step into their running mean."""
        # The mean of the first steps would hold the random weights for long: let the decay rise to its value.
        decay = min(self.recipe.ema_decay, self.global_step / (self.global_step + 10))
        with torch.no_grad():
            for mean, now in zip(self.ema.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(now, 1.0 - decay)
            for kept, new in zip(self.ema.buffers(), self.network.buffers(), strict=True):
                kept.copy_(kept.lerp(new, 1.0 - decay) if kept.is_floating_point() else new)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return adamw([self.network], self.recipe.learning_rate, self.recipe.weight_decay, self._scale)

    def _scale(self, name: str) -> float:
        """Layer-wise decay: the decoder learns at the full rate, each stage of the encoder slower than the next."""
        if not name.startswith("encoder."):
            return 1.0
        stages = len(self.network.encoder.channels) - 2
        stage = re.match(r"encoder\.stages\.(\d+)\.", name)
        return self.recipe.layer_decay ** (stages - int(stage[1]) if stage else stages + 1)

    def _freeze(self) -> None:
        """Let the encoder stay as it is in the first steps; without gradients, AdamW leaves parameters alone."""
        if self.recipe.freeze_steps:
            self.network.encoder.requires_grad_(self.global_step >= self.recipe.freeze_steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["minutes"] = self.minutes

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.minutes = float(checkpoint["minutes"])
