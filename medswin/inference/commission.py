"""Commissioning: a site sets the limit of a model's verdict on scans of its own, and learns how these differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import ConfigError, InputError, explain
from medswin.inference.model import Model
from medswin.inference.predictor import Predictor, geometry
from medswin.io import read_package, write_package
from medswin.ood import Judge

LEAST_PEOPLE = 5
MOST_REJECTED = 0.5


@dataclass(frozen=True)
class Commissioned:
    """What came of it.

    Attributes:
        package: id of the new package.
        report: what `medswin ood fit` writes beside it, as JSON.
        failed: path and message of each scan that could not be used.
    """

    package: str
    report: dict[str, Any]
    failed: tuple[tuple[Path, str], ...]


def commission(
    model: str | Path,
    scans: Sequence[Path],
    owners: Mapping[Path, Hashable],
    out: Path,
    *,
    false_alarm_rate: float | None = None,
    despite_rejects: bool = False,
    progress: Callable[[Sequence[Path]], Iterable[Path]] = iter,
) -> Commissioned:
    """Write a copy of a model whose verdict is calibrated on a site's own scans.

    Half of the site's people join the training scans, so that the detectors learn what is usual there; the limit is set
    on the other half, who teach nothing. The network stays as it is: whether its segmentations are right on such scans
    is not known from scans without labels.

    Args:
        model: name, folder or zip of a package with a judge.
        scans: of people whom the model has never met, usual ones for the site.
        owners: the person of each scan.
        out: folder of the new package.
        false_alarm_rate: share of usual scans that may be flagged; the model's own where None.
        despite_rejects: go on where the model rejects more than half of the scans.
        progress: wraps the list of scans.

    Raises:
        InputError: for a model without a judge, scans of fewer than five people, or a model that rejects most of them.
    """
    package = read_package(model)
    if false_alarm_rate is not None and not 0 < false_alarm_rate < 1:
        raise ConfigError(f"must lie between 0 and 1, got {false_alarm_rate}", where="--false-alarms")
    built = Model.build(package)
    old = built.judge
    if old is None:
        raise InputError("brings no detector to be calibrated", where=model, repair="train it with calibration people")
    # without its judge it looks at all scans alike: large ones would get a quick look that the new one would not give
    seen, failed = _look(Predictor(replace(built, judge=None)), old, scans, progress)
    people = list(dict.fromkeys(owners[scan.path] for scan in seen))
    if len(people) < LEAST_PEOPLE:
        raise InputError(
            f"scans of {len(people)} people can be used, a limit needs those of {LEAST_PEOPLE} or more",
            repair="give more scans; 40 people make a limit of 5 % that holds",
        )
    verdicts = Counter(scan.verdict for scan in seen)
    if verdicts["reject"] > MOST_REJECTED * len(seen) and not despite_rejects:
        raise InputError(
            f"the model rejects {verdicts['reject']} of these {len(seen)} scans: it was not made for them",
            repair="train a model on labelled scans of this kind, or add --despite-rejects if you know that it works",
        )
    judge = _refitted(old, seen, owners, people, false_alarm_rate)
    row, tensors = judge.to_parts()
    report = _report(package.name, old, judge, seen, verdicts, people, failed)
    described = {**package.model, "about": {**package.model.get("about", {}), "commissioned": report["summary"]}}
    above = "What is said of the verdict above is that of the model as shipped."
    card = f"{package.card.rstrip()}\n\n## Commissioning\n\n{above} {report['summary']}\n"
    identity = write_package(
        out, model=described, state=package.state, ood_json=row, ood_tensors=tensors, metrics=package.metrics, card=card
    )
    return Commissioned(identity, report, tuple(failed))


@dataclass(frozen=True)
class _Seen:
    path: Path
    row: NDArray[np.float64]
    geometry: Mapping[str, Sequence[float]]
    verdict: str


def _look(
    predictor: Predictor, judge: Judge, scans: Sequence[Path], progress: Callable[[Sequence[Path]], Iterable[Path]]
) -> tuple[list[_Seen], list[tuple[Path, str]]]:
    """One pass over each scan; what cannot be used is told and left out."""
    seen, failed = [], []
    for path in progress(scans):
        try:
            prepared = predictor.prepare(path)
            labels, found = predictor.segment(prepared)
            row, sizes = predictor.row(prepared, labels, found.feature.numpy()), geometry(prepared.looked_at)
            seen.append(_Seen(path, row, sizes, judge.judge(row, sizes).verdict))
        except Exception as error:  # whatever is wrong with one scan, the others are used
            failed.append((path, explain(error, path)))
    return seen, failed


def _refitted(
    old: Judge, seen: Sequence[_Seen], owners: Mapping[Path, Hashable], people: Sequence[Hashable], rate: float | None
) -> Judge:
    order = np.random.default_rng(0).permutation(len(people))
    teaching = {people[i] for i in order[: len(people) // 2]}
    teach = [scan for scan in seen if owners[scan.path] in teaching]
    limit = [scan for scan in seen if owners[scan.path] not in teaching]
    kept = old.reference
    train = np.concatenate([kept.rows, *(scan.row[None] for scan in teach)])
    train_people = [*(f"training {p}" for p in kept.people), *(f"site {owners[scan.path]}" for scan in teach)]
    ranges = old.geometry.widened([scan.geometry for scan in teach])
    return Judge.fit(
        train,
        np.stack([scan.row for scan in limit]),
        train_people=train_people,
        calibration_people=[f"site {owners[scan.path]}" for scan in limit],
        train_geometry=(ranges.corners * len(train))[: len(train)],  # the ranges are all that is learned of them
        calibration_geometry=[scan.geometry for scan in limit],
        detectors=[part.spec for part in old.detectors],
        combine=old.combine,
        layout=kept.layout,
        false_alarm_rate=old.false_alarm_rate if rate is None else rate,
    )


def _report(
    name: str,
    old: Judge,
    new: Judge,
    seen: Sequence[_Seen],
    verdicts: Counter[str],
    people: Sequence[Hashable],
    failed: Sequence[tuple[Path, str]],
) -> dict[str, Any]:
    """How the site's scans differ, in figures and words; scans are numbered, not named."""
    differences: list[dict[str, Any]] = []
    site = np.stack([scan.row for scan in seen])
    for part in ("appearance", "shape"):
        names = old.reference.layout.names(part)
        for label, place in zip(names, old.reference.layout.place(part) if names else [], strict=True):
            usual, here = old.reference.rows[:, place], site[:, place]
            spread = float(np.percentile(usual, 95) - np.percentile(usual, 5))
            shift = float(np.median(here) - np.median(usual)) / max(spread, 0.02 * abs(float(np.median(usual))), 1e-6)
            differences.append(
                {"what": label, "training": _levels(usual), "here": _levels(here), "shift": round(shift, 2)}
            )
    differences.sort(key=lambda row: -abs(row["shift"]))
    counts = ", ".join(f"{verdicts[v]} {v}" for v in ("accept", "review", "reject"))
    moved = [row for row in differences[:3] if abs(row["shift"]) > 0.5]
    words = "; ".join(f"{r['what']} {r['here'][1]:.3g} (training {r['training'][1]:.3g})" for r in moved)
    summary = (
        f"The judge learned from {len(people) - new.calibration.people} people of this site beside the training "
        f"people, and its limit is set on {new.calibration.people} others: of usual scans {100 * new.rate:.3g} % may "
        "be flagged. "
        f"The model as shipped said of these {len(seen)} scans: {counts}. "
        f"What differs most, in the middle: {words or 'nothing beyond the spread of the training scans'}. "
        "Scans without labels cannot show whether segmentations are right here, so that no expected Dice is told."
    )
    return {
        "model": name,
        "scans": len(seen),
        "people": len(people),
        "failed": len(failed),
        "verdicts_as_shipped": {v: verdicts[v] for v in ("accept", "review", "reject")},
        "limit": {"as_shipped": old.calibration.limit(old.rate), "now": new.calibration.limit(new.rate)},
        "false_alarm_rate": new.rate,
        "differences": differences,
        "summary": summary,
    }


def _levels(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{level:.4g}") for level in np.percentile(values, (5, 50, 95))]
