"""How sure the network is of its answer: the usual scores to compare with, read from its logits.

Each is a mean over the voxels of a scan, a voxel weighing as much as the network believes it to be no background, so
that air does not count; see `medswin.inference.confidence`. They see no features, so they need no fit but their scale.
"""

from __future__ import annotations

import numpy as np

from medswin.errors import ConfigError
from medswin.ood.contract import Features, OODDetector


class OutputScore(OODDetector):
    """The sum of the numbers that it reads, as they are. Higher = more unusual."""

    unbounded = False

    def _fit(self, train_ND: Features) -> None:
        """Nothing is learned."""

    def _score(self, features_ND: Features) -> Features:
        return np.asarray(features_ND.sum(axis=1))


class WithTemperature(OutputScore):
    """A score of logits that are divided by a temperature first.

    Args:
        temperature: above 0; 1 leaves the logits as they are.
    """

    output: str

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        if not self.temperature > 0:
            raise ConfigError(f"temperature must be above 0, got {self.temperature!r}")
        return (f"{self.output}@{self.temperature:g}",)
