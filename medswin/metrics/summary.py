"""Means over cases, per structure and over structures, with intervals by person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from medswin.labels import Label, LabelSet
from medswin.metrics.bootstrap import mean_interval
from medswin.metrics.case import FIGURES, Scores

Row = dict[str, Scores]


def summarise(
    cases: Mapping[str, Row], label_set: LabelSet | Sequence[Label], people: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """``structures``, ``absent``, ``mean``, ``n_cases`` and ``n_people`` of scored cases.

    A structure that occurs in no reference and no prediction was not measured: it is listed in ``absent`` and is part
    of no mean. Where none occurs at all, every map is rightly empty, and all of them count.

    Args:
        cases: case -> structure -> scores; at least one case.
        label_set: the structures, at least one.
        people: the person of each case; None = no intervals.
    """
    owners = None if people is None else [people[case] for case in cases]
    absent = [row.name for row in label_set if not any(_occurs(case[row.name]) for case in cases.values())]
    names = [row.name for row in label_set if row.name not in absent] or absent
    return {
        "structures": {name: _summary([case[name] for case in cases.values()], owners) for name in names},
        "absent": absent,
        "mean": _mean(list(cases.values()), names, owners),
        "n_cases": len(cases),
        "n_people": None if owners is None else len(set(owners)),
    }


def _occurs(row: Scores) -> bool:
    return row["volume_ml"] > 0 or row["label_volume_ml"] > 0


def _summary(rows: Sequence[Scores], owners: Sequence[str] | None) -> dict[str, Any]:
    states = [row["state"] for row in rows]
    counts = {state: states.count(state) for state in ("both", "missed", "invented", "neither")}
    return _means({name: [float(row[name]) for row in rows] for name in FIGURES}, owners) | counts  # type: ignore[literal-required]


def _mean(cases: Sequence[Row], names: Sequence[str], owners: Sequence[str] | None) -> dict[str, Any]:
    over = {key: [fmean(float(case[name][key]) for name in names) for case in cases] for key in FIGURES}  # type: ignore[literal-required]
    return _means(over, owners)


def _means(columns: Mapping[str, Sequence[float]], owners: Sequence[str] | None) -> dict[str, Any]:
    means: dict[str, Any] = {name: fmean(column) for name, column in columns.items()}
    for name, column in columns.items():
        interval = None if owners is None else mean_interval(column, owners)
        means[f"{name}_ci95"] = None if interval is None else list(interval)
    return means
