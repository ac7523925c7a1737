"""The label map that a reviewer changed, found and put onto the grid of its case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.grid import Grid
from medswin.io.nifti import SUFFIXES, read_grid, read_labels
from medswin.prediction import Prediction
from medswin.review.answers import read_review
from medswin.review.placing import placed
from medswin.review.saved import saved_labels

_APART = 1e-2
"""By what share of a voxel's side an edited label map may lie off: its affine went through float32."""


def edited_labels(path: Path, prediction: Prediction, described: dict[str, Any]) -> NDArray[np.uint8]:
    """The label map in a NIfTI file, or what a ``review.json`` says of the case, on the grid of the case.

    Its axes may be stored in another order or direction than those of the case. Structures that a review rejects are
    left out.

    Args:
        path: of the NIfTI file or of the review.
        prediction: the case.
        described: what the case's JSON file says.

    Raises:
        InputError: for a file that is missing or damaged, that lies on another grid, holds values that are no structure
            of the case, or changes nothing; for a review of another case or label map.
    """
    plain = path.name.lower().endswith(SUFFIXES)
    found = _read(path, prediction) if plain else _reviewed(path, prediction, described)
    if np.array_equal(found, prediction.labels):
        raise InputError("changes nothing in the label map", where=path.name, repair="export without --edited")
    return found


def _read(path: Path, prediction: Prediction) -> NDArray[np.uint8]:
    labels = read_labels(path, values=[0, *(label.value for label in prediction.label_set)])
    grid = Grid.checked(prediction.labels.shape, prediction.affine, prediction.case)
    if labels.size != prediction.labels.size:
        raise InputError(
            f"has {labels.size} voxels, its case {prediction.labels.size}",
            where=path.name,
            repair="save the whole label map, on the grid of its case",
        )
    return placed(labels, read_grid(path).affine, grid, path.name, _APART * min(grid.voxel_mm))


def _reviewed(path: Path, prediction: Prediction, described: dict[str, Any]) -> NDArray[np.uint8]:
    """The label map that a review names, which lies beside it, without what was rejected."""
    review = read_review(path)
    if review.case != prediction.case or review.labels_sha256 != described.get("labels_sha256"):
        raise InputError(
            f"reviews another case or label map than that of {prediction.case}",
            where=path.name,
            repair="name the review of this case",
        )
    grid = Grid.checked(prediction.labels.shape, prediction.affine, prediction.case)
    found = saved_labels(review, path, prediction, grid)
    rejected = [one.value for one in review.answers if one.answer == "reject"]
    return np.where(np.isin(found, rejected), np.uint8(0), found) if rejected else found
