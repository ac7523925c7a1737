"""A table of verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from medswin.io.cells import csv_text
from medswin.io.files import write_bytes
from medswin.prediction import OODResult

COLUMNS = ("case", "verdict", "score", "limit", "p_value", "expected_dice", "expected_dice_low", "expected_dice_high")


def write_scores(path: Path, results: Mapping[str, OODResult]) -> None:
    """Write a CSV with a row for each case: `COLUMNS`, a column ``score NAME`` for each detector, and the reasons.

    Raises:
        InputError: if it cannot be written.
    """
    parts = list(dict.fromkeys(name for ood in results.values() for name in ood.parts))
    rows: list[list[object]] = [[*COLUMNS, *(f"score {name}" for name in parts), "reasons"]]
    for case, ood in results.items():
        dice = ood.expected_dice or ("", "", "")
        scores = (ood.parts.get(name, "") for name in parts)
        rows.append([case, ood.verdict, ood.score, ood.limit, ood.p_value, *dice, *scores, "; ".join(ood.reasons)])
    write_bytes(path, csv_text(rows).encode())
