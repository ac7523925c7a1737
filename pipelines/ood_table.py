"""From the scans of `ood_scans.py` to figures: how well a judge tells unusual scans and failures, and its alarms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ood_scans as scans
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from medswin.ood import Judge, Layout
from medswin.ood.combine import combined

BAD, FAILED = 0.05, 0.8
DRAWS = 300
FEWEST = 30
Values = NDArray[np.float64]
Row = tuple[Sequence[Any], str, tuple[int, ...], int, int, bool]


@dataclass(frozen=True)
class Group:
    """Scans of one kind: wide rows, and what is known of them."""

    rows: NDArray[np.float32]
    people: list[str]
    kind: NDArray[Any]
    strength: NDArray[Any]
    dice: Values
    geometry: list[dict[str, Any]]
    case: list[str]

    @classmethod
    def read(cls, path: Path, people: Mapping[str, str]) -> Group:
        """What `ood_study.py` kept; a scan of no known person is of its own."""
        with np.load(path) as kept:
            cases = [str(case) for case in kept["case"]]
            sizes = zip(kept["fov_mm"].tolist(), kept["spacing_mm"].tolist(), strict=True)
            geometry = [{"fov_mm": fov, "spacing_mm": spacing} for fov, spacing in sizes]
            owners = [people.get(case, case.rstrip("0123456789 ")) for case in cases]  # crops of one volume are one
            about = (kept["kind"], kept["strength"], kept["dice"].astype(float))
            return cls(kept["row"], owners, *about, geometry, cases)

    def table(self, row: Row) -> Values:
        """The rows that a judge of this row of the study sees."""
        _, _, stages, grid, kernel, flat = row
        others = len(scans.WIDE.outputs) + 16 + 14
        maps = self.rows[:, :-others].reshape(len(self.rows), -1, 4, 4, 4).astype(np.float64)
        borders = np.cumsum([0, *CHANNELS])
        chosen = np.concatenate([maps[:, borders[s - 1] : borders[s]] for s in stages], axis=1)
        step = 4 // grid
        n, c = chosen.shape[:2]
        parts = chosen.reshape(n, c, grid, step, grid, step, grid, step).mean((3, 5, 7))
        if kernel > 1:
            kernels = (kernel, kernel, 1 if flat else kernel)
            windows = np.lib.stride_tricks.sliding_window_view(parts, kernels, axis=(2, 3, 4))
            parts = windows.mean((-3, -2, -1))
        return np.concatenate([parts.reshape(n, -1), self.rows[:, -others:].astype(np.float64)], axis=1)


CHANNELS = (24, 48, 96, 192)  # of stages 1 to 4


def layout(width: int) -> Layout:
    """Of the tables."""
    looks, forms = (tuple(f"{name} {i}" for i in range(count)) for name, count in (("look", 16), ("form", 14)))
    features = width - len(scans.WIDE.outputs) - 30
    return Layout({"features": features, "outputs": scans.WIDE.outputs, "appearance": looks, "shape": forms})


def judge_of(row: Row, train: Group, held_out: Group) -> Judge:
    """Fitted on training scans, calibrated on held-out people; sizes are left to the features."""
    table, calibration = train.table(row), held_out.table(row)
    return Judge.fit(
        table,
        calibration,
        train_people=train.people,
        calibration_people=held_out.people,
        train_geometry=train.geometry,
        calibration_geometry=held_out.geometry,
        detectors=row[0],
        combine=row[1],  # type: ignore[arg-type]
        layout=layout(table.shape[1]),
    )


def figures(row: Row, found: Mapping[str, Group], usual: str, unusual: str) -> dict[str, Any]:
    """One row of the table."""
    judge = judge_of(row, found["training"], found["validation"])  # its limit is not used
    score = {name: scores(judge, group.table(row)) for name, group in found.items() if name != "training"}
    clean, broken = found[usual], [found[f"{unusual}degraded"], found[f"{unusual}misdescribed"]]
    base = dict(zip(clean.case, clean.dice, strict=True))
    cost = np.concatenate([[base[case] for case in group.case] - group.dice for group in broken])
    corrupted = np.concatenate([score[f"{unusual}degraded"], score[f"{unusual}misdescribed"]])
    owners = [person for group in broken for person in group.people]
    costly = cost > BAD
    dice = np.concatenate([clean.dice, *(group.dice for group in broken)])
    everything, everybody = np.concatenate([score[usual], corrupted]), [*clean.people, *owners]
    elsewhere = {} if unusual else _elsewhere(score, found, clean.people)  # not to be looked at while choosing
    return {
        **elsewhere,
        "all faults": told_apart(score[usual], clean.people, corrupted, owners),
        "costly": told_apart(score[usual], clean.people, corrupted[costly], list(np.array(owners)[costly])),
        "failures": told_apart(
            everything[dice >= FAILED],
            list(np.array(everybody)[dice >= FAILED]),
            everything[dice < FAILED],
            list(np.array(everybody)[dice < FAILED]),
        ),
        **going_together(everything, dice, everybody),
    }


def _elsewhere(score: Mapping[str, Values], found: Mapping[str, Group], people: Sequence[str]) -> dict[str, Any]:
    """Other anatomy and contrast, MNI152's cerebellum and cortex among them, beside unseen hippocampi."""
    parts = found["template"].kind
    crops = parts != "MNI hippocampus"
    other = np.concatenate([score["others"], score["template"][crops]])
    volumes = [*found["others"].people, *np.array(found["template"].people)[crops]]
    cerebellum, hippocampus = (score["template"][parts == f"MNI {part}"] for part in ("cerebellum", "hippocampus"))
    return {
        "other anatomy": told_apart(score["calibration"], people, other, volumes),
        "cerebellum above hippocampus": float(np.mean(cerebellum[:, None] > hippocampus[None]).round(3)),
    }


