"""Tables for spreadsheets, and the log: whatever a case is called, its name does nothing there."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medswin.io.cases import write_case, write_volumes
from medswin.io.cells import csv_text
from medswin.io.manifest import Entry
from medswin.io.run_log import RunLog
from medswin.io.summary import write_summary
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction


@pytest.mark.parametrize("text", ["=1+1", "+a", "-rf", "@x", "\tx", "\r=x", "-1+1", "-"])
def test_what_begins_like_a_formula_is_text(text: str) -> None:
    assert csv_text([["a", text]]).replace('"', "") == f"a,'{text}\n"


@pytest.mark.parametrize("value", [-1.5, "-1.5", "-12", "+3", "-2.5e-05", "1=1", ""])
def test_numbers_and_other_words_stay_as_they_are(value: object) -> None:
    assert csv_text([["a", value]]) == f"a,{value}\n"


def test_names_of_cases_and_structures_in_the_tables_of_a_run(tmp_path: Path) -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1, 1, 1] = 1
    made = Prediction("=1+1", labels, np.eye(4), LabelSet.from_names(["@head"]), OODResult("review", -0.5, p_value=0.5))
    for case in ("=1+1", "-rf"):
        write_case(tmp_path, replace(made, case=case))
    entries = {case: Entry(case, "done") for case in ("=1+1", "-rf")}
    tables = [write_volumes(tmp_path), write_summary(tmp_path, entries)]
    volumes, summary = (list(csv.reader(path.read_text().splitlines())) for path in tables)
    assert [row[:3] for row in volumes[1:]] == [["'-rf", "'@head", "0.0010"], ["'=1+1", "'@head", "0.0010"]]
    assert [(row[0], row[4], row[-1]) for row in summary] == [
        ("case", "score", "'@head_ml"),
        ("'-rf", "-0.5000", "0.0010"),
        ("'=1+1", "-0.5000", "0.0010"),
    ]


def test_a_name_steers_no_terminal_that_shows_the_log(tmp_path: Path) -> None:
    RunLog(tmp_path).say("failed   x\x1b[31m\nred\x9b.nii.gz")
    assert (tmp_path / "run.log").read_text().endswith("failed x\\x1b[31m red\\x9b.nii.gz\n")
