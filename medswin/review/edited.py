"""The label map that a reviewer changed, found and put onto the grid of its case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.files import read_bytes, read_json, sha256
from medswin.io.grid import Grid
from medswin.io.nifti import SUFFIXES, read_grid, read_labels
from medswin.prediction import Prediction
from medswin.review.placing import placed

_APART = 1e-2
"""By what share of a voxel's side an edited label map may lie off: its affine went through float32."""


def edited_labels(path: Path, prediction: Prediction, described: dict[str, Any]) -> NDArray[np.uint8]:
    """The label map in a NIfTI file, or the one that a ``review.json`` names, on the grid of its case.

    Its axes may be stored in another order or direction than those of the case.

    Args:
        path: of the NIfTI file or of the review.
        prediction: the case.
        described: what the case's JSON file says.

    Raises:
        InputError: for a file that is missing or damaged, that lies on another grid, holds values that are no structure
            of the case, is the case's own label map unchanged, or was made of another.
    """
    file = path if path.name.lower().endswith(SUFFIXES) else _of_review(path, prediction.case, described)
    known = [0, *(label.value for label in prediction.label_set)]
    labels = read_labels(file, values=known)
    grid = Grid.checked(prediction.labels.shape, prediction.affine, prediction.case)
    found = placed(labels, read_grid(file).affine, grid, file.name, _APART * min(grid.voxel_mm))
    if np.prod(labels.shape) != np.prod(grid.shape):
        raise InputError("covers only a part of its case", where=file.name, repair="save the whole label map")
    if np.array_equal(found, prediction.labels):
        raise InputError(
            "is the label map of the case, nothing was changed", where=file.name, repair="export without --edited"
        )
    return found


def _of_review(path: Path, case: str, described: dict[str, Any]) -> Path:
    """The label map that a review names; it lies beside the review, and is the one that was reviewed."""
    review = read_json(path)
    if review.get("case") != case or review.get("labels_sha256") != described.get("labels_sha256"):
        raise InputError(
            f"reviews another case or label map than {case}", where=path.name, repair="name the review of this case"
        )
    named = review.get("edited_file")
    if not isinstance(named, str) or not named:
        raise InputError("names no edited label map", where=path.name, repair="name the edited NIfTI file itself")
    file = path.with_name(Path(named).name)
    told = review.get("edited_sha256")
    if told is not None and sha256(read_bytes(file)) != told:
        raise InputError("is not the file that the review names", where=file.name, repair="save the review again")
    return file
