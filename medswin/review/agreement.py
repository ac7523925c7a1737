"""How far a reviewer and the model agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

import numpy as np
from numpy.typing import NDArray

from medswin.metrics import dice
from medswin.prediction import Prediction
from medswin.review.answers import ANSWERS, Review


@dataclass(frozen=True)
class Agreement:
    """One structure of one case.

    Attributes:
        structure: its name.
        answer: of the reviewer.
        dice: between the model's mask and the reviewer's, 0 to 1; None where it was rejected, and where both are empty.
        model_ml, reviewer_ml: volumes in millilitres; the reviewer's is None where it was rejected.
    """

    structure: str
    answer: str
    dice: float | None
    model_ml: float
    reviewer_ml: float | None


def agreement(review: Review, prediction: Prediction, labels: NDArray[np.uint8]) -> tuple[Agreement, ...]:
    """A row for each structure.

    Args:
        review: of the case.
        prediction: what the model said.
        labels: (X, Y, Z) as the reviewer left them.
    """
    ml = prediction.voxel_volume_mm3 / 1000.0
    rows = []
    for label in prediction.label_set:
        ours, theirs = prediction.labels == label.value, labels == label.value
        answer = review.answer(label.value).answer
        rejected, empty = answer == "reject", not (ours.any() or theirs.any())
        score = None if rejected or empty else float(dice(theirs, ours))
        reviewer_ml = None if rejected else float(theirs.sum() * ml)
        rows.append(Agreement(label.name, answer, score, float(ours.sum() * ml), reviewer_ml))
    return tuple(rows)


def table(cases: Sequence[Sequence[Agreement]]) -> list[tuple[str, ...]]:
    """A row a structure over all cases: name, how many were accepted, edited, rejected, mean Dice, mean change in ml.

    Dice and change are means over the cases in which the structure was not rejected; a dash where there is none.
    """
    names = list(dict.fromkeys(one.structure for case in cases for one in case))
    rows = []
    for name in names:
        found = [one for case in cases for one in case if one.structure == name]
        counts = [str(sum(one.answer == answer for one in found)) for answer in ANSWERS]
        scores = [one.dice for one in found if one.dice is not None]
        changes = [one.reviewer_ml - one.model_ml for one in found if one.reviewer_ml is not None]
        told = f"{mean(scores):.3f}" if scores else "-", f"{mean(changes):+.3f}" if changes else "-"
        rows.append((name, *counts, *told))
    return rows
