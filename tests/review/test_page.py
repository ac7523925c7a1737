"""The review page: it loads nothing, trusts nothing it is given, and says what a clinician must know."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.facts import ModelFacts
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction, Verdict
from medswin.review import ReviewCase, write_page
from medswin.review.answers import REASONS
from medswin.review.case import MOST_PICTURES, key_images, provenance_rows
from medswin.review.page import render_page
from medswin.review.pictures import QUALITIES, bytes_of, embedded, fitted

HOSTILE = """</script><script>alert(1)</script><img src=x onerror="alert(2)">'"""
BANNER = "Research use only. Not a medical device. Not for diagnosis."


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages as they are without NiiVue, whether or not this checkout has fetched it."""
    monkeypatch.setattr("medswin.review.page.niivue", list)


class Page(HTMLParser):
    """Tags, and the visible words, of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.text: dict[str, list[str]] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.inside.pop()

    def handle_data(self, data: str) -> None:
        kind = self.inside[-1] if self.inside and self.inside[-1] in ("script", "style") else "words"
        self.text.setdefault(kind, []).append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text["words"]).split())


def case(
    name: str = "case-1", verdict: Verdict = "accept", names: tuple[str, ...] = ("head", "tail"), **more: object
) -> ReviewCase:
    labels = np.zeros((12, 14, 10), dtype=np.uint8)
    labels[3:8, 4:9, 3:6] = 1
    ood = (
        OODResult(verdict) if verdict == "not checked" else OODResult(verdict, 7.31, 4.1, 0.2, 40, 0.05, ("Because.",))
    )
    prediction = Prediction(name, labels, np.eye(4), LabelSet.from_names(list(names)), ood, **more)  # type: ignore[arg-type]
    return ReviewCase(prediction, np.random.default_rng(1).normal(100, 20, labels.shape))


def test_the_page_loads_nothing() -> None:
    html = render_page([case()], "Title")
    page = Page(html)
    assert not re.search(r"https?:|@import|(?<!object)url\(", html, re.IGNORECASE)
    sources = [a[key] or "" for _, a in page.tags for key in ("src", "href", "srcset", "data", "action") if key in a]
    assert sources
    assert all(source.startswith(("data:image/jpeg;base64,", "#case-")) for source in sources)
    assert not page.all("link") + page.all("iframe") + page.all("form") + page.all("object")
    for word in (
        "fetch(",
        "XMLHttpRequest",
        "WebSocket",
        "localStorage",  # a shared reading room's browser keeps nothing of a patient
        "sessionStorage",
        "indexedDB",
        "cookie",
        "import(",
    ):
        assert word not in html


def test_the_policy_allows_our_own_script_and_style_only() -> None:
    page = Page(render_page([case()], "Title"))
    (policy,) = [
        meta["content"] or "" for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    runs = [(tag, a) for tag, a in page.tags if tag == "script" and "type" not in a]
    assert len(runs) == 1
    for kind in ("script", "style"):
        hashes = [base64.b64encode(hashlib.sha256(t.encode()).digest()).decode() for t in page.text[kind]]
        assert any(f"{kind}-src 'sha256-{digest}'" in policy for digest in hashes)


def test_no_handlers_or_inline_styles_that_the_policy_would_block() -> None:
    for _, attributes in Page(render_page([case()], "Title")).tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]


def test_hostile_text_stays_text() -> None:
    hostile = case(
        HOSTILE,
        names=(HOSTILE, "tail"),
        findings=(Finding("x", "warn", HOSTILE, HOSTILE),),
        provenance={HOSTILE: HOSTILE},
    )
    mild, wild = Page(render_page([case()], "Title")), Page(render_page([hostile], HOSTILE, note=HOSTILE))
    assert [tag for tag, _ in wild.tags if tag in ("script", "img")] == [
        tag for tag, _ in mild.tags if tag in ("script", "img")
    ]
    assert not [1 for _, attributes in wild.tags if "onerror" in attributes]
    assert wild.words.count(HOSTILE) >= 6
    (data,) = [json.loads(text) for text in wild.text["script"] if text.startswith("{")]
    assert data["structures"][0]["name"] == HOSTILE


