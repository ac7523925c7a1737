"""The list of all cases: its order, its table, and the page in a browser."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medswin.figures import Window
from medswin.findings import Finding
from medswin.io.facts import ModelFacts
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction, Verdict
from medswin.review import ReviewCase
from medswin.review.thumbnail import thumbnail
from medswin.review.worklist import COLUMNS, Row, worklist_page, write_worklist

HOSTILE = """<script>document.title = "stolen"</script><img src=x onerror="document.title = 'stolen'">"""


def row(case: str, verdict: Verdict | None = "accept", dice: float | None = None, p: float = 0.5, **more: Any) -> Row:
    return Row(case, f"{case}/review.html", verdict=verdict, expected_dice=dice and (dice, 0.1, 0.9), p=p, **more)  # type: ignore[arg-type]


def a_case(**more: Any) -> ReviewCase:
    """One structure at the edge, in two parts; one that is not there."""
    labels = np.zeros((20, 30, 10), dtype=np.uint8)
    labels[0:3, 4:8, 5], labels[10:12, 4:8, 5] = 1, 1
    names = LabelSet.from_names(["head", "tail"])
    made = Prediction("x", labels, np.diag([1.0, 1.0, 3.0, 1.0]), names, OODResult("review", p_value=0.03), **more)
    return ReviewCase(made, np.full(labels.shape, 7.0), Window(0.0, 10.0, "w"), labels_sha256="ab" * 32)


def test_those_that_most_need_eyes_come_first(tmp_path: Path) -> None:
    rows = [
        row("f", dice=0.9, p=0.9), row("e", dice=0.8, p=0.9), row("d", "not checked"), row("c", "review", 0.7, 0.01),
        row("b", "reject", p=0.01), row("g", dice=None, p=0.4, outliers=()), row("h", p=0.9, outliers=("head",)),
        replace(row("a", None), page="", reason="a: gone"),
    ]  # fmt: skip
    write_worklist(tmp_path, rows, "List")
    with (tmp_path / "worklist.csv").open() as stream:
        assert [one["case"] for one in csv.DictReader(stream)] == ["a", "b", "c", "d", "e", "f", "h", "g"]


def test_the_table_tells_what_the_page_does(tmp_path: Path) -> None:
    rows = [row("one", dice=0.876543, volumes_ml={"head": 1.23456}), row("two", volumes_ml={"tail": 2.0})]
    write_worklist(tmp_path, rows, "List")
    with (tmp_path / "worklist.csv").open() as stream:
        first, second = csv.DictReader(stream)
    assert list(first) == [*COLUMNS, "head_ml", "tail_ml"]
    assert (first["expected_dice"], first["expected_dice_low"], first["head_ml"], first["tail_ml"]) == (
        "0.8765", "0.1000", "1.2346", "",
    )  # fmt: skip
    assert (second["expected_dice"], second["tail_ml"], second["page"]) == ("", "2.0000", "two/review.html")


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    write_worklist(tmp_path, [row("=1+1", volumes_ml={"@head": 1.0}), replace(row("b", None), reason="-x")], "List")
    cells = [cell for line in csv.reader((tmp_path / "worklist.csv").open()) for cell in line]
    assert {"'=1+1", "'@head_ml", "'-x"} <= set(cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_unknown_sides_and_a_part_are_told_and_marked() -> None:
    lost = (Finding("no-orientation", "warn", "Neither sform nor qform."),)
    odd, plain = a_case(findings=lost, region=((0, 20), (0, 20), (0, 10))), a_case()
    doubts = Row.of(odd.prediction, None, "").doubts
    assert doubts[-3:] == (
        "left and right are unknown", "only a part of the scan was looked at", "1 warning about the scan",
    )  # fmt: skip
    assert thumbnail(odd) != thumbnail(plain)


def test_what_is_to_be_looked_at_is_said() -> None:
    warned = a_case(findings=(Finding("a", "warn", "A."), Finding("b", "note", "B.")))
    known = ModelFacts("m", "1", "ab" * 32, expected_ml={"head": (5.0, 6.0)})
    assert Row.of(warned.prediction, known, "").doubts == (
        "volume outside the training scans: head",
        "cut off at the scan edge: head",
        "in separate parts: head",
        "not found: tail",
        "1 warning about the scan",
    )


def test_the_thumbnail_is_the_axial_slice_as_radiologists_see_it() -> None:
    """Tinted voxels at low x, the patient's left, lie on the right; at low y, posterior, at the bottom."""
    stamp = Image.open(io.BytesIO(base64.b64decode(thumbnail(a_case())))).convert("RGB")
    assert stamp.size == (64, 96)
    pixels = np.asarray(stamp).astype(int)
    tinted = np.argwhere(pixels.max(axis=2) - pixels.min(axis=2) > 40)
    assert tinted[:, 0].mean() > 48
    assert tinted[:, 1].max() > 60


