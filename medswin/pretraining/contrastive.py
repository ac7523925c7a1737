"""Contrastive coding: two views of one patch are alike, those of others are not.

NT-Xent: with z the 2N projections scaled to length 1, s = z z' / T and p(i) the other view of i,
loss = -mean_i log( exp s[i, p(i)] / sum_{j != i} exp s[i, j] ). Sources: Chen et al. 2020 (arXiv:2002.05709); Tang et
al. 2022 (arXiv:2111.14791), whose head reads one token of the bottleneck; ours sees the mean of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medswin.errors import ConfigError
from medswin.networks.contract import Triple
from medswin.pretraining.contract import JointTask, TaskOutput, Views, check_compat, token


class Contrastive(JointTask):
    """A linear projection of the bottleneck, and NT-Xent over the whole batch.

    Args:
        channels, strides: of the encoder.
        width: F, of the projections.
        temperature: T, above 0.
        compat: ``"tang"`` reads the second token alone.
    """

    needs = ("view1", "view2")

    def __init__(
        self,
        channels: Sequence[int],
        strides: Sequence[Triple],
        width: int = 512,
        temperature: float = 0.5,
        compat: str | None = None,
    ) -> None:
        super().__init__(channels, strides)
        check_compat(compat)
        if not temperature > 0:
            raise ConfigError(f"temperature must be above 0, got {temperature}", where="temperature")
        self.temperature, self.compat = temperature, compat
        self.head = nn.Linear(channels[-1], width)

    def project(self, views: Views) -> Tensor:
        return torch.stack([self.head(self._read(views, name)) for name in ("view1", "view2")], dim=1)

    def compare(self, projections_N2F: Tensor) -> TaskOutput:
        first, second = projections_N2F.unbind(1)
        return TaskOutput(nt_xent(first, second, self.temperature))

    def _read(self, views: Views, name: str) -> Tensor:
        return token(views.features(name)[-1], 1) if self.compat else views.pooled(name)


def nt_xent(first_NF: Tensor, second_NF: Tensor, temperature: float) -> Tensor:
    """The loss above, in float64, which autocast leaves alone. One sample has nobody to differ from: its loss is 0."""
    z = F.normalize(torch.cat([first_NF, second_NF]).double(), dim=1)
    n = len(first_NF)
    alike = z @ z.T / temperature
    alike = alike.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=z.device), -torch.inf)
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(alike, partner)