def test_no_sign_turns_the_digits_beside_it() -> None:
    turned = case("a\u202eb", names=("head\u2067\u0007", "tail"))
    text = Page(render_page([turned], "a\u202eb")).words
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u0007]", text)
    assert "ab" in text


def test_the_stored_axes_are_told() -> None:
    assert "run towards R A S" in Page(render_page([case()], "Title")).words


def test_the_banner_is_on_top_and_in_every_picture_file() -> None:
    page = Page(render_page([case()], "Title"))
    assert page.words.split("Title", 1)[1].strip().startswith(BANNER)


@pytest.mark.parametrize(
    ("verdict", "lamp", "said"),
    [
        ("accept", "green", "Accepted: looks like the training scans"),
        ("review", "amber", "Check every outline before using a volume."),
        ("reject", "red", "Volumes are greyed because the scan was rejected. Do not use them."),
        ("not checked", "grey", "This is not a pass."),
    ],
)
def test_each_verdict_is_said_in_words_and_lamp(verdict: Verdict, lamp: str, said: str) -> None:
    page = Page(render_page([case(verdict=verdict)], "Title"))
    assert said in page.words
    assert f"traffic light: {lamp}" in [svg.get("aria-label") for svg in page.all("svg")]
    (table,) = [a["class"] or "" for a in page.all("table")]
    assert ("void" in table.split()) == (verdict == "reject")


def test_numbers_reasons_findings_and_provenance_are_shown() -> None:
    findings = (Finding("tilt", "warn", "The scan is tilted.", "check it"), Finding("scale", "note", "Scaled by 2."))
    shown = case(findings=findings, provenance={"model": "hippocampus", "settings": {"overlap": 0.5}})
    words = Page(render_page([shown], "Title", note="A note.")).words
    for text in (
        "A note.", "Score 7.31", "Limit 4.1", "p-value 0.2", "40 people kept out of training", "about 1 in 20",
        "Because.", "Warning: The scan is tilted. What to do: check it", "Note: Scaled by 2.",
        "head 0.0750", "tail 0 not found in this scan", "model hippocampus", "settings: overlap 0.5",
        "voxel spacing 1 x 1 x 1 mm", "grid 12 x 14 x 10 voxels", "the patient's left (L) is on your right",
    ):  # fmt: skip
        assert text in words


def test_sides_that_the_file_does_not_tell_are_not_claimed() -> None:
    html = render_page([case(findings=(Finding("no-orientation", "warn", "Neither sform nor qform."),))], "Title")
    page = Page(html)
    assert "sides are unknown" in page.words
    assert "patient's left" not in page.words
    assert "(right, front, up)" not in page.words
    (data,) = [json.loads(text) for text in page.text["script"] if text.startswith("{")]
    assert data["known"] is False
    assert {letter for plane in data["planes"] for letter in plane["edges"]} == {"?"}
    assert all("Axial" not in (image["alt"] or "") for image in page.all("img"))


def test_that_only_a_part_was_looked_at_is_a_finding() -> None:
    page = Page(render_page([case(region=((0, 6), (2, 9), (1, 4)))], "Title"))
    assert "Only a part of the scan was looked at, 6 x 7 x 3 of 12 x 14 x 10 mm" in page.words
    assert "Only a part" not in Page(render_page([case()], "Title")).words


def test_cases_over_one_image_share_its_bytes() -> None:
    one, two = case("left"), case("right")
    page = Page(render_page([one, two], "Title"))
    assert [a["id"] for a in page.all("section")] == ["case-1", "case-2"]
    assert len([a for a in page.all("script") if a.get("class") == "volume"]) == 1
    assert "2 cases" in page.words


