"""How much of two masks is the same."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medswin.errors import ShapeError

Mask = NDArray[np.bool_]


def dice(pred: ArrayLike, label: ArrayLike) -> float:
    """Dice coefficient of two masks of one shape, ``2 |P and L| / (|P| + |L|)``, in [0, 1]; 1 = the same.

    Anything but 0 belongs to a mask. If one mask is empty the result is 0; if both are it is 1, since what is not
    there was rightly not drawn. `medswin.metrics.evaluate_case` says which of these happened.

    Raises:
        ShapeError: if the shapes differ.
    """
    p, y = as_masks(pred, label)
    total = int(p.sum()) + int(y.sum())
    return 2.0 * int((p & y).sum()) / total if total else 1.0


def as_masks(pred: ArrayLike, label: ArrayLike) -> tuple[Mask, Mask]:
    """Both as boolean arrays, checked to have one shape.

    Raises:
        ShapeError: if the shapes differ.
    """
    p, y = np.asarray(pred).astype(bool), np.asarray(label).astype(bool)
    if p.shape != y.shape:
        raise ShapeError(
            f"a prediction of shape {p.shape} cannot be compared with a label of shape {y.shape}",
            repair="bring both onto one voxel grid",
        )
    return p, y
