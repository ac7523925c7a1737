"""How the outputs of a network are read as labels: the largest of classes, or overlapping regions, painted in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from math import log

import torch
import torch.nn.functional as F
from torch import Tensor

from medswin.regions import Regions

OUTSIDE = 30.0
"""Logit of the background where nothing was computed: its probability there is 1 within fp32."""


class Reading(ABC):
    """What the channels of a network's logits mean.

    Attributes:
        channels: of the logits.
    """

    channels: int

    def centred(self, logits_NCDHW: Tensor) -> Tensor:
        """Logits as all that follows takes them, (..., C, D, H, W); means of them are means of the given ones, moved
        by the same amount.
        """
        return logits_NCDHW

    @abstractmethod
    def labels(self, logits: Iterable[Tensor]) -> Tensor:
        """Values of structures (uint8) from centred logits, all channels in turn; a positive factor changes nothing."""

    @abstractmethod
    def leave_out(self, logits_CDHW: Tensor, where_DHW: Tensor) -> None:
        """Make background of some voxels, in place."""

    @abstractmethod
    def as_classes(self, logits_CDHW: Tensor) -> Tensor:
        """Logits of classes that exclude each other, the background first: what doubt is measured by."""


class Largest(Reading):
    """Classes that exclude each other: each voxel is the one with the largest logit, the first of equals.

    Args:
        channels: classes, the background included, which comes first.
    """

    def __init__(self, channels: int) -> None:
        self.channels = channels

    def labels(self, logits: Iterable[Tensor]) -> Tensor:
        values = iter(logits)
        best = next(values).clone()
        labels, better = torch.zeros_like(best), torch.empty_like(best)
        for number, value in enumerate(values, 1):
            torch.gt(value, best, out=better)  # in floats, which processors compare many times faster
            torch.maximum(labels, better.mul_(number), out=labels)  # its number is higher than those so far
            torch.maximum(best, value, out=best)
        return labels.to(torch.uint8)

    def leave_out(self, logits_CDHW: Tensor, where_DHW: Tensor) -> None:
        logits_CDHW[0].masked_fill_(where_DHW, OUTSIDE)

    def as_classes(self, logits_CDHW: Tensor) -> Tensor:
        return logits_CDHW


class Painted(Reading):
    """Regions that may overlap, each with a sigmoid of its own, painted one over the other.

    Centred logits are told from the region's threshold, so that it holds what is above 0.

    Args:
        regions: in the order of the channels, which is that of painting.
    """

    def __init__(self, regions: Regions) -> None:
        self.channels, self.regions = len(regions), regions
        self.thresholds = torch.tensor([log(r.threshold / (1 - r.threshold)) for r in regions], device="cpu")

    def centred(self, logits_NCDHW: Tensor) -> Tensor:
        return logits_NCDHW - self.thresholds.to(logits_NCDHW)[:, None, None, None]

    def labels(self, logits: Iterable[Tensor]) -> Tensor:
        values = iter(logits)
        first, *others = self.regions
        painted = (next(values) > 0).to(torch.uint8) * first.paints
        for value, region in zip(values, others, strict=True):
            painted.masked_fill_(value > 0, region.paints)
        return painted

    def leave_out(self, logits_CDHW: Tensor, where_DHW: Tensor) -> None:
        for logits_DHW in logits_CDHW:
            logits_DHW.masked_fill_(where_DHW, -OUTSIDE)

    def as_classes(self, logits_CDHW: Tensor) -> Tensor:
        r"""Class k: region k is the last to paint, whatever lies under it; regions are taken as independent.

        .. math:: P(k) = \sigma(z_k) \prod_{j>k} (1 - \sigma(z_j)) \propto e^{z_k} \prod_{j<k} (1 + e^{z_j})
        """
        under = F.softplus(logits_CDHW).cumsum(0) - F.softplus(logits_CDHW)
        return torch.cat([torch.zeros_like(logits_CDHW[:1]), logits_CDHW + under])


def reading(structures: int, regions: Regions | None) -> Reading:
    """How a model of so many structures reads its network: as classes, unless it tells regions."""
    return Largest(structures + 1) if regions is None else Painted(regions)
