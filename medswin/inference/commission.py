"""Commissioning: a site sets the limit of a model's verdict on scans of its own, and learns how these differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medswin.errors import ConfigError, InputError, explain
from medswin.inference.acceptance import report
from medswin.inference.model import Model
from medswin.inference.predictor import Predictor, geometry
from medswin.io import read_package, write_package
from medswin.io.sources import Source
from medswin.ood import CHOSEN_COMBINE, Judge, View, chosen_detectors, chosen_view, row_layout

Scanned: TypeAlias = Path | Source
"""A NIfTI file, or a case of any kind."""

LEAST_PEOPLE = 5
LEAST_ALONE = 10  # where no training people stand beside those who teach
MOST_REJECTED = 0.5
RATE = 0.05


@dataclass(frozen=True)
class Commissioned:
    """What came of it.

    Attributes:
        package: id of the new package.
        report: what `medswin ood fit` writes beside it, as JSON.
        failed: each scan that could not be used, and why.
        left_out: each scan that was not used because the model as shipped rejects it.
    """

    package: str
    report: dict[str, Any]
    failed: tuple[tuple[Scanned, str], ...]
    left_out: tuple[Scanned, ...]


def commission(
    model: str | Path,
    scans: Sequence[Scanned],
    owners: Mapping[Any, Hashable],
    out: Path,
    *,
    false_alarm_rate: float | None = None,
    despite_rejects: bool = False,
    progress: Callable[[Sequence[Any]], Iterable[Any]] = iter,
) -> Commissioned:
    """Write a copy of a model whose verdict is calibrated on a site's own scans.

    Half of the site's people join the training scans, so that the detectors learn what is usual there; the limit is set
    on the other half, who teach nothing. Scans that the model as shipped rejects are in neither half: a corrupt one
    among them would move the line beyond which scans are rejected as far as itself. A model without a judge gets one
    that learns from the site's people alone (`medswin.ood.chosen_detectors`).

    The network stays as it is. Scans without labels cannot show whether its segmentations are right on them.

    Args:
        model: name, folder or zip of a package.
        scans: files or cases of people whom the model has never met, usual ones for the site.
        owners: the person of each scan.
        out: folder of the new package.
        false_alarm_rate: share of usual scans that may be flagged; where None the model's own, or 5 %.
        despite_rejects: use the scans that the model rejects too, and go on where these are more than half.
        progress: wraps the list of scans.

    Raises:
        ConfigError: for a rate outside of 0 to 1.
        InputError: for usable scans of fewer than five people (ten, for a model without a judge), or a model that
            rejects most of them.
    """
    package = read_package(model)
    if false_alarm_rate is not None and not 0 < false_alarm_rate < 1:
        raise ConfigError(f"must lie between 0 and 1, got {false_alarm_rate}", where="--false-alarms")
    built = Model.build(package)
    old, view = built.judge, built.view
    if old is None:
        mirrored = bool(built.window.get("mirror_axes"))
        view = chosen_view(len(built.network.encoder.channels), mirrored=mirrored)
    # without its judge it looks at all scans alike: large ones would get a quick look that the new one would not give
    seen, failed = _look(Predictor(replace(built, view=view, judge=None)), old, scans, progress)
    verdicts = Counter(scan.verdict for scan in seen)
    used = [scan for scan in seen if scan.verdict != "reject" or despite_rejects]
    left_out = tuple(one.scan for one in seen if one.verdict == "reject" and not despite_rejects)
    _check_enough(seen, used, owners, LEAST_ALONE if old is None else LEAST_PEOPLE)
    teach, limit, people = _halves(used, owners)
    if old is None:
        judge = _learned(built, view, teach, limit, owners, false_alarm_rate)
    else:
        judge = _refitted(old, teach, limit, owners, false_alarm_rate)
    row, tensors = judge.to_parts()
    site = np.stack([scan.row for scan in used])
    told = report(package.name, old, judge, site, people, verdicts, len(left_out), len(failed))
    about = {**package.model.get("about", {}), "commissioned": told["summary"]}
    described = {**package.model, "ood_view": view.to_json(), "about": about}
    above = "What is said of the verdict above is that of the model as shipped."
    card = f"{package.card.rstrip()}\n\n## Commissioning\n\n{above} {told['summary']}\n"
    identity = write_package(
        out, model=described, state=package.state, ood_json=row, ood_tensors=tensors, metrics=package.metrics, card=card
    )
    return Commissioned(identity, told, tuple(failed), left_out)


@dataclass(frozen=True)
class _Seen:
    scan: Scanned
    row: NDArray[np.float64]
    geometry: Mapping[str, Sequence[float]]
    verdict: str


def _look(
    predictor: Predictor,
    judge: Judge | None,
    scans: Sequence[Scanned],
    progress: Callable[[Sequence[Any]], Iterable[Any]],
) -> tuple[list[_Seen], list[tuple[Scanned, str]]]:
    """One pass over each scan; what cannot be used is told and left out."""
    seen, failed = [], []
    for scan in progress(scans):
        try:
            prepared = predictor.prepare(scan.read() if isinstance(scan, Source) else scan)
            labels, found = predictor.segment(prepared)
            row, sizes = predictor.row(prepared, labels, found.feature.numpy()), geometry(prepared.looked_at)
            verdict = "not checked" if judge is None else judge.judge(row, sizes).verdict
            seen.append(_Seen(scan, row, sizes, verdict))
        except Exception as error:  # whatever is wrong with one scan, the others are used
            failed.append((scan, scan.explain(error) if isinstance(scan, Source) else explain(error, scan)))
    return seen, failed


def _check_enough(seen: Sequence[_Seen], used: Sequence[_Seen], owners: Mapping[Any, Hashable], least: int) -> None:
    """Of enough people, both those that were looked at and those that are left."""
    more = f"give more scans; 40 people make a limit of {100 * RATE:g} % that holds"
    people, left = (len({owners[one.scan] for one in some}) for some in (seen, used))
    if people < least:
        raise InputError(f"scans of {people} people can be used, a limit needs those of {least} or more", repair=more)
    rejected = len(seen) - len(used)
    if rejected > MOST_REJECTED * len(seen):
        raise InputError(
            f"the model rejects {rejected} of these {len(seen)} scans: it was not made for them",
            repair="train a model on labelled scans of this kind, or add --despite-rejects if you know that it works",
        )
    if left < least:
        raise InputError(
            f"scans of {left} people are left where the {rejected} that the model rejects are not used, a limit needs "
            f"those of {least} or more",
            repair=f"{more}, or add --despite-rejects if the rejected ones are usual",
        )


def _halves(used: Sequence[_Seen], owners: Mapping[Any, Hashable]) -> tuple[list[_Seen], list[_Seen], int]:
    """The scans that teach, those that set the limit, and the number of people; a person is on one side."""
    people = list(dict.fromkeys(owners[one.scan] for one in used))
    order = np.random.default_rng(0).permutation(len(people))
    teaching = {people[i] for i in order[: len(people) // 2]}
    teach = [one for one in used if owners[one.scan] in teaching]
    return teach, [one for one in used if owners[one.scan] not in teaching], len(people)


def _refitted(
    old: Judge, teach: Sequence[_Seen], limit: Sequence[_Seen], owners: Mapping[Any, Hashable], rate: float | None
) -> Judge:
    """The same detectors, learned from the training scans and the site's."""
    kept = old.reference
    return Judge.fit(
        np.concatenate([kept.rows, *(scan.row[None] for scan in teach)]),
        np.stack([scan.row for scan in limit]),
        train_people=[*(f"training {p}" for p in kept.people), *(f"site {owners[one.scan]}" for one in teach)],
        calibration_people=[f"site {owners[one.scan]}" for one in limit],
        train_geometry=old.geometry.widened([scan.geometry for scan in teach]),
        calibration_geometry=[scan.geometry for scan in limit],
        detectors=[part.spec for part in old.detectors],
        combine=old.combine,
        layout=kept.layout,
        false_alarm_rate=old.false_alarm_rate if rate is None else rate,
    )


def _learned(
    model: Model,
    view: View,
    teach: Sequence[_Seen],
    limit: Sequence[_Seen],
    owners: Mapping[Any, Hashable],
    rate: float | None,
) -> Judge:
    """A judge that knows the site's scans and no others."""
    names = (model.channels, model.label_set.names)
    features = len(teach[0].row) - row_layout(view, 0, *names).width
    return Judge.fit(
        np.stack([scan.row for scan in teach]),
        np.stack([scan.row for scan in limit]),
        train_people=[owners[one.scan] for one in teach],
        calibration_people=[owners[one.scan] for one in limit],
        train_geometry=[scan.geometry for scan in teach],
        calibration_geometry=[scan.geometry for scan in limit],
        detectors=chosen_detectors(mirrored="disagreement" in view.outputs),
        combine=CHOSEN_COMBINE,
        layout=row_layout(view, features, *names),
        false_alarm_rate=RATE if rate is None else rate,
    )
