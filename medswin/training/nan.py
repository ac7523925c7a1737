"""Tracing a loss that is not finite to the first module that made it so."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from medswin.errors import TrainingError


def explain(network: nn.Module, batch: dict[str, Any], step: int) -> TrainingError:
    """Run ``batch`` once more, watching every module, and say where the first NaN or infinity appears."""
    if not torch.isfinite(batch["image"]).all():
        place = "in the input image"
    elif bad := [name for name, p in network.named_parameters() if not torch.isfinite(p).all()]:
        place = f"in the weights, for example {bad[0]}"
    else:
        place = _first_bad_module(network, batch["image"]) or "in the loss itself"
    return TrainingError(
        f"the loss of step {step} is not finite; the first such value is {place}; cases: {', '.join(batch['case'])}",
        repair="look at these cases, lower training.learning_rate, or set training.precision=fp32; the last checkpoint "
        "is intact, --resume goes on from it",
    )


def _first_bad_module(network: nn.Module, image: Tensor) -> str | None:
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not torch.isfinite(output).all():
                found.append(name)

        return hook

    handles = [module.register_forward_hook(watch(name)) for name, module in network.named_modules() if name]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    return f"in the output of {found[0]}" if found else None
