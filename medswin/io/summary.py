"""``summary.csv``: a row a case, those first that most need eyes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from medswin.io.cases import described_case
from medswin.io.cells import csv_text
from medswin.io.files import remove, write_bytes
from medswin.io.manifest import Entry

SUMMARY = "summary.csv"
COLUMNS = (
    *("case", "state", "verdict", "p", "score", "expected_dice", "expected_dice_low", "expected_dice_high"),
    *("warnings", "cut_off", "reason"),
)
_WORST_FIRST = ("", "reject", "review", "not checked", "accept")  # "" for what has no results


def write_summary(folder: Path | str, entries: Mapping[str, Entry]) -> Path:
    """Write ``summary.csv`` from a manifest and the case files, and give its path; none where there is no case.

    Failed cases come first, then rejected, doubtful, unchecked and accepted ones, each from the lowest expected Dice
    and p-value on; skipped ones are last. After `COLUMNS` each structure has a column of its volume in ml.

    Raises:
        InputError: if it cannot be written.
    """
    folder = Path(folder)
    rows = sorted((_row(folder, entry) for entry in entries.values()), key=_need)
    columns = [*COLUMNS, *dict.fromkeys(key for row in rows for key in row if key not in COLUMNS)]
    if rows:
        text = csv_text([columns, *([row.get(name, "") for name in columns] for row in rows)])
        write_bytes(folder / SUMMARY, text.encode(errors="backslashreplace"))  # names of no encoding
    else:
        remove(folder / SUMMARY)
    return folder / SUMMARY


def _row(folder: Path, entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {"case": entry.case, "state": entry.state, "reason": entry.reason}
    values = described_case(folder / f"{entry.case}.json") if entry.state == "done" else None
    if values is None:
        return row
    try:
        ood, findings = values["ood"], values["findings"]
        _WORST_FIRST.index(ood["verdict"])
        dice = ood.get("expected_dice") or (None, None, None)
        row |= {"verdict": ood["verdict"], "p": _number(ood["p_value"]), "score": _number(ood["score"])}
        row |= {f"expected_dice{end}": _number(value) for end, value in zip(("", "_low", "_high"), dice, strict=True)}
        row |= {"cut_off": "; ".join(values["cut_off"]), "reason": "; ".join(ood["reasons"])}
        row["warnings"] = "; ".join(finding["message"] for finding in findings if finding["grade"] != "note")
        row |= {f"{name}_ml": _number(volume_ml) for name, volume_ml in values["volumes_ml"].items()}
    except (KeyError, TypeError, AttributeError, ValueError):  # damaged: its case will be made again
        row["reason"] = "its case file is damaged: run predict again"
    return row


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _need(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The smaller, the sooner eyes are needed."""
    state = ("failed", "done", "skipped").index(row["state"])
    numbers: Iterable[float] = (float(row.get(key) or "inf") for key in ("expected_dice", "p"))
    return state, _WORST_FIRST.index(row.get("verdict", "")), *numbers, row["case"]