def scores(judge: Judge, table: Values) -> Values:
    """Scores by features alone: without the rule on sizes."""
    parts = judge.detectors
    scaled = [[part.score(row, judge.reference.layout) for part in parts] for row in table]
    return np.array([combined(parts, judge.combine, one) for one in scaled])


def told_apart(low: Values, low_people: Sequence[str], high: Values, high_people: Sequence[str]) -> dict[str, Any]:
    """AUROC, AUPRC and false alarms at 95 % and 90 % found, with 95 % intervals drawn by person."""
    if len(high) < FEWEST or len(low) == 0:
        return {"scans": len(high)}  # no claim
    rng, drawn = np.random.default_rng(0), []
    low_of, high_of = _by_person(low, low_people), _by_person(high, high_people)
    for _ in range(DRAWS):
        some = [
            np.concatenate([owned[i] for i in rng.integers(len(owned), size=len(owned))]) for owned in (low_of, high_of)
        ]
        drawn.append(_measures(*some))
    ends = np.percentile(np.array(drawn), (2.5, 97.5), axis=0)
    names = ("auroc", "auprc", "fpr95", "fpr90")
    told = zip(names, _measures(low, high), ends.T, strict=True)
    return {"scans": len(high)} | {name: [round(float(v), 3) for v in (value, *ci)] for name, value, ci in told}


def going_together(score: Values, dice: Values, people: Sequence[str]) -> dict[str, list[float]]:
    """Pearson's and Spearman's correlation of score and Dice, with 95 % intervals drawn by person."""
    rng, owned = np.random.default_rng(0), _by_person(np.arange(len(score)), people)
    draws = [np.concatenate([owned[i] for i in rng.integers(len(owned), size=len(owned))]) for _ in range(DRAWS)]
    found = {}
    for name, measure in (("pearson", pearsonr), ("spearman", spearmanr)):
        drawn = [float(measure(score[some], dice[some])[0]) for some in draws]
        value = float(measure(score, dice)[0])
        found[name] = [round(float(v), 3) for v in (value, *np.percentile(drawn, (2.5, 97.5)))]
    return found


def _measures(low: Values, high: Values) -> list[float]:
    truth, values = np.r_[np.zeros(len(low)), np.ones(len(high))], np.r_[low, high]
    false, true, _ = roc_curve(truth, values)
    at = [float(false[np.searchsorted(true, share)]) for share in (0.95, 0.9)]
    return [float(roc_auc_score(truth, values)), float(average_precision_score(truth, values)), *at]


def _by_person(values: NDArray[Any], people: Sequence[str]) -> list[NDArray[Any]]:
    names = np.array(people)
    return [values[names == person] for person in dict.fromkeys(people)]


def verdicts(row: Row, found: Mapping[str, Group]) -> dict[str, Any]:
    """What the whole judge says, sizes included: half of the unseen people set the limit for the others, and back.

    Beside the counts, ``flagged`` holds of each fault and strength the share of scans that were not accepted, and how
    many there were.
    """
    held, said = found["calibration"], {name: Counter[str]() for name in ("clean", "others", "costly", "harmless")}
    flags: dict[tuple[str, int], list[bool]] = {}
    order = list(dict.fromkeys(held.people))
    base = dict(zip(held.case, held.dice, strict=True))
    for turn in (0, 1):
        limit = {person for i, person in enumerate(order) if i % 2 == turn}
        judge = judge_of(row, found["training"], _only(held, limit, inside=True))
        for name in ("calibration", "degraded", "misdescribed", "others"):
            group = found[name] if name == "others" else _only(found[name], limit, inside=False)
            for i, (values, size) in enumerate(zip(group.table(row), group.geometry, strict=True)):
                costly = name != "others" and base[group.case[i]] - group.dice[i] > BAD
                kind = {"calibration": "clean", "others": "others"}.get(name, "costly" if costly else "harmless")
                verdict = judge.judge(values, size).verdict
                said[kind][verdict] += 1
                flags.setdefault((str(group.kind[i]), int(group.strength[i])), []).append(verdict != "accept")
    flagged: dict[str, dict[str, Any]] = {}
    for (kind, strength), told in sorted(flags.items()):
        flagged.setdefault(kind, {})[str(strength)] = {"share": round(float(np.mean(told)), 3), "scans": len(told)}
    return {"verdicts": {name: dict(counts) for name, counts in said.items()}, "flagged": flagged}


def _only(group: Group, people: set[str], *, inside: bool) -> Group:
    kept = [i for i, person in enumerate(group.people) if (person in people) == inside]
    return Group(
        group.rows[kept],
        [group.people[i] for i in kept],
        group.kind[kept],
        group.strength[kept],
        group.dice[kept],
        [group.geometry[i] for i in kept],
        [group.case[i] for i in kept],
    )