def test_the_list_is_sorted_filtered_and_shows_answers(tmp_path: Path, visit: Callable[..., Any]) -> None:
    rows = [
        row(f"case-{i}", "accept" if i % 2 else "reject", 0.5 + i / 20, labels_sha256=f"{i}" * 64) for i in range(6)
    ]
    write_worklist(tmp_path, rows, "List")
    seen = visit(tmp_path / "worklist.html")

    def shown() -> list[str]:
        return [one.text_content() for one in seen.locator("tbody tr:visible th").all()]

    assert shown() == [f"case-{i}" for i in (0, 2, 4, 1, 3, 5)]
    seen.get_by_role("button", name="Expected Dice").click()
    assert shown() == [f"case-{i}" for i in range(6)]
    seen.get_by_role("button", name="Expected Dice").click()
    assert shown() == [f"case-{i}" for i in range(5, -1, -1)]
    seen.locator("select.by-verdict").select_option("reject")
    assert shown() == ["case-4", "case-2", "case-0"]
    seen.get_by_label("Find").fill("CASE-2")
    assert shown() == ["case-2"]
    seen.get_by_label("Find").fill("")
    answers = [{"value": 1, "answer": "accept"}, {"value": 2, "answer": "edit"}, {"value": 3, "answer": "accept"}]
    last = {"case": "case-2", "labels_sha256": "2" * 64, "answers": answers, "finished": "2026-11-26T10:00:00Z"}
    (tmp_path / "r.json").write_text(json.dumps(last))
    (tmp_path / "s.json").write_text(json.dumps({**last, "answers": [], "finished": "2026-11-26T09:00:00Z"}))
    (tmp_path / "odd.json").write_text("[")
    picked = [tmp_path / name for name in ("odd.json", "r.json", "s.json")]
    seen.get_by_label("Show answers").set_input_files(picked)
    seen.wait_for_selector("text=2 accept, 1 edit")
    seen.locator("select.state").select_option("done")
    assert shown() == ["case-2"]


def test_an_answer_belongs_to_its_case_where_two_have_one_label_map(tmp_path: Path, visit: Callable[..., Any]) -> None:
    write_worklist(tmp_path, [row(name, labels_sha256="0" * 64) for name in "ab"], "List")
    review = {"case": "b", "labels_sha256": "0" * 64, "answers": [{"value": 1, "answer": "accept"}]}
    (tmp_path / "r.json").write_text(json.dumps({**review, "finished": "2026-11-26T10:00:00Z"}))
    seen = visit(tmp_path / "worklist.html")
    seen.get_by_label("Show answers").set_input_files([tmp_path / "r.json"])
    seen.wait_for_selector("text=1 accept")
    assert [one.text_content() for one in seen.locator(".review-cell").all()] == ["open", "1 accept"]


def test_hostile_names_stay_text(tmp_path: Path, visit: Callable[..., Any]) -> None:
    odd = row(HOSTILE, volumes_ml={HOSTILE: 1.0}, doubts=(HOSTILE,))
    write_worklist(tmp_path, [odd, replace(row("b", None), reason=HOSTILE)], HOSTILE)
    seen = visit(tmp_path / "worklist.html")
    assert seen.title() == HOSTILE
    assert seen.locator("img[src=x]").count() == 0
    assert "javascript:" not in (seen.locator("tbody a").first.get_attribute("href") or "")


@pytest.mark.parametrize("width", [1280, 390])
def test_two_thousand_cases_are_one_page(tmp_path: Path, visit: Callable[..., Any], width: int) -> None:
    rows = [row(f"case-{i:04d}", dice=0.5 + i / 5000, picture="/9j/" + "A" * 3000) for i in range(2000)]
    assert len(worklist_page(rows, "List")) < 12e6
    write_worklist(tmp_path, rows, "List")
    seen = visit(tmp_path / "worklist.html", width)
    seen.get_by_label("Find").fill("case-1234")
    assert seen.locator("tbody tr:visible").count() == 1
    assert seen.locator(".count").text_content() == "1 of 2000 shown"
    assert seen.evaluate("document.documentElement.scrollWidth") <= width
