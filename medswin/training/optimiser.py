"""AdamW's groups: which parameters decay, and how fast each may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn


def adamw(
    modules: Iterable[nn.Module],
    learning_rate: float,
    weight_decay: float,
    scale: Callable[[str], float] = lambda name: 1.0,
) -> torch.optim.AdamW:
    """AdamW over the parameters of modules; vectors (norms, biases) and position biases do not decay.

    Args:
        modules: what to train; a module may say ``weight_decay = False`` of its own parameters.
        learning_rate: see `set_rate`.
        weight_decay: of matrices and kernels.
        scale: a parameter's name -> factor on its learning rate.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for module in modules:
        spared = (part for part in module.modules() if not getattr(part, "weight_decay", True))
        exempt = {id(p) for part in spared for p in part.parameters()}
        for name, parameter in module.named_parameters():
            decay = 0.0 if id(parameter) in exempt or parameter.ndim <= 1 else weight_decay
            groups.setdefault((decay, scale(name)), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": params, "weight_decay": decay, "scale": factor, "lr": learning_rate * factor}
            for (decay, factor), params in groups.items()
        ],
        lr=learning_rate,
    )


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the learning rate, times each group's factor."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["scale"]
