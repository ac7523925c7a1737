"""Rotation prediction: by how much was a view turned?

Loss: cross-entropy of 0, 1, 2 or 3 quarter turns, over both views; where quarters would be told by the stretch of the
anatomy, only 0 and 2 are drawn (`medswin.transforms.views.Turns`). Source: Tang et al. 2022 (arXiv:2111.14791), whose
head reads one token of the bottleneck; ours sees the mean of all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from medswin.networks.contract import Triple
from medswin.pretraining.contract import PretrainTask, TaskOutput, Views, check_compat, token


class Rotation(PretrainTask):
    """A linear classifier on the bottleneck.

    Args:
        channels, strides: of the encoder.
        compat: ``"tang"`` reads the first token alone.
    """

    needs = ("view1", "view2", "turn1", "turn2")

    def __init__(self, channels: Sequence[int], strides: Sequence[Triple], compat: str | None = None) -> None:
        super().__init__(channels, strides)
        check_compat(compat)
        self.compat = compat
        self.head = nn.Linear(channels[-1], 4)

    def forward(self, views: Views) -> TaskOutput:
        """Cross-entropy, and the share of turns that were told right (``accuracy``)."""
        logits = torch.cat([self.head(self._read(views, name)) for name in ("view1", "view2")])
        turns = torch.cat([views["turn1"], views["turn2"]])
        right = (logits.argmax(1) == turns).float().mean()
        return TaskOutput(F.cross_entropy(logits, turns), {"accuracy": right.detach()})

    def _read(self, views: Views, name: str) -> Tensor:
        return token(views.features(name)[-1], 0) if self.compat else views.pooled(name)
