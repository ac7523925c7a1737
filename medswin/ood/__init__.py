"""Is this scan one that the model can be trusted on? Detectors, their calibration, and one verdict.

A detector (`OODDetector`, the contract) learns from the features of the training scans and scores new ones, higher =
more unusual. `Judge` puts several on one scale, calibrates their largest score on held-out people, and answers with
accept, review or reject and the reasons in plain words. Stored as JSON and tensors; nothing is pickled.
"""

from medswin.ood.calibration import Calibration
from medswin.ood.contract import OODDetector
from medswin.ood.detectors import DETECTORS, build
from medswin.ood.geometry import GeometryRange
from medswin.ood.judge import Judge, not_checked
from medswin.ood.knn import KNearestNeighbors
from medswin.ood.mahalanobis import Mahalanobis

__all__ = [
    "DETECTORS",
    "Calibration",
    "GeometryRange",
    "Judge",
    "KNearestNeighbors",
    "Mahalanobis",
    "OODDetector",
    "build",
    "not_checked",
]