def test_key_images_are_pictures_of_their_stated_size() -> None:
    images = Page(render_page([case()], "Title")).all("img")
    assert len(images) == 2
    for image in images:
        data = base64.b64decode((image["src"] or "").split(",", 1)[1])
        assert Image.open(io.BytesIO(data)).size == (int(image["width"] or 0), int(image["height"] or 0))


def test_a_page_over_its_cap_is_thinned_and_says_so() -> None:
    large = np.random.default_rng(0).normal(0, 1, (120, 120, 60))
    prediction = Prediction(
        "big", np.zeros(large.shape, np.uint8), np.eye(4), LabelSet.from_names(["a"]), OODResult("accept")
    )
    shown = ReviewCase(prediction, large)
    full, thin, none = (render_page([shown], "Title", max_mb=mb) for mb in (25, 0.7, 0.05))
    assert len(thin) < 0.7e6 < len(full) < 25e6
    assert "the viewer shows" not in Page(full).words
    assert re.search(r"the viewer shows 1 slice in \d along x", Page(thin).words)
    assert "only key images are shown" in Page(none).words
    assert len(Page(none).all("img")) == 1


def hard(structures: int = 12) -> ReviewCase:
    """Noise, of which neither pictures nor volumes get small."""
    labels = np.zeros((90, 90, 60), dtype=np.uint8)
    for value in range(1, structures + 1):
        labels[7 * value - 6 : 7 * value, 5 : 20 + 4 * value, 5:55] = value
    names = LabelSet.from_names([f"s{value}" for value in range(1, structures + 1)])
    prediction = Prediction("hard", labels, np.eye(4), names, OODResult("accept"))
    return ReviewCase(prediction, np.random.default_rng(0).normal(0, 300, labels.shape))


def test_key_images_leave_room_for_the_viewer() -> None:
    shown = hard()
    pictures = key_images(shown)
    fine = bytes_of(embedded(pictures))
    assert fine > 2e6
    html = render_page([shown], "Title", max_mb=2.5)
    page = Page(html)
    taken = sum(len(image["src"] or "") for image in page.all("img"))
    assert len(html) < 2.5e6
    assert len([a for a in page.all("script") if a.get("class") == "volume"]) == 1
    assert len(page.all("img")) > 1
    assert taken < 0.6 * fine
    ample = Page(render_page([shown], "Title", max_mb=12)).all("img")
    assert sum(len(image["src"] or "") for image in ample) >= fine


def test_pictures_get_coarser_then_fewer_and_that_of_the_whole_field_stays() -> None:
    shown = hard()
    pictures = key_images(shown)
    coarse = bytes_of(embedded(pictures, QUALITIES[1]))
    assert fitted(shown, pictures, coarse) == embedded(pictures, QUALITIES[1])
    few = fitted(shown, pictures, coarse / 4)
    assert 1 < len(few) < len(pictures)
    assert bytes_of(few) <= coarse / 4
    assert [figure["words"].split(",")[0] for figure in few][:: len(few) - 1] == ["hard: whole field", "hard: s12"]
    assert [figure["words"].split(",")[0] for figure in fitted(shown, pictures, 0)] == ["hard: whole field"]


def test_which_channel_is_shown_is_told() -> None:
    page = Page(render_page([replace(case(), channels=3)], "Title"))
    assert "Viewer and key images show channel 1 of 3." in page.words
    assert all("case-1, channel 1 of 3: " in (image["alt"] or "") for image in page.all("img"))
    assert "channel" not in Page(render_page([case()], "Title")).words


def test_folders_do_not_reach_the_page() -> None:
    rows = dict(provenance_rows({"a_b": Path("/jane doe/scan.nii.gz"), "c": {"d": r"C:\jane\x.nii"}, "e": [1, 2.5]}))
    assert rows == {"a b": "scan.nii.gz", "c: d": "x.nii", "e": "1 x 2.5"}


