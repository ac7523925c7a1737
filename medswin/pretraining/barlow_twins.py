"""Barlow Twins: the features of two views agree, each feature with itself and with no other.

With each feature of a view brought to mean 0 and variance 1 over the batch, and C = z1' z2 / N,
loss = sum_i (1 - C_ii)^2 + redundancy * sum_{i != j} C_ij^2. Needs no negatives, so that small batches will do. Source:
Zbontar et al. 2021 (arXiv:2103.03230).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from medswin.networks.contract import Triple
from medswin.pretraining.contract import JointTask, TaskOutput, Views


class BarlowTwins(JointTask):
    """A projector of two layers, and the cross-correlation over the whole batch.

    The original projector has batch norms; a layer norm in their place keeps samples apart until they are compared.

    Args:
        channels, strides: of the encoder.
        width: F, of the projections.
        redundancy: weight of the terms off the diagonal.
    """

    needs = ("view1", "view2")

    def __init__(
        self, channels: Sequence[int], strides: Sequence[Triple], width: int = 256, redundancy: float = 5e-3
    ) -> None:
        super().__init__(channels, strides)
        self.redundancy = redundancy
        self.projector = nn.Sequential(
            nn.Linear(channels[-1], width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width)
        )

    def project(self, views: Views) -> Tensor:
        return torch.stack([self.projector(views.pooled(name)) for name in ("view1", "view2")], dim=1)

    def compare(self, projections_N2F: Tensor) -> TaskOutput:
        first, second = projections_N2F.double().unbind(1)
        return TaskOutput(barlow_twins(first, second, self.redundancy))


def barlow_twins(first_NF: Tensor, second_NF: Tensor, redundancy: float) -> Tensor:
    """The loss above, in float64, which autocast leaves alone.

    It grows with the width: beside other tasks it wants a small weight.
    """
    first, second = (_standardised(z) for z in (first_NF, second_NF))
    correlation = first.T @ second / len(first)
    same = torch.diagonal(correlation)
    others = correlation.square().sum() - same.square().sum()
    return (1 - same).square().sum() + redundancy * others


def _standardised(z_NF: Tensor) -> Tensor:
    centred = z_NF - z_NF.mean(0)
    return centred / (centred.square().mean(0) + 1e-5).sqrt()
