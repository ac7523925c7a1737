"""The report: two pages, whatever is in it, and the same bytes again."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medswin.figures import fonts
from medswin.findings import Finding
from medswin.io.facts import ModelFacts
from medswin.labels import Label, LabelSet
from medswin.prediction import OODResult, Prediction, Verdict
from medswin.review import ReviewCase, report
from medswin.review.report import _with_short_names, report_pdf, write_report

needs_poppler = pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="needs pdftotext: apt-get install poppler-utils"
)
HOSTILE = "<b>bold</b> <img src='/etc/passwd'/> & \x00\x1b[31m " + "long" * 80


def case(names: list[str], verdict: Verdict = "accept", **more: object) -> ReviewCase:
    labels = np.zeros((2 * len(names) + 4, 12, 10), dtype=np.uint8)
    for value in range(1, len(names) + 1):
        labels[2 * value, 2 : 3 + value % 9, 3:6] = value
    known = verdict != "not checked"
    ood = OODResult(verdict, 7.31, 4.1, 0.2, 40, 0.05, ("Because.",)) if known else OODResult(verdict)
    made = Prediction("case-1", labels, np.eye(4), LabelSet.from_names(names), ood, **more)  # type: ignore[arg-type]
    return ReviewCase(made, np.random.default_rng(0).normal(100, 20, labels.shape))


def words(pdf: bytes, folder: Path) -> list[str]:
    """The text of each page."""
    (folder / "report.pdf").write_bytes(pdf)
    told = subprocess.run(
        ["pdftotext", "-layout", folder / "report.pdf", "-"], capture_output=True, check=True, text=True
    )
    return [" ".join(page.split()) for page in told.stdout.split("\f") if page.strip()]


@pytest.mark.parametrize("count", [1, 3, 105])
def test_there_are_two_pages_and_the_same_ones_again(count: int) -> None:
    shown = case([f"structure {i}" for i in range(count)])
    pdf = report_pdf(shown)
    assert len(re.findall(rb"/Type /Page\b", pdf)) == 2
    assert report_pdf(shown) == pdf


@needs_poppler
def test_what_a_reader_must_know_is_said(tmp_path: Path) -> None:
    """The head has 2 x 3 voxels of 1 mm3, 0.006 ml, below all training scans."""
    facts = ModelFacts("finder", "2.0", "ab" * 32, "", {"limits": "adults only"}, {}, {"head": (0.01, 0.02)})
    findings = (Finding("tilt", "warn", "The scan is tilted.", "check it"),)
    first, second = words(report_pdf(replace(case(["head", "tail"], findings=findings), facts=facts)), tmp_path)
    for text in (
        "Accepted: looks like the training scans",
        "Because.",
        "What to do: Look",
        "Score 7.31",
        "page 1 of 2",
    ):
        assert text in first
    assert "head 0.00600 0.0100 to 0.0200 outside the training scans" in first
    assert "The scan is tilted. What to do: check it" in second
    assert "Limits adults only" in second
    assert "Signature" in second
    assert all(
        page.startswith("Research use only. Not a medical device. Not for diagnosis.") for page in (first, second)
    )


@needs_poppler
def test_no_side_is_claimed_that_the_file_does_not_tell(tmp_path: Path) -> None:
    lost = (Finding("no-orientation", "warn", "Neither sform nor qform."),)
    pages = words(report_pdf(case(["head"], findings=lost)), tmp_path)
    assert "The file does not say which way the patient lies: left and right are unknown." in pages[0]
    assert all("case-1 · left and right are unknown" in page for page in pages)
    assert not any("radiological convention" in page or "(right, front, up)" in page for page in pages)
    assert all("radiological convention" in page for page in words(report_pdf(case(["head"])), tmp_path))


@needs_poppler
def test_it_is_said_that_only_a_part_was_looked_at(tmp_path: Path) -> None:
    first, _ = words(report_pdf(case(["head"], region=((1, 5), (0, 12), (2, 9)))), tmp_path)
    assert "Only a part of the scan was looked at, 4 x 12 x 7 of 6 x 12 x 10 mm: nothing outside of it is" in first


@needs_poppler
def test_which_channel_is_shown_is_told(tmp_path: Path) -> None:
    _, second = words(report_pdf(replace(case(["head"]), channels=4)), tmp_path)
    assert "Shown channel 1 of 4, in all pictures" in second


@needs_poppler
@pytest.mark.parametrize(
    ("verdict", "said"),
    [
        ("reject", "The scan was rejected: do not use these volumes."),
        ("not checked", "This is not a pass."),
        ("review", "Check every outline before using a volume."),
    ],
)
def test_each_verdict_is_said(tmp_path: Path, verdict: Verdict, said: str) -> None:
    assert said in words(report_pdf(case(["head"], verdict)), tmp_path)[0]


@needs_poppler
def test_hostile_text_stays_text_and_two_pages_are_enough(tmp_path: Path) -> None:
    findings = tuple(Finding("x", "warn", HOSTILE, HOSTILE) for _ in range(9))
    shown = case(
        [HOSTILE, "ختم", *(f"{i} {HOSTILE}" for i in range(40))], findings=findings, provenance={HOSTILE: HOSTILE}
    )
    pages = words(report_pdf(shown), tmp_path)
    assert len(pages) == 2
    assert "<b>bold</b>" in pages[0]
    assert "<b>bold</b> <img src='/etc/passwd'/> &" in pages[1]
    assert "The 24 largest of 42 structures" in pages[0]
    assert "and 3 more, see the page" in pages[1]
    assert "Pictures of the 3 largest of 42 structures" in pages[1]


@needs_poppler
def test_names_that_no_font_has_are_told_by_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The liver and the heart in Chinese would be two boxes each; Greek and Cyrillic are in the font."""
    for found in (fonts.font_of, report._font_of):
        found.cache_clear()
    monkeypatch.setattr(fonts, "installed", tuple)
    finding = Finding("x", "warn", "肝臟")
    first, second = words(report_pdf(case(["肝臟", "心臟", "ήπαρ", "печень"], findings=(finding,))), tmp_path)
    for found in (fonts.font_of, report._font_of):
        found.cache_clear()
    assert "structure 1 0.00600" in first
    assert "structure 2 0.00900" in first
    assert "ήπαρ" in first
    assert "печень" in first
    assert "[U+809D][U+81DF]" in second
    assert "Pictures of the 3 largest of 4 structures" in second


