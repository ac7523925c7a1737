"""The detectors by name: a new one is one file and one line here."""

from __future__ import annotations

from typing import Any

from medswin.ood.contract import OODDetector
from medswin.ood.knn import KNearestNeighbors
from medswin.ood.mahalanobis import Mahalanobis
from medswin.registry import Registry

DETECTORS: Registry[OODDetector] = Registry("detector", {"mahalanobis": Mahalanobis, "knn": KNearestNeighbors})


def build(name: str, /, **params: Any) -> OODDetector:
    """Build a registered detector, not fitted yet; see `medswin.registry.Registry.build` for the errors."""
    return DETECTORS.build(name, **params)
