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


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str | Text]], *, numbers: int = 0) -> None:
    """Print a table; its last ``numbers`` columns are numbers and stand on the right."""
    sheet = Table(title=_plain(title), title_justify="left", title_style="bold")
    for index, name in enumerate(columns):
        sheet.add_column(_plain(name), overflow="fold", justify="right" if index >= len(columns) - numbers else "left")
    for row in rows:
        sheet.add_row(*map(_plain, row))
    Console().print(sheet)


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
