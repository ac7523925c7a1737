"""Figures of merit for segmentations: Dice, normalised surface Dice at 1 mm, 95 % Hausdorff distance in mm.

A structure that was missed or invented counts as such and is never dropped; one that is in neither map counts as
right, unless it occurs in no map at all. Figures are summed up by person where people are known.
"""

from medswin.metrics.bootstrap import mean_interval
from medswin.metrics.case import Scores, evaluate_case, missed_case
from medswin.metrics.evaluate import evaluate_folder
from medswin.metrics.overlap import dice
from medswin.metrics.summary import summarise
from medswin.metrics.surface import hd95_mm, nsd

__all__ = [
    "Scores",
    "dice",
    "evaluate_case",
    "evaluate_folder",
    "hd95_mm",
    "mean_interval",
    "missed_case",
    "nsd",
    "summarise",
]
