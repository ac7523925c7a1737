"""Pages over many structures, and the list of many cases, in a real browser: all stays in reach and legible."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from medswin.findings import Finding
from medswin.io.facts import ModelFacts
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction, Verdict
from medswin.review import ReviewCase, write_page
from medswin.review.safe_html import niivue
from medswin.review.worklist import Row, write_worklist

SCREENS = pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])

CONTRASTS = """() => {
    const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = (color) => {
        const [r, g, b] = color.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (node) => {
        for (; node; node = node.parentElement) {
            const color = numbers(getComputedStyle(node).backgroundColor);
            if (color.length < 4 || color[3] > 0) return color;
        }
    };
    const found = {}, texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode.data.trim(), node = texts.currentNode.parentElement;
        if (!text || !node.checkVisibility() || /SCRIPT|OPTION/.test(node.tagName)) continue;
        const pair = [numbers(getComputedStyle(node).color), ground(node)].map((color) => light(color) + 0.05);
        found[text] = Math.max(...pair) / Math.min(...pair);
    }
    return found;
}"""


def a_case(structures: int = 105, verdict: Verdict = "accept", **more: Any) -> ReviewCase:
    """Bars along z, one a structure, the first in the patient's left, posterior corner; the last is not found."""
    labels = np.zeros((44, 44, 24), dtype=np.uint8)
    for value in range(1, structures):
        x, y = 4 * ((value - 1) % 11), 4 * ((value - 1) // 11)
        labels[x : x + 3, y : y + 3, 4:20] = value
    names = LabelSet.from_names([f"bone_{value}" for value in range(1, structures + 1)])
    provenance = {"package": "cd" * 32}
    prediction = Prediction("many", labels, np.eye(4), names, OODResult(verdict), provenance=provenance, **more)
    image = np.random.default_rng(0).normal(100, 20, labels.shape)
    return ReviewCase(prediction, image, labels_sha256="ab" * 32)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("many") / "page.html", [a_case()], "Many")


def put(seen: Any, *at: int) -> None:
    script = "(at) => { const { viewer } = document.querySelector('.viewer'); viewer.at = at; viewer.draw(); }"
    seen.evaluate(script, list(at))


def orange(png: bytes) -> int:
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return int(((pixels[..., 0] > 200) & (pixels[..., 0] > pixels[..., 2] + 100)).sum())


def top(seen: Any, selector: str) -> float:
    return float(seen.evaluate("(one) => document.querySelector(one).getBoundingClientRect().top", selector))


def banner(seen: Any) -> float:
    return float(seen.evaluate("document.querySelector('.banner').getBoundingClientRect().bottom"))


def test_the_structure_at_the_crosshair_is_named(many: Path, visit: Callable[..., Any]) -> None:
    seen = visit(many)
    under = seen.locator(".under")
    put(seen, 1, 1, 10)
    assert under.text_content() == "At the crosshair: bone_1"
    put(seen, 5, 9, 10)
    assert under.text_content() == "At the crosshair: bone_24"
    seen.locator(".structures").get_by_label("bone_24", exact=True).uncheck()
    assert under.text_content() == "At the crosshair: bone_24 (not shown)"
    put(seen, 3, 3, 10)
    assert under.text_content() == "At the crosshair: no structure"
    put(seen, 1, 1, 10)
    seen.get_by_role("button", name="Correct outlines").click()
    seen.get_by_label("Structure", exact=True).select_option(label="bone_7")
    seen.evaluate(
        "() => { const { viewer } = document.querySelector('.viewer'), { plane } = viewer.panels[0];"
        " viewer.editor.stroke(plane, [1, 1, 10], true); }"
    )
    assert under.text_content() == "At the crosshair: bone_7"


@SCREENS
def test_the_name_stays_in_sight_over_all_planes(
    many: Path, visit: Callable[..., Any], width: int, height: int
) -> None:
    seen = visit(many, width, height)
    seen.locator("canvas").last.focus()
    place = seen.locator(".under").bounding_box()
    assert banner(seen) - 1 <= place["y"] < height - place["height"]
    assert seen.evaluate("document.activeElement.getBoundingClientRect().top") >= place["y"] + place["height"] - 1


