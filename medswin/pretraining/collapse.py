"""Has a representation collapsed? Two numbers of the features of some scans that tell it early."""

from __future__ import annotations

import torch
from torch import Tensor


def effective_rank(features_NF: Tensor) -> float:
    """Exp of the entropy of the normalised singular values of centred features: how many directions they use.

    From 1 (all on one line, or at one point) to min(N - 1, F). Source: Roy and Vetterli 2007, "The effective rank".
    """
    centred = features_NF.double() - features_NF.double().mean(0)
    values = torch.linalg.svdvals(centred)
    if values.sum() == 0:
        return 1.0
    shares = values / values.sum()
    return float(torch.exp(torch.special.entr(shares).sum()))


def spread(features_NF: Tensor) -> float:
    """How far apart features point: the root mean square distance of unit vectors from their mean.

    0 where all scans give one direction, 1 where directions cancel out. Source: the collapse test of Chen and He 2021,
    "SimSiam" (arXiv:2011.10566), scaled to reach 1.
    """
    unit = torch.nn.functional.normalize(features_NF.double(), dim=1)
    return float((unit - unit.mean(0)).square().sum(1).mean().sqrt())


class CollapseWatch:
    """Compares the features of the same scans, again and again, with those of the encoder that was not trained yet.

    Args:
        rank: share of the first look's effective rank, below which the representation has collapsed.
        spread: share of the first look's spread, below which it has.
    """

    def __init__(self, rank: float = 0.15, spread: float = 0.1) -> None:
        self.rank, self.spread = rank, spread
        self.first: dict[str, float] = {}

    def look(self, features_NF: Tensor) -> dict[str, float]:
        """``effective_rank`` and ``spread`` of the features of some scans."""
        found = {"effective_rank": effective_rank(features_NF), "spread": spread(features_NF)}
        self.first = self.first or found
        return found

    def warning(self, found: dict[str, float]) -> str | None:
        """What to tell the user of these numbers, if anything."""
        rank, width = self.rank * self.first["effective_rank"], self.spread * self.first["spread"]
        if found["effective_rank"] >= rank and found["spread"] >= width:
            return None
        now = f"effective rank {found['effective_rank']:.1f}, spread {found['spread']:.3f}"
        before = f"{self.first['effective_rank']:.1f} and {self.first['spread']:.3f} before training"
        return (
            f"the representation has collapsed: all scans look alike to it ({now}; {before}). Repair: lower "
            "training.learning_rate, use larger batches, or add another task"
        )
