"""The detectors by name: a new one is one file and one line here."""

from __future__ import annotations

from typing import Any

from medswin.ood.contract import OODDetector
from medswin.ood.disagreement import Disagreement
from medswin.ood.energy import Energy
from medswin.ood.entropy import Entropy
from medswin.ood.knn import KNearestNeighbors
from medswin.ood.mahalanobis import Mahalanobis
from medswin.ood.msp import MaximumSoftmax
from medswin.ood.ranges import Ranges
from medswin.ood.umap import UMAP
from medswin.registry import Registry

DETECTORS: Registry[OODDetector] = Registry(
    "detector",
    {
        "mahalanobis": Mahalanobis,
        "knn": KNearestNeighbors,
        "umap": UMAP,
        "ranges": Ranges,
        "msp": MaximumSoftmax,
        "energy": Energy,
        "entropy": Entropy,
        "disagreement": Disagreement,
    },
)


def build(name: str, /, **params: Any) -> OODDetector:
    """Build a registered detector, not fitted yet; see `medswin.registry.Registry.build` for the errors."""
    return DETECTORS.build(name, **params)
