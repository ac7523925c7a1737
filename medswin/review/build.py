"""Packets for people who decide: a page and a report for each case, and the list of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medswin.errors import InputError, explain, without_folder
from medswin.io.cases import described_case, read_case
from medswin.io.facts import read_facts
from medswin.io.files import output_folder
from medswin.io.manifest import Manifest
from medswin.io.reopen import reopened
from medswin.io.sources import SeriesSource
from medswin.review.case import ReviewCase
from medswin.review.page import write_page
from medswin.review.report import write_report
from medswin.review.state import state_of
from medswin.review.thumbnail import thumbnail
from medswin.review.worklist import PAGE, Row, write_worklist

REVIEW, REPORT = "review.html", "report.pdf"

Progress = Callable[[Sequence[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Built:
    """What was built.

    Attributes:
        worklist: the page of all cases; None where a single case was asked for.
        done: names of the cases whose packet was built.
        failed: one line on each other case, and how to mend that.
    """

    worklist: Path | None
    done: tuple[str, ...]
    failed: tuple[str, ...]


def build(predictions: Path | str, out: Path | str, source: Path | None = None, progress: Progress = iter) -> Built:
    """Build a packet for each case of a folder that ``medswin predict`` wrote, and the worklist over all.

    ``OUT/<case>/review.html`` and ``report.pdf``; ``OUT/worklist.html`` and ``worklist.csv``. What a reviewer saved in
    these folders stays there, and the list shows it. A case that fails is reported and the others are done: the list
    tells what is known of it, and links to the packet of an earlier run that shows the same label map.

    Args:
        predictions: the folder, or the JSON file of one case in it, whose packet alone is built: the list stays as it
            is.
        out: for the packets; made where missing.
        source: where the scans lie, if not where they were when they were segmented: a folder, file or zip.
        progress: wraps the list of cases, for a progress bar.

    Raises:
        InputError: if there is no case, or nothing can be written to ``out``.
    """
    predictions = Path(predictions)
    folder = predictions.parent if predictions.is_file() else predictions
    files = [predictions] if predictions.is_file() else sorted(folder.glob("[!.]*.json"))
    cases = {path: values for path in files if (values := described_case(path)) is not None}
    if not cases:
        raise InputError(
            "no case that medswin predict wrote", where=predictions, repair="name the folder that predict wrote to"
        )
    out = output_folder(out)
    listed = predictions.is_dir()
    rows = [_packet(path, cases[path], out, source, listed) for path in progress(list(cases))]
    page = None
    if listed:
        page, _ = write_worklist(out, [*rows, *_untold(folder, {path.stem for path in cases})], "Worklist")
    done, failed = ([row for row in rows if bool(row.reason) is wrong] for wrong in (False, True))
    return Built(page, tuple(row.case for row in done), tuple(row.reason for row in failed))


def open_case(path: Path, described: dict[str, Any], source: Path | None = None) -> ReviewCase:
    """A case and its scan, as pages and reports need them.

    Args:
        path: of the case's JSON file.
        described: what it says.
        source: see `build`.

    Raises:
        InputError: if a file of the case is damaged, or its scan is not found.
    """
    prediction = read_case(path)
    with reopened(path.parent, described, source) as found:
        scan = found.read()
        modality = found.series[0].modality if isinstance(found, SeriesSource) else ""
    facts = read_facts(path.parent, str(prediction.provenance.get("package", "")))
    return ReviewCase(
        prediction,
        scan.image[0].numpy(),
        modality=modality or (facts.modality if facts else ""),
        facts=facts,
        labels_sha256=described["labels_sha256"],
        channels=len(scan.image),
    )


def _packet(path: Path, described: dict[str, Any], out: Path, source: Path | None, listed: bool) -> Row:
    """Write the packet of one case; its row tells why where that fails."""
    case, place = path.stem, out / path.stem
    try:
        shown = open_case(path, described, source)
        write_report(output_folder(place) / REPORT, shown)
        links = [(f"../{PAGE}", "Worklist")] if listed or (out / PAGE).exists() else []
        links.append((REPORT, "Report to print (PDF)"))
        write_page(place / REVIEW, [shown], case, links=links)
        row = Row.of(shown.prediction, shown.facts, shown.labels_sha256)
        return replace(row, page=f"{case}/{REVIEW}", review=_state(place, row), picture=thumbnail(shown))
    except Exception as error:  # whatever is wrong with one case, the others are done
        reason = without_folder(explain(error, Path(case)), getattr(error, "where", None) or "")
        return _known(path, described, place, reason)


def _known(path: Path, described: dict[str, Any], place: Path, reason: str) -> Row:
    """What can be said of a case whose packet cannot be built, as when its scan was moved."""
    try:
        prediction, page = read_case(path), place / REVIEW
        facts = read_facts(path.parent, str(prediction.provenance.get("package", "")))
        row = Row.of(prediction, facts, described["labels_sha256"])
        there = page.is_file() and row.labels_sha256 in page.read_text(encoding="utf-8")
        return replace(row, reason=reason, page=f"{row.case}/{REVIEW}" if there else "", review=_state(place, row))
    except Exception:  # nothing can
        return Row(path.stem, reason=reason)


def _state(place: Path, row: Row) -> str:
    return state_of(place, row.case, row.labels_sha256)


def _untold(folder: Path, known: set[str]) -> list[Row]:
    """Cases that were not segmented: they need eyes too."""
    entries = Manifest(folder).last.values()
    return [Row(one.case, reason=one.reason) for one in entries if one.state == "failed" and one.case not in known]
