"""The model card: what a model is, what it was measured at, and what it is not for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FIGURES = (("dice", "Dice"), ("nsd", "NSD at 1 mm"), ("hd95_mm", "HD95, mm"))
_STEPS = ("min", "median", "max")
WHO = {
    "calibration": "people whom nothing was trained or chosen on (they set the limits of the OOD verdict)",
    "validation": "people who chose the weights",
    "training": "people trained on",
}


def model_card(model: Mapping[str, Any], metrics: Mapping[str, Any], ood: Mapping[str, Any] | None) -> str:
    """Markdown card of a model.

    Args:
        model: ``model.json``; its ``about`` holds the words: ``data``, ``intended_use``, ``limits``, ``recipe``.
        metrics: part of the split -> summary, as `medswin.metrics.summarise` gives it.
        ood: ``ood.json``; None where the package brings no detector.
    """
    about = model.get("about", {})
    lines = [
        f"# {model['name']} {model['version']}",
        "",
        "**Research use only. Not a medical device. Not for diagnosis.**",
        "",
        *_section("Intended use", about.get("intended_use")),
        *_section("Limits", about.get("limits")),
        *_section("Data", about.get("data")),
        *_section("Recipe", about.get("recipe")),
        "## Structures",
        "",
        *(f"- {row['value']}: {row['name']}" for row in model["labels"]),
        "",
        *_ranges(model.get("fingerprint", {})),
        "## Measured",
        "",
        *(line for part in WHO if part in metrics for line in _table(part, metrics[part])),
        *(() if metrics else ("Nothing was measured.", "")),
        *_verdict(ood),
        "## Licence",
        "",
        str(model.get("licence", "not stated")),
        "",
    ]
    return "\n".join(lines)


def _section(title: str, text: str | None) -> list[str]:
    return [f"## {title}", "", text.strip(), ""] if text else []


def _ranges(fingerprint: Mapping[str, Any]) -> list[str]:
    if not fingerprint:
        return []
    rows = [("Field of view, mm", "fov_mm"), ("Voxel spacing, mm", "spacing_mm")]
    return [
        f"## Training scans ({fingerprint['cases']})",
        "",
        "| left-right, posterior-anterior, inferior-superior | smallest | middle | largest |",
        "|---|---|---|---|",
        *(f"| {name} | {' | '.join(_axes(fingerprint[key][k]) for k in _STEPS)} |" for name, key in rows),
        "",
    ]


def _axes(values: list[float]) -> str:
    return " x ".join(f"{value:g}" for value in values)


def _table(part: str, summary: Mapping[str, Any]) -> list[str]:
    head = f"On {summary['n_cases']} scans of {summary['n_people']} {WHO[part]}; mean and 95 % interval by person:"
    rows = [*summary["structures"].items(), ("mean of structures", summary["mean"])]
    return [
        head,
        "",
        f"| structure | {' | '.join(title for _, title in FIGURES)} |",
        "|---|---|---|---|",
        *(f"| {name} | {' | '.join(_figure(row, key) for key, _ in FIGURES)} |" for name, row in rows),
        "",
    ]


def _figure(row: Mapping[str, Any], key: str) -> str:
    interval = row.get(f"{key}_ci95")
    return f"{row[key]:.3f}" + (f" ({interval[0]:.3f}-{interval[1]:.3f})" if interval else "")


def _verdict(ood: Mapping[str, Any] | None) -> list[str]:
    if ood is None:
        return ["## Verdict", "", "This package brings no OOD detector: scans are not checked.", ""]
    people, rate = ood["calibration_people"], ood["false_alarm_rate"]
    return [
        "## Verdict",
        "",
        f"Every scan is compared with {people} held-out people. About {100 * rate:g} % of scans of new people that are "
        "like the training scans are not accepted, on average over such calibrations; no claim finer than "
        f"1 in {people + 1} is made. A verdict of accept does not prove a segmentation right.",
        "",
    ]
