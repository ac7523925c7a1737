"""A batch in parts: gradients as of the whole, with the memory of a part.

Losses that compare samples (NT-Xent, Barlow Twins) are no means over samples: taken part by part they would see fewer
negatives. Here the projections of all parts are computed first, without gradients; the loss of all of them gives each
projection its gradient; and each part runs again to carry that back (Gao et al. 2021, arXiv:2101.06983). The second
pass draws the same dropout, since it begins with the same seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from medswin.networks.contract import Encoder
from medswin.pretraining.contract import TaskOutput, Views, gathered
from medswin.pretraining.multi_task import MultiTask, said

Part = Mapping[str, Any]


def in_parts(batch: Part, size: int) -> list[dict[str, Any]]:
    """A batch (tensors and lists whose first axis is the samples) in parts of at most ``size`` samples."""
    count = len(next(iter(batch.values())))
    return [{name: value[i : i + size] for name, value in batch.items()} for i in range(0, count, size)]


def backward(tasks: MultiTask, encoder: Encoder, parts: Sequence[Part], seed: int) -> TaskOutput:
    """Add the gradients of a batch in parts to those of the parameters, and give its loss.

    Args:
        tasks: what to learn.
        encoder: whose features they see.
        parts: of `in_parts`; one part is computed once.
        seed: of dropout.
    """
    if len(parts) == 1:
        torch.manual_seed(seed)
        output: TaskOutput = tasks(Views(encoder, parts[0]))
        output.loss.backward()
        return output
    joint, count = tasks.joint, sum(map(_length, parts))
    leaves = _projections(tasks, encoder, parts, seed)
    together = tasks.combined({name: task.compare(gathered(leaves[name])) for name, task in joint.items()})
    if together.loss.requires_grad:  # the penalty of learned weights is in it, once
        together.loss.backward()
    total, parts_said, picture, first = together.loss.detach(), dict(together.parts), None, 0
    for i, part in enumerate(parts):
        torch.manual_seed(seed + i)
        views, weights, share = Views(encoder, part), tasks.weights(), _length(part) / count
        projected = {name: task.project(views) for name, task in joint.items()}  # first, as before: the same dropout
        local = {name: task(views) for name, task in tasks.tasks.items() if name not in joint}
        loss = share * sum((weights[name] * output.loss for name, output in local.items()), torch.zeros(()))
        total = total + loss.detach()
        for name, projections in projected.items():
            gradient = leaves[name].grad
            if gradient is not None:
                loss = loss + (projections * gradient[first : first + _length(part)]).sum()
        loss.backward()
        first += _length(part)
        for name, value in said(local).items():
            parts_said[name] = parts_said.get(name, 0.0) + share * value
        picture = picture or next((o.picture for o in local.values() if o.picture is not None), None)
    return TaskOutput(total, parts_said, picture)


def _projections(tasks: MultiTask, encoder: Encoder, parts: Sequence[Part], seed: int) -> dict[str, Tensor]:
    found: dict[str, list[Tensor]] = {name: [] for name in tasks.joint}
    with torch.no_grad():
        for i, part in enumerate(parts):
            torch.manual_seed(seed + i)
            views = Views(encoder, part)
            for name, task in tasks.joint.items():
                found[name].append(task.project(views))
    torch.clear_autocast_cache()  # weights cast without gradients would be used with them, in torch before 2.10
    return {name: torch.cat(one).requires_grad_() for name, one in found.items()}


def _length(part: Part) -> int:
    return len(next(iter(part.values())))
