"""All figures of one case: each structure of a prediction beside the same structure of the reference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medswin.errors import InputError
from medswin.labels import Label, LabelSet
from medswin.metrics.overlap import dice
from medswin.metrics.surface import diagonal_mm, surface_scores

TOLERANCE_MM = 1.0
FIGURES = ("dice", "nsd", "hd95_mm")

State = Literal["both", "missed", "invented", "neither"]


class Scores(TypedDict):
    """Figures of one structure.

    ``state``: drawn in ``"both"``; ``"missed"`` (only in the reference) or ``"invented"`` (only in the prediction):
    Dice 0, NSD 0, HD95 the diagonal of the field of view; in ``"neither"``: 1, 1, 0. Volumes are in millilitres.
    """

    dice: float
    nsd: float
    hd95_mm: float
    volume_ml: float
    label_volume_ml: float
    state: State


def evaluate_case(
    pred: ArrayLike, label: ArrayLike, spacing_mm: Sequence[float], label_set: LabelSet | Sequence[Label]
) -> dict[str, Scores]:
    """Dice, NSD at 1 mm, HD95 and volumes of each structure, by its name.

    Args:
        pred: (X, Y, Z) label map, 0 = background.
        label: (X, Y, Z) reference of the same shape.
        spacing_mm: size of a voxel along X, Y, Z.
        label_set: the structures; each gets a row, whether drawn or not.

    Raises:
        ShapeError: if the maps are not 3D or their shapes differ.
        InputError: if a map holds a value that ``label_set`` does not, or a spacing is not positive.
    """
    p, y = np.asarray(pred), np.asarray(label)
    _check_values("prediction", p, label_set)
    _check_values("reference", y, label_set)
    return {row.name: _scores(p == row.value, y == row.value, spacing_mm) for row in label_set}


def missed_case(
    label: ArrayLike, spacing_mm: Sequence[float], label_set: LabelSet | Sequence[Label]
) -> dict[str, Scores]:
    """The rows of a case that has no prediction: every structure counts as missed, even one that is not there."""
    y = np.asarray(label)
    _check_values("reference", y, label_set)
    worst = diagonal_mm(y.shape, spacing_mm)
    return {
        row.name: Scores(
            dice=0.0,
            nsd=0.0,
            hd95_mm=worst,
            volume_ml=0.0,
            label_volume_ml=_volume_ml(y == row.value, spacing_mm),
            state="missed",
        )
        for row in label_set
    }


def _scores(pred: NDArray[np.bool_], label: NDArray[np.bool_], spacing_mm: Sequence[float]) -> Scores:
    overlap = dice(pred, label)
    surface, farthest = surface_scores(pred, label, spacing_mm, TOLERANCE_MM)
    states: dict[tuple[bool, bool], State] = {
        (True, True): "both",
        (False, True): "missed",
        (True, False): "invented",
        (False, False): "neither",
    }
    return Scores(
        dice=overlap,
        nsd=surface,
        hd95_mm=farthest,
        volume_ml=_volume_ml(pred, spacing_mm),
        label_volume_ml=_volume_ml(label, spacing_mm),
        state=states[bool(pred.any()), bool(label.any())],
    )


def _volume_ml(mask: NDArray[np.bool_], spacing_mm: Sequence[float]) -> float:
    return int(mask.sum()) * math.prod(float(size) for size in spacing_mm) / 1000.0


def _check_values(which: str, values: NDArray[np.generic], label_set: LabelSet | Sequence[Label]) -> None:
    known = [0, *(row.value for row in label_set)]
    strange = sorted(set(np.unique(values).tolist()) - set(known))
    if strange:
        raise InputError(
            f"the {which} holds the values {strange[:5]}, but the structures are {known}",
            repair="name all structures, or give the label map that belongs to the model",
        )
