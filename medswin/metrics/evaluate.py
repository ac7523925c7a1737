"""A folder of predictions beside a folder of references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from medswin.errors import InputError, MedswinError
from medswin.io.nifti import case_name, find_scans, read_grid, read_labels
from medswin.labels import LabelSet
from medswin.metrics.bootstrap import mean_interval
from medswin.metrics.case import FIGURES, TOLERANCE_MM, Scores, evaluate_case, missed_case

Row = dict[str, Scores]


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
        label_set: the structures or their names in ascending value; None = "label 1", "label 2", ... up to the
            largest value in the references.
        people: the person of each case; gives 95 % intervals by a bootstrap over people. None = no interval.

    Returns:
        ``cases``: case -> structure -> `medswin.metrics.case.Scores`.
        ``structures``: structure -> means of dice, nsd, hd95_mm with ``<figure>_ci95`` ([low, high] or None), and how
        often it was in ``both``, ``missed``, ``invented``, ``neither``.
        ``mean``: the same figures, averaged over the structures of each case first.
        ``missing``: cases without a prediction. ``extra``: predictions without a reference.
        ``failed``: ``{"case", "message"}`` of each file that could not be used.
        ``n_cases``, ``n_people`` (None without ``people``), ``tolerance_mm``, ``labels`` (names).

    Raises:
        InputError: if a folder is empty, two files have one case name, no prediction is named as a reference is, no
            case can be compared, or ``people`` lacks a case.
    """
    references, predictions = _by_case(label_dir), _by_case(pred_dir)
    if Path(pred_dir).is_file() and Path(label_dir).is_file():
        predictions = dict(zip(references, predictions.values(), strict=True))
    _check_names(references, predictions, label_dir, people)
    failed: list[dict[str, str]] = []
    structures = _label_set(label_set, references)
    cases = {}
    for case, reference in references.items():
        row = _evaluate(case, predictions.get(case), reference, structures, failed)
        if row is not None:
            cases[case] = row
    if not cases:
        raise InputError("no case could be compared", where=label_dir, repair=failed[0]["message"])
    return {
        "cases": cases,
        **summarise(cases, structures, people),
        "missing": sorted(set(references) - set(predictions)),
        "extra": sorted(set(predictions) - set(references)),
        "failed": failed,
        "tolerance_mm": TOLERANCE_MM,
        "labels": list(structures.names),
    }


def summarise(cases: Mapping[str, Row], label_set: LabelSet, people: Mapping[str, str] | None = None) -> dict[str, Any]:
    """``structures``, ``mean``, ``n_cases`` and ``n_people`` of scored cases, as `evaluate_folder` gives them."""
    owners = None if people is None else [people[case] for case in cases]
    return {
        "structures": {row.name: _summary([c[row.name] for c in cases.values()], owners) for row in label_set},
        "mean": _mean(list(cases.values()), owners),
        "n_cases": len(cases),
        "n_people": None if owners is None else len(set(owners)),
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


def _label_set(given: LabelSet | Sequence[str] | None, references: dict[str, Path]) -> LabelSet:
    if isinstance(given, LabelSet):
        return given
    if given is not None:
        return LabelSet.from_names(list(given))
    largest = 0
    for path in references.values():
        try:
            largest = max(largest, int(np.max(read_labels(path))))
        except MedswinError:  # named when its turn comes
            continue
    return LabelSet.from_names([f"label {value}" for value in range(1, largest + 1)])


def _evaluate(
    case: str, prediction: Path | None, reference: Path, label_set: LabelSet, failed: list[dict[str, str]]
) -> Row | None:
    values = [0, *(row.value for row in label_set)]
    try:
        grid = read_grid(reference)
        label = read_labels(reference, values=values)
    except MedswinError as error:
        failed.append({"case": case, "message": str(error)})
        return None
    if prediction is None:
        return missed_case(label, grid.voxel_mm, label_set)
    try:
        pred = read_labels(prediction, like=grid, values=values)
        return evaluate_case(pred, label, grid.voxel_mm, label_set)
    except MedswinError as error:
        failed.append({"case": case, "message": str(error)})
        return missed_case(label, grid.voxel_mm, label_set)


def _summary(rows: Sequence[Scores], owners: Sequence[str] | None) -> dict[str, Any]:
    states = [row["state"] for row in rows]
    counts = {state: states.count(state) for state in ("both", "missed", "invented", "neither")}
    return _means({name: [float(row[name]) for row in rows] for name in FIGURES}, owners) | counts  # type: ignore[literal-required]


def _mean(cases: Sequence[Row], owners: Sequence[str] | None) -> dict[str, Any]:
    over = {name: [fmean(float(row[name]) for row in case.values()) for case in cases] for name in FIGURES}  # type: ignore[literal-required]
    return _means(over, owners)


def _means(columns: Mapping[str, Sequence[float]], owners: Sequence[str] | None) -> dict[str, Any]:
    means: dict[str, Any] = {name: fmean(column) for name, column in columns.items()}
    for name, column in columns.items():
        interval = None if owners is None else mean_interval(column, owners)
        means[f"{name}_ci95"] = None if interval is None else list(interval)
    return means
