"""How sure the network is, measured while its logits pass by: one number for a scan and each kind of doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from medswin.inference.windows import Shape
from medswin.networks.outputs import OUTSIDE, Reading
from medswin.ood.view import check_output

AT_ONCE = 2**17
"""Logits looked at together: what stays in a processor's cache, and enough that calls cost little."""


class Confidence:
    """Mean doubt over the voxels of a scan, a voxel weighing as much as it is believed to be no background.

    That weight, one minus the background's probability, is soft, so that a mean is there even where no voxel is
    labelled. ``msp@T`` is one minus the largest probability at temperature T, ``energy@T`` the free energy
    ``-T log sum exp(z / T)``, ``entropy`` the entropy over its maximum, ``disagreement`` one minus the Dice of the
    structures between the plain pass and the mean of all mirrored ones, over all windows; 1 where neither finds any.

    Args:
        wanted: names of outputs.
        reading: of the logits, which are centred.

    Raises:
        ConfigError: for an unknown name.
    """

    def __init__(self, wanted: Sequence[str], reading: Reading) -> None:
        for name in wanted:
            check_output(name)
        self.wanted, self.reading = tuple(wanted), reading
        self.of_logits = tuple(name for name in self.wanted if name != "disagreement")
        self.sums = torch.zeros(len(self.of_logits), dtype=torch.float64)
        self.weight = 0.0
        self.agreed, self.found = 0, 0
        self.compared: set[Shape] = set()

    def add(self, sums_CDHW: Tensor, weights_DHW: Tensor) -> None:
        """Sums of weighted logits of voxels that come once, on the network's grid; where no window was, background."""
        if not (self.of_logits and sums_CDHW.numel()):
            return
        planes = max(AT_ONCE // sums_CDHW[:, 0].numel(), 1)
        for sums, weights in zip(sums_CDHW.split(planes, 1), weights_DHW.float().split(planes), strict=True):
            classes = self.reading.as_classes(sums.float() / weights.clamp_min(torch.finfo(torch.float32).tiny))
            classes[0].masked_fill_(weights == 0, OUTSIDE)
            logs = classes.log_softmax(0)
            weight = -torch.expm1(logs[0])
            self.weight += float(weight.sum(dtype=torch.float64))
            for i, name in enumerate(self.of_logits):
                self.sums[i] += (_doubt(name, classes, logs) * weight).sum(dtype=torch.float64).cpu()

    def compare(self, plain_NCDHW: Tensor, mirrored_NCDHW: Tensor) -> None:
        """Logits of windows that have not been compared yet, of the plain pass and the mean of all."""
        one, other = (self.reading.labels(logits.movedim(1, 0)) for logits in (plain_NCDHW, mirrored_NCDHW))
        self.agreed += int(((one == other) & (one > 0)).sum())
        self.found += int((one > 0).sum()) + int((other > 0).sum())

    def result(self) -> Tensor:
        """(len(wanted),) float64."""
        means = dict(zip(self.of_logits, (self.sums / max(self.weight, 1e-12)).tolist(), strict=True))
        means["disagreement"] = 1 - 2 * self.agreed / self.found if self.found else 1.0
        return torch.tensor([means[name] for name in self.wanted], dtype=torch.float64)


def _doubt(name: str, logits: Tensor, logs: Tensor) -> Tensor:
    kind, _, temperature = name.partition("@")
    if kind == "entropy":
        return -(logs.exp() * logs).sum(0) / math.log(len(logs))
    scaled = logits / float(temperature)
    if kind == "msp":
        return 1 - scaled.softmax(0).amax(0)
    return -float(temperature) * scaled.logsumexp(0)
