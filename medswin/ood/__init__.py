"""Is this scan one that the model can be trusted on? Detectors, their calibration, and one verdict.

A detector (`OODDetector`, the contract) learns from the features of the training scans and scores new ones, higher =
more unusual. `Judge` puts several on one scale, calibrates their largest score on held-out people, and answers with
accept, review or reject and the reasons in plain words. Stored as JSON and tensors; nothing is pickled.
"""

from medswin.ood.calibration import Calibration
from medswin.ood.choice import CHOSEN_COMBINE, chosen_detectors, chosen_view
from medswin.ood.contract import OODDetector
from medswin.ood.detectors import DETECTORS, build
from medswin.ood.expected import ExpectedDice
from medswin.ood.geometry import GeometryRange
from medswin.ood.judge import Judge, not_checked
from medswin.ood.knn import KNearestNeighbors
from medswin.ood.mahalanobis import Mahalanobis
from medswin.ood.row import layout as row_layout
from medswin.ood.row import row
from medswin.ood.scale import parsed
from medswin.ood.view import Layout, View, columns, is_output

__all__ = [
    "CHOSEN_COMBINE",
    "DETECTORS",
    "Calibration",
    "ExpectedDice",
    "GeometryRange",
    "Judge",
    "KNearestNeighbors",
    "Layout",
    "Mahalanobis",
    "OODDetector",
    "View",
    "build",
    "chosen_detectors",
    "chosen_view",
    "columns",
    "is_output",
    "not_checked",
    "parsed",
    "row",
    "row_layout",
]
