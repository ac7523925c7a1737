"""Several tasks over one encoder, their losses added with fixed or learned weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite

import torch
from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.contract import Encoder
from medswin.pretraining.contract import JointTask, PretrainTask, TaskOutput, Views


class MultiTask(nn.Module):
    """Adds the losses of tasks that share the features of a batch.

    total = sum_i w_i L_i with fixed weights; learned ones are the automatic weighted loss,
    total = sum_i L_i / (2 s_i^2) + log(1 + s_i^2) with s_i = 1 at the beginning (Liebel and Koerner 2018,
    arXiv:1805.06334, after Kendall et al. 2018, arXiv:1705.07115).

    Args:
        tasks: by name.
        weights: by name, not negative; 1 where None. Learned weights begin alike.
        learned: learn them.

    Raises:
        ConfigError: for no tasks, unknown names, or negative weights.
    """

    def __init__(
        self, tasks: Mapping[str, PretrainTask], weights: Mapping[str, float] | None = None, *, learned: bool = False
    ) -> None:
        super().__init__()
        given = dict.fromkeys(tasks, 1.0) if weights is None else dict(weights)
        usable = all(isfinite(weight) and weight >= 0 for weight in given.values()) and any(given.values())
        if not tasks or set(given) != set(tasks) or not usable:
            raise ConfigError(
                f"the tasks are {sorted(tasks)}, the weights {given}",
                where="tasks",
                repair="give at least one task, each a finite weight of at least 0, not all 0",
            )
        if learned and set(given.values()) != {1.0}:
            raise ConfigError("learned weights begin alike", where="tasks", repair="leave out weight, or weighting")
        self.tasks = nn.ModuleDict(tasks)
        self.register_buffer("fixed", torch.tensor([given[name] for name in tasks]), persistent=False)
        self.scales = nn.Parameter(torch.ones(len(tasks))) if learned else None

    fixed: Tensor

    @property
    def needs(self) -> frozenset[str]:
        """Names of the views that any task reads."""
        return frozenset(name for task in self for name in task.needs)

    def __iter__(self) -> Iterator[PretrainTask]:
        return iter(self.tasks.values())  # type: ignore[arg-type]

    def weights(self) -> dict[str, Tensor]:
        """What each task's loss is multiplied with now."""
        values = self.fixed if self.scales is None else 0.5 / self.scales.square()
        return dict(zip(self.tasks, values, strict=True))

    def penalty(self) -> Tensor:
        """What keeps learned weights from vanishing; 0 for fixed ones."""
        return self.fixed.new_zeros(()) if self.scales is None else torch.log1p(self.scales.square()).sum()

    def forward(self, views: Views) -> TaskOutput:
        """The weighted sum; ``parts`` has each task's loss, its own parts under ``task/part``, and learned weights."""
        outputs = {name: task(views) for name, task in self.tasks.items()}
        return self.combined(outputs)

    def combined(self, outputs: Mapping[str, TaskOutput]) -> TaskOutput:
        """The weighted sum of what the tasks, or some of them, said."""
        weights = self.weights()
        total = self.penalty() + sum(weights[name] * output.loss for name, output in outputs.items())
        parts = said(outputs)
        if self.scales is not None:
            parts |= {f"{name}/weight": weight.detach() for name, weight in weights.items()}
        picture = next((output.picture for output in outputs.values() if output.picture is not None), None)
        return TaskOutput(torch.as_tensor(total), parts, picture)

    @property
    def joint(self) -> dict[str, JointTask]:
        """The tasks whose losses are no means over samples."""
        return {name: task for name, task in self.tasks.items() if isinstance(task, JointTask)}

    def attach(self, encoder: Encoder) -> None:
        """Tell every task."""
        for task in self:
            task.attach(encoder)

    def after_step(self, encoder: Encoder, progress: float) -> None:
        """Tell every task."""
        for task in self:
            task.after_step(encoder, progress)


def said(outputs: Mapping[str, TaskOutput]) -> dict[str, Tensor]:
    """Each task's loss, and its own parts under ``task/part``."""
    parts = {name: output.loss.detach() for name, output in outputs.items()}
    for name, output in outputs.items():
        parts |= {f"{name}/{part}": value for part, value in output.parts.items()}
    return parts
