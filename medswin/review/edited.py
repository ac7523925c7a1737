"""A case that a reviewer changed: their label map, found and put onto the grid of the case, and what they rejected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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

EDITED = "edited by a person"
"""Key of a provenance whose label map was."""
REJECTED = "rejected by the reviewer"
"""Key of the names of structures that were, so that they have no volume."""
EDITED_HEADLINE = "Edited by a person: the outlines and volumes are no longer the model's alone."
_APART = 1e-2
"""By what share of a voxel's side an edited label map may lie off: its affine went through float32."""


def rejected_structures(prediction: Prediction) -> Sequence[str]:
    """Names of the structures that the reviewer of an edited case rejected."""
    return tuple(prediction.provenance.get(REJECTED, ()))


def is_edited(prediction: Prediction) -> bool:
    """Whether a person changed the label map."""
    return bool(prediction.provenance.get(EDITED))


def edited_case(path: Path, prediction: Prediction, described: dict[str, Any]) -> Prediction:
    """The case with the label map of a NIfTI file, or with what a ``review.json`` says of it, on its own grid.

    The axes of the label map may be stored in another order or direction than those of the case. Structures that a
    review rejects are left out, and the provenance names them. The expected Dice was that of the model's outlines, so
    it is gone.

    Args:
        path: of the NIfTI file or of the review.
        prediction: the case.
        described: what the case's JSON file says.

    Raises:
        InputError: for a file that is missing or damaged, that lies on another grid, holds values that are no structure
            of the case, or changes nothing; for a review of another case or label map.
    """
    plain = path.name.lower().endswith(SUFFIXES)
    found, rejected = (_read(path, prediction), []) if plain else _reviewed(path, prediction, described)
    if np.array_equal(found, prediction.labels):
        raise InputError("changes nothing in the label map", where=path.name, repair="export without --edited")
    told = {EDITED: True, **({REJECTED: rejected} if rejected else {})}
    return replace(
        prediction,
        labels=found,
        ood=replace(prediction.ood, expected_dice=None),
        provenance={**prediction.provenance, **told},
    )


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


def _reviewed(path: Path, prediction: Prediction, described: dict[str, Any]) -> tuple[NDArray[np.uint8], list[str]]:
    """The label map that a review names, which lies beside it, without what was rejected, and the names of that."""
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
    kept = np.where(np.isin(found, rejected), np.uint8(0), found) if rejected else found
    return kept, [review.structures[value] for value in rejected]