@SCREENS
def test_viewer_and_answer_are_in_reach_of_many_structures(
    many: Path, visit: Callable[..., Any], width: int, height: int
) -> None:
    seen = visit(many, width, height)
    assert top(seen, ".viewer") < 2 * height
    for name, place in (("slices", ".viewer"), ("your answer", ".answers")):
        seen.get_by_role("link", name=name).click()
        assert banner(seen) <= top(seen, place) < 100
        seen.evaluate("scrollTo(0, 0)")
    seen.get_by_role("link", name="your answer").click()
    save = seen.get_by_role("button", name="Save review").bounding_box()
    assert save["y"] + save["height"] <= height
    assert seen.evaluate("document.documentElement.scrollWidth") <= width


@SCREENS
def test_what_has_the_focus_is_seen(tmp_path: Path, visit: Callable[..., Any], width: int, height: int) -> None:
    """Fifteen structures have no box of their own, so the bar with the button lies over some."""
    seen = visit(write_page(tmp_path / "page.html", [a_case(15)], "Fifteen"), width, height)
    assert seen.locator(".sift").count() == 0
    for value in (1, 8, 15):
        row = seen.locator(f".answers tr[data-value='{value}']")
        row.locator("input").first.focus()
        seen.keyboard.press("ArrowRight")
        focused, bar = row.locator("input:focus"), seen.locator(".actions").bounding_box()
        assert focused.get_attribute("value") == "edit"
        place = focused.bounding_box()
        assert banner(seen) <= place["y"] <= bar["y"] - place["height"]
        assert focused.evaluate("(one) => getComputedStyle(one).outlineStyle") == "solid"


def test_structures_are_found_by_name_and_note(many: Path, visit: Callable[..., Any]) -> None:
    seen = visit(many)
    card = seen.locator(".facts")
    card.get_by_label("Find structure").fill("Not found")
    assert card.locator("tbody tr:visible th").all_text_contents() == ["bone_105"]
    assert card.get_by_text("1 of 105 shown").is_visible()
    seen.emulate_media(media="print")
    assert card.locator("tbody tr:visible").count() == 105
    assert card.locator(".long").evaluate("(box) => box.scrollHeight <= box.clientHeight")


def test_some_structures_are_shown_and_hidden_together(many: Path, visit: Callable[..., Any]) -> None:
    seen = visit(many)
    viewer = seen.locator(".viewer")
    viewer.get_by_label("Find structure").fill("bone_10")
    viewer.get_by_role("button", name="None").click()
    hidden = seen.evaluate("[...document.querySelector('.viewer').viewer.hidden]")
    assert sorted(hidden) == [10, *range(100, 106)]
    viewer.get_by_label("Find structure").press("End")
    viewer.get_by_label("Find structure").press("z")
    assert viewer.get_by_label("Find structure").input_value() == "bone_10z"


def test_what_is_not_in_sight_is_not_accepted(many: Path, visit: Callable[..., Any]) -> None:
    seen = visit(many)
    form = seen.locator(".answers")
    form.get_by_label("Find structure").fill("bone_9")
    assert seen.evaluate("Boolean(document.querySelector('.answers').answers.unsaved)") is False
    seen.get_by_role("button", name="Accept those shown").click()
    assert form.locator("input:checked").count() == 11
    seen.get_by_role("button", name="Save review").click()
    assert seen.locator(".told").text_content() == "Not saved: 94 without an answer."
    assert form.locator("tr[data-value='1']").is_visible()
    seen.get_by_role("button", name="Accept the rest").click()
    assert form.locator("input:checked").count() == 105


def test_each_choice_says_what_it_is_on(many: Path, visit: Callable[..., Any]) -> None:
    seen = visit(many)
    group = seen.get_by_role("radiogroup", name="answer on bone_3", exact=True)
    assert [one.get_attribute("value") for one in group.get_by_role("radio").all()] == ["accept", "edit", "reject"]


