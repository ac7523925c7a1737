"""Which structures two folders of label maps are compared in: those that were named, or the values that occur."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError, MedswinError
from medswin.io.grid import Grid
from medswin.io.nifti import read_grid, read_labels
from medswin.labels import PALETTE, Label, LabelSet

_MANY = 32  # values from which on a file is asked whether it is an image
_SHOWN = 5


def read_map(
    path: Path, *, like: Grid | None = None, values: Iterable[int] | None = None
) -> tuple[NDArray[np.uint8], set[int]]:
    """A label map (X, Y, Z), and the values from 1 on that occur in it.

    Args:
        path: of the file.
        like: the grid that it must lie on.
        values: those from 1 on that may occur; any where None.

    Raises:
        InputError: for what `medswin.io.nifti.read_labels` refuses, for an image, and for values that are not among
            ``values``.
    """
    labels = read_labels(path, like=like)
    found = {int(value) for value in np.flatnonzero(np.bincount(labels.ravel(order="K")))} - {0}
    if len(found) > _MANY and _patchiness(labels) < 0.5:
        raise InputError(
            f"holds {len(found)} values, so it is an image rather than a label map",
            where=path,
            repair="give its labels",
        )
    foreign = sorted(found - set(found if values is None else values))
    if foreign:
        more = f" and {len(foreign) - _SHOWN} more" if len(foreign) > _SHOWN else ""
        raise InputError(
            f"holds the values {', '.join(map(str, foreign[:_SHOWN]))}{more}, which no structure has",
            where=path,
            repair="renumber the labels as the structures are numbered, or name all structures",
        )
    return labels, found


def _patchiness(labels_XYZ: NDArray[np.uint8]) -> float:
    """Share of drawn neighbours that have one value: most of them in any atlas, few among the grey levels of a scan."""
    equal, drawn = 0, 0
    for axis in range(3):
        turned = np.moveaxis(labels_XYZ, axis, 0)
        here, there = turned[:-1], turned[1:]
        both = (here > 0) & (there > 0)
        drawn += int(both.sum())
        equal += int((both & (here == there)).sum())
    return equal / max(drawn, 1)


def named(label_set: LabelSet | Sequence[str]) -> LabelSet:
    """The structures as given, or values 1, 2, ... with these names."""
    return label_set if isinstance(label_set, LabelSet) else LabelSet.from_names(list(label_set))


def occurring(
    references: Mapping[str, Path], predictions: Mapping[str, Path]
) -> tuple[tuple[Label, ...], dict[Path, MedswinError]]:
    """One structure, "label N", for each value N that occurs in a reference or in its prediction.

    Args:
        references: case -> file.
        predictions: case -> file; those without a reference are left out.

    Returns:
        The structures in ascending value, and why files took no part.
    """
    values: set[int] = set()
    refused: dict[Path, MedswinError] = {}
    for case, reference in references.items():
        try:
            grid = read_grid(reference)
            values |= read_map(reference)[1]
        except MedswinError as error:
            refused[reference] = error
            continue
        if case in predictions:
            try:
                values |= read_map(predictions[case], like=grid)[1]
            except MedswinError as error:
                refused[predictions[case]] = error
    return tuple(Label(v, f"label {v}", PALETTE[i % len(PALETTE)]) for i, v in enumerate(sorted(values))), refused
