"""Inference: windows over a scan of any size, labels back on its own grid, and the verdict on it.

`Predictor` is a model kept in memory: a scan in, a `medswin.prediction.Prediction` out. `WindowInferer` is the part of
it that works with any network, wherever MONAI takes an inferer. `predict_folder` does a folder of scans.
"""

from medswin.inference.batch import BatchResult, predict_folder
from medswin.inference.box import Box
from medswin.inference.model import Model
from medswin.inference.outcome import CaseResult, Failed
from medswin.inference.predictor import Predictor
from medswin.inference.resample import to_grid
from medswin.inference.sliding import WindowInferer

__all__ = [
    "BatchResult",
    "Box",
    "CaseResult",
    "Failed",
    "Model",
    "Predictor",
    "WindowInferer",
    "predict_folder",
    "to_grid",
]
