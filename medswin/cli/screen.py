"""What commands put on the screen: tables, progress bars and paths."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from medswin.errors import visible
from medswin.findings import Finding
from medswin.prediction import OODResult

COLOURS = {"accept": "green", "review": "yellow", "reject": "red", "not checked": "dim"}
MOST_ROWS = 50
NAME = 22  # the pseudonym of a series and its part: names that are not folded
WIDE, FEW = 72, 4  # on a screen of so many columns, beside so many numbers
MOST_VOLUMES = 8  # columns; more do not fit into a terminal, and are in the files


class Outcome(Protocol):
    """What is shown of a case: a prediction, or what a batch keeps of one."""

    @property
    def case(self) -> str: ...
    @property
    def ood(self) -> OODResult: ...
    @property
    def findings(self) -> tuple[Finding, ...]: ...
    @property
    def cut_off(self) -> tuple[str, ...]: ...
    @property
    def volumes_ml(self) -> Mapping[str, float]: ...


def table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str | Text]],
    *,
    numbers: int = 0,
    ruled: bool = False,
    stderr: bool = False,
) -> None:
    """Print a table, ``ruled`` between its rows; its last ``numbers`` columns are numbers and stand on the right."""
    console = Console(stderr=stderr)
    sheet = Table(title=_plain(title), title_justify="left", title_style="bold", show_lines=ruled)
    cells = [[_plain(cell) for cell in row] for row in rows]
    for index, name in enumerate(columns):
        sheet.add_column(_plain(name), overflow="fold", justify="right" if index >= len(columns) - numbers else "left")
    roomy = console.width >= WIDE and numbers <= FEW
    sheet.columns[0].no_wrap = roomy and all(len(row[0]) <= NAME for row in cells)
    for row in cells:
        sheet.add_row(*row)
    console.print(sheet)


def failures(failed: Sequence[tuple[str, str, str]]) -> None:
    """Print what failed to stderr: of each case its name, what is wrong and how to mend it, wrapped.

    As wide as the terminal; where there is none, 80 columns or what ``COLUMNS`` says.
    """
    table(f"{len(failed)} failed", ["case", "what failed", "how to mend it"], failed, ruled=True, stderr=True)


def line(text: str) -> None:
    """Print one line of plain text to stdout, never wrapped or coloured, so that paths can be copied."""
    Console().print(_plain(text), soft_wrap=True)


def prose(text: str) -> None:
    """Print a sentence, wrapped to the width of the terminal."""
    Console().print(_plain(text))


def outcomes(title: str, cases: Sequence[Outcome]) -> None:
    """Print verdicts and volumes, a row per case up to `MOST_ROWS`; below, warnings and why a scan was not accepted."""
    shown = cases[:MOST_ROWS]
    names = list(dict.fromkeys(name for case in shown for name in case.volumes_ml))
    if len(names) > MOST_VOLUMES:
        names = []
    rows: list[list[str | Text]] = [
        [
            visible(case.case),
            Text(case.ood.verdict, style=COLOURS[case.ood.verdict]),
            figure(case.ood.p_value),
            *(figure(case.volumes_ml.get(name, math.nan)) for name in names),
        ]
        for case in shown
    ]
    table(title, ["case", "verdict", "p", *(f"{name} (ml)" for name in names)], rows, numbers=1 + len(names))
    for case in shown:
        for words in remarks(case):
            line(f"{visible(case.case)}: {words}")
    if len(cases) > len(shown):
        line(f"and {len(cases) - len(shown)} more")


def remarks(case: Outcome) -> list[str]:
    """What a reader has to know of a case beside the numbers: nothing, where it was accepted without a warning."""
    reasons = () if case.ood.verdict == "accept" else case.ood.reasons
    found = (finding for finding in case.findings if finding.grade != "note")
    warnings = (f"{f.message} Repair: {f.repair}" if f.repair else f.message for f in found)
    edges = (f"{name} touches the edge of what was looked at: its volume may be too small" for name in case.cut_off)
    return [*reasons, *warnings, *edges]


def figure(number: float) -> str:
    """Three decimals, or a dash for what was not computed."""
    return "-" if math.isnan(number) else f"{number:.3f}"


def bar(*, shown: bool) -> Progress:
    """A progress bar over cases on stderr; nothing is drawn unless ``shown``, nor into a file or a pipe."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeElapsedColumn())
    hidden = not (shown and console.is_terminal)
    return Progress(*columns, TimeRemainingColumn(), console=console, disable=hidden, transient=True)


class Rate(ProgressColumn):
    """Cases a minute, as soon as that is known."""

    def render(self, task: Task) -> Text:
        return Text(f"{60 * task.speed:.3g}/min" if task.speed else "")


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Print what is what, or what was written where, one per line and whole, so that it can be copied."""
    for what, value in pairs:
        line(f"{what:<14} {visible(str(value))}")


def _plain(text: str | Text) -> Text:
    """Without the markup of rich, and with control characters shown rather than sent; lines stay lines."""
    words, style = (text.plain, text.style) if isinstance(text, Text) else (text, "")
    return Text("\n".join(map(visible, words.split("\n"))), style)
