"""The report to print: two A4 pages on one case, made with reportlab, readable in grey."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any
from unicodedata import bidirectional, category
from xml.sax.saxutils import escape

from PIL import Image as Picture
from PIL import ImageOps
from reportlab.graphics.shapes import Circle, Drawing, Rect
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Image, KeepInFrame, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

from medswin.figures import BANNER, KeyImage
from medswin.figures.canvas import WHITE, Canvas, text_width
from medswin.figures.fonts import always, fonts_with, installed, letters, readable
from medswin.io.files import write_bytes
from medswin.labels import Label, LabelSet
from medswin.review.case import ReviewCase, axes_in_words, expected_text, key_images, provenance_rows
from medswin.review.edited import EDITED_HEADLINE, is_edited
from medswin.review.volumes import VolumeRow, significant, volume_rows
from medswin.review.words import numbers, verdict_words

PAGES = 2
CONVENTION = "radiological convention: the patient's left is on your right"
UNKNOWN = "left and right are unknown"
MOST_ROWS, MOST_PICTURES, MOST_FINDINGS = 24, 4, 6
_LONGEST, _LONGEST_LEGEND, _LONGEST_LINE = 60, 24, 300  # characters; more do not help anybody who reads
_MARGIN, _TOP = 15 * mm, 20 * mm
_LAMPS = {"red": "#e5484d", "amber": "#ffb224", "green": "#30a46c"}
_DRAWN_PX = 40
_PADDING = 12  # points, of the frame that reportlab puts around a page
_WIDTH, _HEIGHT = A4[0] - 2 * _MARGIN - _PADDING, A4[1] - _TOP - 18 * mm


def write_report(path: Path | str, case: ReviewCase) -> Path:
    """Write the report as PDF, whole or not at all, and give its path.

    Raises:
        InputError: if it cannot be written.
    """
    write_bytes(path, report_pdf(case))
    return Path(path)


def report_pdf(case: ReviewCase) -> bytes:
    """Two pages: verdict, volumes and the whole field; then single structures, facts and room to sign.

    The same case gives the same bytes. What does not fit is counted, and what is nearly too long is made smaller.
    """
    _fonts()
    overview, *near = map(_image, key_images(_with_short_names(case), MOST_PICTURES))
    pages = ([*_head(case), *_volumes(case), overview], [*near, *_left_out(case, len(near)), *_facts(case)])
    buffer = io.BytesIO()
    document = SimpleDocTemplate(
        buffer, pagesize=A4, title=case.prediction.case, invariant=1,
        leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_TOP, bottomMargin=15 * mm,
    )  # fmt: skip
    held = [KeepInFrame(_WIDTH, _HEIGHT, page, mode="shrink") for page in pages]

    def border(canvas: Any, drawn: Any) -> None:
        _border(canvas, case, drawn.page)

    document.build([held[0], PageBreak(), held[1]], onFirstPage=border, onLaterPages=border)
    return buffer.getvalue()


@cache
def _fonts() -> None:
    """DejaVu Sans, which has most alphabets' letters."""
    pdfmetrics.registerFont(TTFont("Sans", always()))
    pdfmetrics.registerFont(TTFont("Sans-Bold", always(bold=True)))


@cache
def _font_of(letter: str) -> str | None:
    """Name of the font to print a letter with: `Sans`, else one of the system's that goes into a PDF; None without."""
    if ord(letter) in letters(always()):
        return "Sans"
    return next(filter(None, map(_registered, fonts_with(letter))), None)


@cache
def _registered(path: Path) -> str | None:
    """Name of a font, made known to reportlab; None for one that it cannot use, as it has outlines of PostScript's."""
    name = f"System{installed().index(path)}"
    try:
        pdfmetrics.registerFont(TTFont(name, path))
    except Exception:  # reportlab says it in many ways
        return None
    return name


def _text(text: str, size: float = 8.5, *, bold: bool = False, grey: bool = False) -> Paragraph:
    """A paragraph of plain text: nothing in it is markup."""
    style = ParagraphStyle(
        "plain",
        fontName="Sans-Bold" if bold else "Sans",
        fontSize=size,
        leading=1.3 * size,
        textColor=colors.HexColor("#777777" if grey else "#000000"),
    )
    return Paragraph("".join(map(_marked, *_runs(text))), style)


