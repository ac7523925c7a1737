"""A folder of predictions beside a folder of references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError, MedswinError
from medswin.io.grid import Grid
from medswin.io.nifti import case_name, find_scans, read_grid
from medswin.labels import Label, LabelSet
from medswin.metrics.case import TOLERANCE_MM, evaluate_case, missed_case
from medswin.metrics.structures import named, occurring, read_map
from medswin.metrics.summary import Row, summarise


def evaluate_folder(
    pred_dir: Path | str,
    label_dir: Path | str,
    label_set: LabelSet | Sequence[str] | None = None,
    people: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Compare the label maps of two folders, matched by case name, in a dict that is ready for JSON.

    A reference without a prediction, or with one that cannot be read or lies on another grid, counts as missed in
    all its structures and is named. A reference that cannot be read takes no part and is named.

    Args:
        pred_dir: folder of ``<case>.nii.gz`` label maps, each on the grid of its reference.
        label_dir: folder of references. Two files instead of folders are compared, whatever their names.
        label_set: the structures, or the names of values 1, 2, ...; None = "label N" for each value N that occurs in a
            reference or in its prediction.
        people: the person of each case; gives 95 % intervals by a bootstrap over people. None = no interval.

    Returns:
        ``cases``: case -> structure -> `medswin.metrics.case.Scores`.
        ``structures``: structure -> means of dice, nsd, hd95_mm with ``<figure>_ci95`` ([low, high] or None), and how
        often it was in ``both``, ``missed``, ``invented``, ``neither``.
        ``absent``: structures that occur in no reference and no prediction, and are part of no mean.
        ``mean``: the same figures, averaged over the structures of each case first.
        ``missing``: cases without a prediction. ``extra``: predictions without a reference.
        ``failed``: ``{"case", "message"}`` of each file that could not be used.
        ``n_cases``, ``n_people`` (None without ``people``), ``tolerance_mm``, ``labels`` (names).

    Raises:
        InputError: if a folder is empty, two files have one case name, no prediction is named as a reference is, no
            reference can be used, no structure is named or drawn anywhere, or ``people`` lacks a case.
    """
    references, predictions = _by_case(label_dir), _by_case(pred_dir)
    if Path(pred_dir).is_file() and Path(label_dir).is_file():
        predictions = dict(zip(references, predictions.values(), strict=True))
    _check_names(references, predictions, label_dir, people)
    structures, refused = occurring(references, predictions) if label_set is None else (named(label_set), {})
    cases: dict[str, Row] = {}
    errors: dict[str, MedswinError] = {}
    for case, reference in references.items():
        row, error = _evaluate(predictions.get(case), reference, structures, refused)
        if row is not None:
            cases[case] = row
        if error is not None:
            errors[case] = error
    _check_any(cases, structures, errors, label_dir)
    return {
        "cases": cases,
        **summarise(cases, structures, people),
        "missing": sorted(set(references) - set(predictions)),
        "extra": sorted(set(predictions) - set(references)),
        "failed": [{"case": case, "message": str(error)} for case, error in errors.items()],
        "tolerance_mm": TOLERANCE_MM,
        "labels": [row.name for row in structures],
    }


def _by_case(folder: Path | str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in find_scans(Path(folder)):
        case = case_name(path)
        if case in files:
            raise InputError(
                f"{files[case].name} and {path.name} are the same case", where=folder, repair="keep one of them"
            )
        files[case] = path
    return files


def _check_names(
    references: dict[str, Path], predictions: dict[str, Path], where: Path | str, people: Mapping[str, str] | None
) -> None:
    if not set(references) & set(predictions):
        raise InputError(
            f"none of {len(predictions)} predictions is named like one of {len(references)} references",
            where=where,
            repair="name each prediction as its reference is named, or check that the folders are the right ones",
        )
    lacking = len(set(references) - set(people)) if people is not None else 0
    if lacking:
        raise InputError(f"{lacking} cases have no person", where=where, repair="add them to the table of people")


def _check_any(
    cases: Mapping[str, Row],
    structures: LabelSet | Sequence[Label],
    errors: Mapping[str, MedswinError],
    where: Path | str,
) -> None:
    if not cases:
        case, first = next(iter(errors.items()))
        raise InputError(
            f"none of {len(errors)} references can be used; {case}: {first.what}",
            where=where,
            repair="check that these are label maps rather than images",
        )
    if not len(structures):
        raise InputError(
            "no structure is drawn in any reference or prediction, so there is nothing to compare",
            where=where,
            repair="check that the label maps are the right ones",
        )


def _evaluate(
    prediction: Path | None,
    reference: Path,
    label_set: LabelSet | Sequence[Label],
    refused: Mapping[Path, MedswinError],
) -> tuple[Row | None, MedswinError | None]:
    """The rows of a case, None where its reference cannot be used; and why a file could not."""
    values = [row.value for row in label_set]
    try:
        grid = read_grid(reference)
        label = _read(reference, grid, values, refused)
    except MedswinError as error:
        return None, error
    if prediction is None:
        return missed_case(label, grid.voxel_mm, label_set), None
    try:
        return evaluate_case(_read(prediction, grid, values, refused), label, grid.voxel_mm, label_set), None
    except MedswinError as error:
        return missed_case(label, grid.voxel_mm, label_set), error


def _read(path: Path, grid: Grid, values: Sequence[int], refused: Mapping[Path, MedswinError]) -> NDArray[np.uint8]:
    if path in refused:
        raise refused[path]
    return read_map(path, like=grid, values=values)[0]
