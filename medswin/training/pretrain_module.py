"""The Lightning module that pre-trains an encoder."""

from __future__ import annotations

from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn

from medswin.errors import TrainingError
from medswin.networks.contract import Encoder
from medswin.pretraining import MultiTask, TaskOutput
from medswin.pretraining.accumulate import backward, in_parts
from medswin.training.optimiser import adamw, set_rate
from medswin.training.recipe import PretrainRecipe


class PretrainModule(L.LightningModule):
    """AdamW on an encoder and the heads of its tasks.

    Args:
        encoder: changed in place; its state dict holds nothing of the tasks.
        tasks: what it learns.
        recipe: the numbers.

    ``said`` is what the tasks said of the last batch.
    """

    def __init__(self, encoder: Encoder, tasks: MultiTask, recipe: PretrainRecipe) -> None:
        super().__init__()
        self.encoder, self.tasks, self.recipe = encoder, tasks, recipe
        tasks.attach(encoder)
        self.minutes = 0.0
        self.said: TaskOutput | None = None
        self.automatic_optimization = False  # a step is one batch in parts, see medswin.pretraining.accumulate

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        optimiser = self.trainer.optimizers[0]
        set_rate(optimiser, self.recipe.rate(self.progress))
        optimiser.zero_grad()
        seed = (self.recipe.seed * 1_000_003 + self.global_step) * self.recipe.accumulate
        cases = batch.pop("case")
        self.said = backward(self.tasks, self.encoder, in_parts(batch, self.recipe.batch_size), seed)
        loss = self.said.loss.detach()
        norm = nn.utils.clip_grad_norm_(self.parameters(), self.recipe.clip_norm)
        if not (torch.isfinite(loss) and torch.isfinite(norm)):
            parts = ", ".join(f"{name} {float(value):.3g}" for name, value in self.said.parts.items())
            raise TrainingError(
                f"the loss of step {self.global_step} or its gradient is not finite ({parts}); cases: "
                f"{', '.join(cases)}",
                repair="look at these scans, lower training.learning_rate, or set training.precision=fp32; the last "
                "checkpoint is intact, --resume goes on from it",
            )
        cast(LightningOptimizer, self.optimizers()).step()
        self.tasks.after_step(self.encoder, self.progress)
        self.log("loss", loss, prog_bar=True)
        return loss

    @property
    def progress(self) -> float:
        """Share of the budget used, 0 to 1."""
        return self.recipe.progress(self.global_step, self.minutes)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return adamw([self.encoder, self.tasks], self.recipe.learning_rate, self.recipe.weight_decay)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["minutes"] = self.minutes

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.minutes = float(checkpoint["minutes"])