def test_the_page_is_written_whole_with_unix_line_ends(tmp_path: Path) -> None:
    path = write_page(tmp_path / "page.html", [case()], "Title")
    assert path.read_bytes() == render_page([case()], "Title").encode()
    assert b"\r" not in path.read_bytes()
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_page_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one case"):
        write_page(tmp_path / "page.html", [], "Title")
    assert list(tmp_path.iterdir()) == []


def test_an_image_on_another_grid_is_refused() -> None:
    with pytest.raises(InputError, match=r"case-1: the image has shape \(11, 14, 10\), the label map \(12, 14, 10\)"):
        ReviewCase(case().prediction, case().image[:-1])


def test_niivue_is_one_more_script_that_the_policy_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medswin.review.page.niivue", lambda: [Markup("var niivue = {};")])
    page = Page(render_page([case()], "Title"))
    digest = base64.b64encode(hashlib.sha256(b"var niivue = {};").digest()).decode()
    (policy,) = [a["content"] or "" for a in page.all("meta") if "http-equiv" in a]
    assert f"script-src 'sha256-{digest}' " in policy
    assert "var niivue = {};" in page.text["script"]


def facts(**expected: tuple[float, float]) -> ModelFacts:
    dice = {"test": {"head": (0.9, 0.85, 0.94, 15)}}
    return ModelFacts("finder", "2.0", "ab" * 32, "CC0", {"limits": "adults only"}, dice, expected)


def test_the_model_is_described_and_volumes_are_held_against_its_training_scans() -> None:
    """The head has 75 voxels of 1 mm3, 0.075 ml; nothing is said of the tail, which was not found."""
    shown = replace(case(), facts=facts(head=(0.09, 0.12), tail=(1.0, 2.0)))
    words = Page(render_page([shown], "Title")).words
    assert "head 0.0750 0.0900 to 0.120 outside the training scans" in words
    assert "tail 0 1.00 to 2.00 not found in this scan" in words
    assert f"finder 2.0, package {'ab' * 32}" in words
    assert "Limits adults only" in words
    assert "Dice, test head 0.900 (0.850 to 0.940, 15 scans)" in words
    inside = replace(case(), facts=facts(head=(0.07, 0.12)))
    words = Page(render_page([inside], "Title")).words
    assert "outside the training scans" not in words
    assert "tail 0 not known" in words


def test_there_is_an_answer_to_give_where_there_is_a_file_to_answer_on() -> None:
    assert not Page(render_page([case()], "Title")).all("textarea")
    page = Page(render_page([replace(case(), labels_sha256="ef" * 32)], "Title"))
    assert [a["value"] for a in page.all("input") if a.get("type") == "radio"] == ["accept", "edit", "reject"] * 2
    assert [a["value"] for a in page.all("option")] == [*REASONS] * 2
    (told,) = [json.loads(text) for text in page.text["script"] if '"review_version"' in text and text.startswith("{")]
    assert told["labels_sha256"] == "ef" * 32
    assert told["structures"] == [{"value": 1, "name": "head"}, {"value": 2, "name": "tail"}]


def test_of_many_structures_the_largest_have_pictures() -> None:
    labels = np.zeros((30, 12, 12), dtype=np.uint8)
    for value in range(1, 16):
        labels[2 * value - 2, : 1 + value // 2, 3:6] = value
    names = LabelSet.from_names([f"s{value}" for value in range(1, 16)])
    prediction = Prediction("many", labels, np.eye(4), names, OODResult("accept"))
    page = Page(render_page([ReviewCase(prediction, np.random.default_rng(0).random(labels.shape))], "Title"))
    assert len(page.all("img")) == MOST_PICTURES
    assert "the largest structures, each where it is largest (3 smaller ones are not shown)" in page.words
    assert not [a["alt"] for a in page.all("img") if " s1," in (a["alt"] or "")]
