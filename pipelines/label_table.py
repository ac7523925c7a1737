"""The table and the figure of `label_efficiency.py`: means and spreads over seeds, gains with their intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from matplotlib.figure import Figure

from medswin.io import read_json, replacing, write_json
from medswin.metrics import mean_interval

SCRATCH, LONGER, TANG = "from scratch", "from scratch, twice the steps", "three tasks"
FROZEN = "from scratch, its encoder not trained"
FIRST = (SCRATCH, LONGER, FROZEN, TANG)
COLORS = {SCRATCH: "#999999", LONGER: "#444444", FROZEN: "#000000", TANG: "#0072b2", "barlow_twins": "#cc79a7"}
BUDGET = ("scans", "fine_tuning_steps", "pretraining_steps", "precision", "encoders")
"""What two tables must have in common for their rows to stand side by side."""

Runs = Mapping[int, Mapping[str, float]]
"""Dice of each case, by seed."""


def summary(name: str, labels: int, runs: Runs, plain: Runs, people: Mapping[str, str]) -> dict[str, Any]:
    """Mean and spread over seeds, and the difference to scratch on the same cases, with its interval by person.

    The scores themselves go along, so that a later study can tell its gains from them.
    """
    means = [mean(run.values()) for run in runs.values()]
    row: dict[str, Any] = {"row": name, "labels": labels, "seeds": len(runs)}
    row |= {"dice": round(mean(means), 4), "standard_deviation": round(stdev(means), 4) if len(means) > 1 else None}
    cases = sorted(next(iter(runs.values())))
    both = sorted(set(runs) & set(plain))
    if name != SCRATCH and both:
        gain = [mean(runs[seed][case] - plain[seed][case] for seed in both) for case in cases]
        interval = mean_interval(gain, [people[case] for case in cases])
        row |= {"gain": round(mean(gain), 4), "gain_ci95": interval and [round(end, 4) for end in interval]}
    scores = {case: [round(run[case], 4) for run in runs.values()] for case in cases}
    return {**row, "scores": {"of_seeds": list(runs), "of_cases": scores}}


def published(path: Path) -> dict[tuple[str, int], dict[int, dict[str, float]]]:
    """The scores in the table at ``path``: by row and labels, by seed, by case."""
    rows = [row for row in (read_json(path)["rows"] if path.exists() else []) if "scores" in row]
    return {
        (row["row"], row["labels"]): {
            seed: {case: of_seeds[i] for case, of_seeds in row["scores"]["of_cases"].items()}
            for i, seed in enumerate(row["scores"]["of_seeds"])
        }
        for row in rows
    }


def other_budget(about: Mapping[str, Any], path: Path) -> str | None:
    """In words, why rows of this budget cannot go into the table at ``path``; None where they can."""
    old = read_json(path) if path.exists() else about
    differing = [f"{key} {old.get(key)}, here {about[key]}" for key in BUDGET if old.get(key) != about[key]]
    return f"{path.name} has another budget ({'; '.join(differing)}) and is left as it is" if differing else None


def publish(table: Mapping[str, Any], path: Path) -> str:
    """Put rows into the table at ``path`` and draw it; rows there that this study did not make stay.

    A row there of more seeds stays too.

    Returns:
        What was done, in words.
    """
    if words := other_budget(table, path):
        return f"{words}; remove it and run again to put this study in its place"
    kept = {(row["row"], row["labels"]): row for row in (read_json(path)["rows"] if path.exists() else [])}
    own = {(row["row"], row["labels"]): row for row in table["rows"]}
    new = {key: row for key, row in own.items() if key not in kept or row["seeds"] >= kept[key]["seeds"]}
    write_json(path, {**table, "rows": ordered({**kept, **new}.values())})
    draw(read_json(path)["rows"], path.with_suffix(".png"))
    return f"{path}: {len(new)} rows of this study, {len(kept.keys() - new.keys())} that were there"


def ordered(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """By labels; scratch first, then the three tasks, then single ones by name."""
    ranks = {name: rank for rank, name in enumerate(FIRST)}
    return sorted(rows, key=lambda row: (row["labels"], ranks.get(row["row"], len(FIRST)), row["row"]))


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Dice over labelled cases."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(row["row"] for row in rows))
    for i, name in enumerate(names):
        own = [row for row in rows if row["row"] == name]
        aside = 1.025 ** (i - (len(names) - 1) / 2)  # side by side, where they would lie upon each other
        spread = [row["standard_deviation"] or 0 for row in own]
        labels, found = [aside * row["labels"] for row in own], [row["dice"] for row in own]
        style = "-o" if len(own) > 1 else "o"
        axes.errorbar(labels, found, spread, fmt=style, color=COLORS.get(name), label=name, capsize=3)
    axes.set_xscale("log")
    axes.set_xticks(sorted({row["labels"] for row in rows}), sorted({row["labels"] for row in rows}))
    axes.minorticks_off()
    axes.set_xlabel("labelled cases")
    axes.set_ylabel("mean Dice on unseen people\n(bars: standard deviation of seeds)")
    figure.legend(frameon=False, loc="outside right center")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
