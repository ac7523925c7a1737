"""The acceptance report of a commissioned model: how a site's scans differ, and what its verdict now rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.ood import Judge
from medswin.ood.gloss import measured, number

NO_LABELS = "Scans without labels cannot show whether segmentations are right here, so that no expected Dice is told."
UNTOLD = 0.5  # spreads of the training scans by which the middle must have moved to be told of
MOST_DIFFERENCES = 3


def report(
    name: str,
    old: Judge | None,
    new: Judge,
    site_ND: NDArray[np.float64],
    people: int,
    verdicts: Counter[str],
    left_out: int,
    failed: int,
) -> dict[str, Any]:
    """How the site's scans differ, in figures and words; scans are counted, not named.

    Args:
        name: of the model.
        old: its judge as shipped; None where it came without.
        new: the judge that was fitted here.
        site_ND: rows of the scans that it was fitted on.
        people: whose scans these are.
        verdicts: of the old judge on all scans.
        left_out: scans that were not used because the old judge rejects them.
        failed: scans that could not be looked at.
    """
    differences = [] if old is None else _differences(old, site_ND)
    said = _without_judge(people, new) if old is None else _recalibrated(people, new, verdicts, left_out, differences)
    return {
        "model": name,
        "scans": sum(verdicts.values()),
        "people": people,
        "failed": failed,
        "left_out": left_out,
        "verdicts_as_shipped": {verdict: verdicts[verdict] for verdict in ("accept", "review", "reject")},
        "false_alarm_rate": new.rate,
        "differences": differences,
        "summary": f"{said} {NO_LABELS}",
    }


def _differences(old: Judge, site_ND: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Of each number that can be read: 5 %, middle and 95 % of the training scans and here, most moved first."""
    layout, found = old.reference.layout, list[dict[str, Any]]()
    for part in ("appearance", "shape"):
        names = layout.names(part)
        for label, place in zip(names, layout.place(part) if names else [], strict=True):
            usual, here = old.reference.rows[:, place], site_ND[:, place]
            spread = float(np.percentile(usual, 95) - np.percentile(usual, 5))
            shift = float(np.median(here) - np.median(usual)) / max(spread, 0.02 * abs(float(np.median(usual))), 1e-6)
            found.append({"what": label, "training": _levels(usual), "here": _levels(here), "shift": round(shift, 2)})
    return sorted(found, key=lambda row: -abs(row["shift"]))


def _recalibrated(
    people: int, new: Judge, verdicts: Counter[str], left_out: int, differences: Sequence[dict[str, Any]]
) -> str:
    counts = ", ".join(f"{verdicts[v]} {v}" for v in ("accept", "review", "reject"))
    moved = [row for row in differences[:MOST_DIFFERENCES] if abs(row["shift"]) > UNTOLD]
    told = "; ".join(f"{measured(r['what'], r['here'][1])} (training {number(r['training'][1])})" for r in moved)
    kept, without = "", ""
    if left_out:
        kept = " that it does not reject"
        without = f" The {left_out} that it rejects taught nothing and set no limit: look at them."
    return (
        f"The model as shipped said of these {sum(verdicts.values())} scans: {counts}.{without} "
        f"The judge learned from {people - new.calibration.people} people of this site beside the training people, and "
        f"its limit is set on {new.calibration.people} others: of usual scans{kept}, {100 * new.rate:.3g} % may be "
        f"flagged. What differs most, in the middle: {told or 'nothing beyond the spread of the training scans'}."
    )


def _without_judge(people: int, new: Judge) -> str:
    return (
        "The model came without a judge. This one learned what is usual from "
        f"{people - new.calibration.people} people of this site alone, and its limit is set on "
        f"{new.calibration.people} others: of usual scans of this site, {100 * new.rate:.3g} % may be flagged. "
        "It compares scans with this site's, not with those that the network was trained on, which are not known to "
        "it: network and site are unproven together."
    )


def _levels(values: NDArray[np.float64]) -> list[float]:
    return [float(f"{level:.4g}") for level in np.percentile(values, (5, 50, 95))]
