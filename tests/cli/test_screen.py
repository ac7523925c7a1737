"""What is said of a case beside its numbers."""

from pathlib import Path

import numpy as np
import pytest

from medswin.cli import screen
from medswin.cli.screen import figure, remarks
from medswin.findings import Finding
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction

FINDINGS = (
    Finding("a", "note", "It is 3D."),
    Finding("b", "warn", "It has no side.", "get it again"),
)


def case(verdict: str, *, at_the_edge: bool) -> Prediction:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0 if at_the_edge else 1, 1, 1] = 1
    ood = OODResult(verdict, reasons=("It is bright.",))
    return Prediction("c", labels, np.eye(4), LabelSet.from_names(["front"]), ood, FINDINGS)


def test_an_accepted_case_is_told_with_its_warnings_alone() -> None:
    assert remarks(case("accept", at_the_edge=False)) == ["It has no side. Repair: get it again"]


def test_a_flagged_case_says_why_and_what_is_cut_off() -> None:
    assert remarks(case("review", at_the_edge=True)) == [
        "It is bright.",
        "It has no side. Repair: get it again",
        "front touches the edge of what was looked at: its volume may be too small",
    ]


def test_numbers_have_three_decimals_or_are_a_dash() -> None:
    assert [figure(0.12345), figure(float("nan"))] == ["0.123", "-"]


def test_names_neither_steer_the_terminal_nor_are_markup(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\x1b[2J[/red]"
    screen.table(name, [name], [[name]])
    screen.line(f"{name}\nb")
    screen.prose(name)
    screen.facts([("file", Path(name))])
    told = capsys.readouterr().out
    assert told.count(r"a\x1b[2J[/red]") == 6
    assert "\x1b" not in told
    assert "[/red]\nb\n" in told