@needs_poppler
def test_a_font_of_the_system_is_taken_where_it_has_the_letters(tmp_path: Path) -> None:
    if report._font_of("肝") is None:
        pytest.skip("needs a font with Chinese letters: apt-get install fonts-droid-fallback")
    first, second = words(report_pdf(case(["肝臟", "a"], findings=(Finding("x", "warn", "<b> 肝 & b"),))), tmp_path)
    assert "肝臟 0.00600" in first
    assert "<b> 肝 & b" in second


def test_names_that_run_from_right_to_left_are_drawn() -> None:
    left, right, joined = (report._name(Label(1, name, (0, 0, 0)), grey=False) for name in ("liver", "كبد", "का"))
    assert isinstance(left, report.Paragraph)
    assert isinstance(right, report.Image)
    assert isinstance(joined, report.Paragraph | report.Image)  # its number, where no font has it


def test_endless_names_leave_room_for_the_scan() -> None:
    """The picture's legend would be 40 lines of names, under a scan one line high."""
    named, endless = case([f"{i}" for i in range(40)]), case([f"{i} {'long' * 60}" for i in range(40)])
    short = _with_short_names(endless).prediction.label_set.names
    assert short[9] == "10 9 longlonglonglonglongl…"
    assert len(set(short)) == 40
    assert _with_short_names(named) is named


def test_it_is_written_whole(tmp_path: Path) -> None:
    path = write_report(tmp_path / "report.pdf", case(["head"]))
    assert path.read_bytes() == report_pdf(case(["head"]))
    assert [file.name for file in tmp_path.iterdir()] == ["report.pdf"]