def test_greyed_volumes_are_legible(tmp_path: Path, visit: Callable[..., Any]) -> None:
    facts = ModelFacts("m", "1", "ab" * 32, expected_ml={"bone_1": (5.0, 6.0)})
    cases = [replace(a_case(3, "reject"), facts=facts), a_case(2)]
    seen = visit(write_page(tmp_path / "page.html", cases, "Rejected"))
    seen.get_by_role("button", name="Save review").first.click()
    found = seen.evaluate(CONTRASTS)
    assert {"bone_1", "0.144", "5.00 to 6.00", "outside the training scans", "not found in this scan"} <= set(found)
    assert {text: round(ratio, 2) for text, ratio in found.items() if ratio < 4.5} == {}
    shades = "(one) => getComputedStyle(document.querySelector(one)).color"
    assert seen.evaluate(shades, "#case-1 td.number") != seen.evaluate(shades, "#case-2 td.number")


def test_without_script_each_page_says_what_is_missing(many: Path, tmp_path: Path, visit: Callable[..., Any]) -> None:
    seen = visit(many, java_script_enabled=False)
    told = seen.locator("noscript p")  # whose text Playwright looks for nowhere else
    assert told.is_visible()
    assert "the viewer of slices and the form for your answer need script" in told.text_content()
    assert not seen.locator(".jumps").is_visible()
    write_worklist(tmp_path, [Row("a", "a/review.html")], "List")
    seen = visit(tmp_path / "worklist.html", java_script_enabled=False)
    assert seen.locator("noscript p").is_visible()
    assert "sorting, filtering and showing answers need script" in seen.locator("noscript p").text_content()
    assert seen.get_by_role("link", name="a", exact=True).is_visible()


@pytest.mark.skipif(not niivue(), reason="needs NiiVue: make viewer")
@pytest.mark.parametrize("known", [True, False])
def test_the_3d_view_names_only_sides_that_are_known(tmp_path: Path, visit: Callable[..., Any], known: bool) -> None:
    """Nothing was found, so letters are all that is orange."""
    lost = () if known else (Finding("no-orientation", "warn", "Neither sform nor qform."),)
    case = a_case(1, findings=lost)
    seen = visit(write_page(tmp_path / "page.html", [case], "Sides"))
    seen.get_by_role("button", name="3D view").click()
    seen.wait_for_selector(".volume3d[data-ready=true]", timeout=60000)
    assert (orange(seen.locator(".volume3d").screenshot()) > 20) == known


@SCREENS
def test_of_a_long_list_rows_in_sight_are_laid_out_below_a_head_that_stays(
    tmp_path: Path, visit: Callable[..., Any], width: int, height: int
) -> None:
    rows = [
        Row(f"case-{i:04d}", f"case-{i:04d}/review.html", verdict="accept", p=0.5, picture="/9j/") for i in range(600)
    ]
    write_worklist(tmp_path, rows, "List")
    seen = visit(tmp_path / "worklist.html", width, height)
    for name in ("Case", "Review", "Case", "Case"):
        seen.get_by_role("button", name=re.compile(f"^{name} ")).click()
    seen.evaluate("scrollTo(0, document.body.scrollHeight / 2)")
    seen.wait_for_timeout(300)
    assert abs(top(seen, ".list thead") - banner(seen)) <= 1
    drawn = "(all) => all.filter((one) => one.checkVisibility({ contentVisibilityAuto: true })).length"
    assert 3 <= seen.locator("tbody th").evaluate_all(drawn) < 100
    assert seen.locator("tbody th").first.text_content() == "case-0599"
    assert seen.get_by_role("rowheader").count() == 600
    row = seen.locator("tbody tr").nth(300)
    row.locator("a").focus()
    for cell in (".case-cell a", ".verdict-cell", ".review-cell"):
        place = row.locator(cell).bounding_box()
        assert 0 <= place["x"] <= width - place["width"], cell
        assert seen.locator(".list thead").bounding_box()["y"] < place["y"] < height, cell
    assert seen.evaluate("document.documentElement.scrollWidth") <= width