def _runs(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The text in parts of one font each, and the fonts; a letter that none has is told by its number.

    A box in place of each letter would make all names of a language the same.
    """
    shown = [letter if letter.isprintable() else " " for letter in text]
    found = [(_font_of(letter), letter) for letter in shown]
    told = [(font or "Sans", letter if font else f"[U+{ord(letter):04X}]") for font, letter in found]
    parts = [(font, "".join(letter for _, letter in run)) for font, run in groupby(told, key=lambda one: one[0])]
    return tuple(part for _, part in parts), tuple(font for font, _ in parts)


def _marked(part: str, font: str) -> str:
    """A part as reportlab's markup, in which nothing of the text is."""
    return escape(part) if font == "Sans" else f'<font name="{font}">{escape(part)}</font>'


def _short(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _name(label: Label, *, grey: bool) -> Flowable:
    """A structure's name, or its number where no font has the letters, as in the pictures.

    Reportlab neither turns nor joins letters: what needs that is drawn as a picture.
    """
    name = _short(label.name)
    if not readable(name):
        return _text(f"structure {label.value}", grey=grey)
    if any(bidirectional(letter) in ("R", "AL") or category(letter) in ("Mn", "Mc") for letter in name):
        return _drawn(name)
    return _text(name, grey=grey)


def _drawn(text: str, size: float = 8.5) -> Flowable:
    canvas = Canvas(text_width(text, _DRAWN_PX), 3 * _DRAWN_PX // 2)
    canvas.text(0, 0, text, WHITE, _DRAWN_PX)
    buffer, (width, height) = io.BytesIO(), canvas.image.size
    ImageOps.invert(canvas.image).save(buffer, "PNG")
    buffer.seek(0)
    return Image(buffer, width * size / _DRAWN_PX, height * size / _DRAWN_PX, hAlign="LEFT")


def _with_short_names(case: ReviewCase) -> ReviewCase:
    """The case as pictures have room for it: a legend of endless names would leave none for the scan."""
    labels = case.prediction.label_set
    if all(len(label.name) <= _LONGEST_LEGEND for label in labels):
        return case
    short = (replace(label, name=f"{label.value} {_short(label.name, _LONGEST_LEGEND)}") for label in labels)
    return replace(case, prediction=replace(case.prediction, label_set=LabelSet(tuple(short))))


def _border(canvas: Any, case: ReviewCase, page: int) -> None:
    canvas.setFont("Sans-Bold", 9)
    canvas.drawCentredString(A4[0] / 2, A4[1] - 11 * mm, BANNER)
    canvas.line(_MARGIN, A4[1] - 14 * mm, A4[0] - _MARGIN, A4[1] - 14 * mm)
    said = canvas.beginText(_MARGIN, 9 * mm)
    for part, font in zip(
        *_runs(f"{_short(case.prediction.case)} · {CONVENTION if case.pose.known else UNKNOWN}"), strict=True
    ):
        said.setFont(font, 7.5)
        said.textOut(part)
    canvas.drawText(said)
    canvas.setFont("Sans", 7.5)
    canvas.drawRightString(A4[0] - _MARGIN, 9 * mm, f"page {page} of {PAGES}")


def _head(case: ReviewCase) -> list[Flowable]:
    ood, words = case.prediction.ood, verdict_words(case.prediction.ood.verdict)
    said: list[Flowable] = [_text(EDITED_HEADLINE, 10, bold=True)] if is_edited(case.prediction) else []
    said += [_text(words.headline, 12, bold=True), Spacer(0, 2), _text(words.meaning)]
    said += [_text(f"• {reason}") for reason in ood.reasons]
    said += [Spacer(0, 2), *(_text(text, bold=True) for text in (f"What to do: {words.advice}", *case.cautions))]
    light = Table([[_light(words.lamp), said]], colWidths=[14 * mm, _WIDTH - 14 * mm], style=_box(), hAlign="LEFT")
    rows = numbers(ood)
    told = [_rows(rows)] if rows else []
    return [_text(_short(case.prediction.case), 14, bold=True), Spacer(0, 6), light, Spacer(0, 4), *told]


def _left_out(case: ReviewCase, shown: int) -> list[Flowable]:
    found = sum(volume > 0 for volume in case.prediction.volumes_ml.values())
    if found <= shown:
        return []
    return [_text(f"Pictures of the {shown} largest of {found} structures; the page has more.", 7.5)]


def _light(lamp: str) -> Drawing:
    """Three lamps of which one is lit; which one is told by its place, too. None is, where nothing was checked."""
    drawing = Drawing(24, 62)
    body = Rect(1, 1, 22, 60, rx=6)
    body.fillColor = colors.HexColor("#20242a")
    drawing.add(body)
    for place, name in enumerate(("green", "amber", "red")):
        lit = colors.HexColor(_LAMPS[name]) if name == lamp else None
        drawing.add(Circle(12, 12 + 19 * place, 7, fillColor=lit, strokeColor=colors.HexColor("#8b929b")))
    return drawing


def _volumes(case: ReviewCase) -> list[Flowable]:
    rows, void = volume_rows(case.prediction), case.prediction.ood.verdict == "reject"
    shown = sorted(rows, key=lambda row: -row.volume_ml)[:MOST_ROWS] if len(rows) > MOST_ROWS else rows
    head = ["Structure", "Volume, ml", "Training scans, ml", "Note"]
    cells: list[list[Flowable]] = [
        [_text(name, 7.5, grey=True) for name in head],
        *(_row(case, row, void) for row in shown),
    ]
    widths = [0.34 * _WIDTH, 0.14 * _WIDTH, 0.2 * _WIDTH, 0.32 * _WIDTH]
    style = [*_tight(), ("LINEBELOW", (0, 0), (-1, -1), 0.3, colors.lightgrey)]
    table = Table(cells, colWidths=widths, style=style, hAlign="LEFT")
    said: list[Flowable] = [Spacer(0, 6), _text("Volumes", 10, bold=True), Spacer(0, 2), table]
    if len(rows) > len(shown):
        said.append(_text(f"The {len(shown)} largest of {len(rows)} structures; the page and the files tell all.", 7.5))
    if void:
        said.append(_text("The scan was rejected: do not use these volumes.", bold=True))
    return [*said, Spacer(0, 6)]


def _row(case: ReviewCase, row: VolumeRow, void: bool) -> list[Flowable]:
    notes = ["outside the training scans"] if row.label.name in case.outliers else []
    measured = "none" if row.rejected else significant(row.volume_ml)
    volume = f"({measured})" if void else measured
    note = "; ".join([*notes, *row.notes])
    known = expected_text(case, row)
    return [
        _name(row.label, grey=void),
        _text(volume, grey=void),
        _text(known, grey=True),
        _text(note, 7.5),
    ]


def _facts(case: ReviewCase) -> list[Flowable]:
    found = case.prediction.findings
    graver = [f for f in found if f.grade != "note"] + [f for f in found if f.grade == "note"]
    lines = [_short(f.message, _LONGEST_LINE) + _repair(f.repair) for f in graver[:MOST_FINDINGS]]
    if len(found) > MOST_FINDINGS:
        lines.append(f"and {len(found) - MOST_FINDINGS} more, see the page")
    size, spacing = (" x ".join(f"{n:.3g}" for n in values) for values in (case.pose.shape, case.pose.spacing_mm))
    rows = [
        ("Scan", f"{size} voxels of {spacing} mm{axes_in_words(case.pose)}. {case.pose.note}"),
        ("Window", str(case.windows[0])),
    ]
    rows += [("Shown", f"{case.channel}, in all pictures")] if case.channel else []
    rows += [("Finding", line) for line in lines or ["none noticed while reading the scan"]]
    if case.facts is not None:
        rows += [
            (key.replace("_", " ").capitalize(), text) for key, text in case.facts.about.items() if key != "recipe"
        ]
        rows += [(f"Dice, {part}", _dice(found)) for part, found in case.facts.dice.items()]
    told = provenance_rows(case.prediction.provenance)
    made = "; ".join(f"{_short(name)} {_short(value, _LONGEST_LINE)}" for name, value in told)
    rows += [("Made by", made)] if made else []
    room = [_text(f"{word}:", 8, grey=True) for word in ("Reviewer", "Date", "Signature")]
    return [
        Spacer(0, 6),
        _rows(rows),
        Spacer(0, 8),
        Table([room], colWidths=3 * [_WIDTH / 3], rowHeights=16 * mm, style=_box(), hAlign="LEFT"),
    ]


def _rows(rows: Sequence[tuple[str, str]]) -> Flowable:
    """Names and values."""
    cells = [[_text(_short(name), 7.5, grey=True), _text(value, 7.5)] for name, value in rows]
    return Table(cells, colWidths=[28 * mm, _WIDTH - 28 * mm], style=_tight(), hAlign="LEFT")


def _repair(repair: str) -> str:
    return f" What to do: {_short(repair, _LONGEST_LINE)}" if repair else ""


def _dice(found: Mapping[str, tuple[float, float, float, int]]) -> str:
    rows = [f"{_short(name)} {mean:.3f} ({low:.3f} to {high:.3f})" for name, (mean, low, high, _) in found.items()]
    return "; ".join(rows[:MOST_FINDINGS]) + (" …" if len(rows) > MOST_FINDINGS else "")


def _image(picture: KeyImage) -> Image:
    """As wide as the page, or 78 mm high: three of them and the facts fit a page."""
    buffer = io.BytesIO()
    Picture.fromarray(picture.pixels).save(buffer, "JPEG", quality=90, subsampling=0)
    height, width = picture.pixels.shape[:2]
    scale = min(_WIDTH / width, 78 * mm / height)
    buffer.seek(0)
    shown = Image(buffer, width * scale, height * scale, hAlign="LEFT")
    shown.spaceAfter = 2 * mm
    return shown


def _box() -> Sequence[tuple[Any, ...]]:
    return [("BOX", (0, 0), (-1, -1), 0.6, colors.black), ("VALIGN", (0, 0), (-1, -1), "TOP")]


def _tight() -> Sequence[tuple[Any, ...]]:
    pads = [(side, (0, 0), (-1, -1), 1.5) for side in ("TOPPADDING", "BOTTOMPADDING", "LEFTPADDING", "RIGHTPADDING")]
    return [("VALIGN", (0, 0), (-1, -1), "TOP"), *pads]
