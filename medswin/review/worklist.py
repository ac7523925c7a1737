"""The list of all cases, those first that most need eyes, as a page and as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from medswin.io.cells import csv_text
from medswin.io.facts import ModelFacts
from medswin.io.files import write_text
from medswin.prediction import Prediction, Verdict
from medswin.review.case import outliers_of
from medswin.review.safe_html import own_script, own_style, render
from medswin.review.volumes import VolumeRow, significant, volume_rows
from medswin.review.words import verdict_words

PAGE, TABLE = "worklist.html", "worklist.csv"
OPEN = "open"
COLUMNS = (
    *("case", "verdict", "expected_dice", "expected_dice_low", "expected_dice_high", "p"),
    *("to_look_at", "review", "reason", "page"),
)
_MOST_NAMES = 3
_WORST_FIRST: tuple[Verdict, ...] = ("reject", "review", "not checked", "accept")


@dataclass(frozen=True)
class Row:
    """One case of the list.

    Attributes:
        case: its name, a pseudonym.
        page: its page, relative to the list's; empty where there is none.
        reason: why there is no packet of this run; empty where there is one.
        verdict: None where there is no result.
        expected_dice: middle and ends of its interval, where it is known.
        p: NaN where it is not known.
        outliers: structures of a volume that no training scan had.
        doubts: what else is to be looked at, a line each.
        volumes_ml: of the structures.
        review: `OPEN`, or what became of it.
        labels_sha256: by which a reviewer's answer is told to belong to it.
        picture: base64 of a small JPEG.
    """

    case: str
    page: str = ""
    reason: str = ""
    verdict: Verdict | None = None
    expected_dice: tuple[float, float, float] | None = None
    p: float = math.nan
    outliers: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    volumes_ml: dict[str, float] = field(default_factory=dict)
    review: str = OPEN
    labels_sha256: str = ""
    picture: str = ""

    @classmethod
    def of(cls, made: Prediction, facts: ModelFacts | None, labels_sha256: str) -> Row:
        """What the list says of a result, without page and picture."""
        rows = volume_rows(made)
        outliers = outliers_of(made, facts)
        return cls(
            made.case,
            verdict=made.ood.verdict,
            expected_dice=made.ood.expected_dice,
            p=made.ood.p_value,
            outliers=outliers,
            doubts=_doubts(made, rows, outliers),
            volumes_ml={row.label.name: row.volume_ml for row in rows},
            labels_sha256=labels_sha256,
        )

    @property
    def need(self) -> tuple[Any, ...]:
        """The smaller, the sooner eyes are needed: no packet, verdict, expected Dice, odd volumes, p-value, name."""
        verdict = -1 if self.verdict is None or self.reason else _WORST_FIRST.index(self.verdict)
        dice = self.expected_dice[0] if self.expected_dice else math.inf
        return verdict, dice, -len(self.outliers), math.inf if math.isnan(self.p) else self.p, self.case


def write_worklist(folder: Path, rows: Sequence[Row], title: str) -> tuple[Path, Path]:
    """Write ``worklist.html`` and ``worklist.csv``, and give their paths.

    Raises:
        InputError: if they cannot be written.
    """
    ordered = sorted(rows, key=lambda row: row.need)
    write_text(folder / PAGE, worklist_page(ordered, title))
    write_text(folder / TABLE, _table(ordered))
    return folder / PAGE, folder / TABLE


def worklist_page(rows: Sequence[Row], title: str) -> str:
    """The page's text, rows in this order."""
    script, style = own_script("parts.js", "worklist.js"), own_style("page.css", "worklist.css")
    blocks = [
        {
            "row": row,
            "rank": rank,
            "href": quote(row.page),
            "words": None if row.verdict is None else verdict_words(row.verdict),
            "volumes": [(name, significant(volume_ml)) for name, volume_ml in row.volumes_ml.items()],
            "dice": "" if row.expected_dice is None else f"{row.expected_dice[0]:.2f}",
            "interval": "" if row.expected_dice is None else "{1:.2f} to {2:.2f}".format(*row.expected_dice),
            "p": "" if math.isnan(row.p) else f"{row.p:.3f}",
        }
        for rank, row in enumerate(rows)
    ]
    return render("worklist.html.j2", [script], style, title=title, rows=blocks)


def _doubts(made: Prediction, rows: Sequence[VolumeRow], outliers: Sequence[str]) -> tuple[str, ...]:
    """Lines on volumes and findings that a reviewer should look at."""
    warnings = sum(finding.grade != "note" for finding in made.findings)
    lines = {
        "volume outside the training scans": outliers,
        "cut off at the scan edge": [row.label.name for row in rows if row.cut_off],
        "in separate parts": [row.label.name for row in rows if row.parts > 1],
        "not found": [row.label.name for row in rows if row.voxels == 0],
    }
    told = [f"{what}: {_some(names)}" for what, names in lines.items() if names]
    told += [] if made.oriented else ["left and right are unknown"]
    told += [] if made.region is None else ["only a part of the scan was looked at"]
    return (*told, *([f"{warnings} {'warning' if warnings == 1 else 'warnings'} about the scan"] if warnings else []))


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _table(rows: Sequence[Row]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row.volumes_ml))
    table = [[*COLUMNS, *(f"{name}_ml" for name in names)]]
    for row in rows:
        dice = [f"{value:.4f}" for value in row.expected_dice or ()] or ["", "", ""]
        p, verdict = "" if math.isnan(row.p) else f"{row.p:.4f}", row.verdict or "no result"
        told = ["; ".join(row.doubts), row.review, row.reason, row.page]
        volumes = [f"{row.volumes_ml[name]:.4f}" if name in row.volumes_ml else "" for name in names]
        table.append([row.case, verdict, *dice, p, *told, *volumes])
    return csv_text(table)
