"""Cases as files for other systems: archives, planning systems and viewers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medswin.errors import InputError, MedswinError
from medswin.io.cases import described_case
from medswin.io.files import output_folder
from medswin.io.reopen import reopened
from medswin.io.sources import Source
from medswin.review.formats import FORMATS
from medswin.review.job import Job, Options

Progress = Callable[[Sequence[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Exported:
    """What became of a case.

    Attributes:
        case: its name.
        files: that were written.
        notes: what a reader has to know of them, a sentence each.
        failed: one line for each reason why formats could not be written, and how to mend that.
        rejected: whether files were written of a scan that the model rejects.
    """

    case: str
    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    rejected: bool = False


def export(
    inputs: Path | str,
    out: Path | str,
    formats: Iterable[str],
    options: Options | None = None,
    source: Path | None = None,
    progress: Progress = iter,
) -> tuple[Exported, ...]:
    """Export a case, or all of a folder that ``medswin predict`` wrote; what fails is told and the rest is done.

    Files are named ``<case>_<format>.dcm``; what was there of that name is replaced, by objects with new identifiers.

    Args:
        inputs: a case's JSON file, or the folder.
        out: folder for the files, made where missing.
        formats: of `FORMATS`.
        options: see `Options`.
        source: where the scans lie, if not where they were when they were segmented: a folder, file or zip.
        progress: wraps the list of cases, for a progress bar.

    Raises:
        InputError: for a format that there is not, if there is no case, for an edited label map with several cases, or
            if nothing can be written to ``out``.
    """
    wanted, options = _chosen(formats), options or Options()
    cases = _cases(Path(inputs))
    if options.edited is not None and len(cases) > 1:
        raise InputError(
            f"one edited label map is given for {len(cases)} cases", where=options.edited, repair="name its <case>.json"
        )
    folder = output_folder(out)
    return tuple(_one(path, cases[path], folder, wanted, options, source) for path in progress(list(cases)))


def _chosen(formats: Iterable[str]) -> list[str]:
    """The formats in the order in which they are written."""
    asked = set(formats)
    unknown = sorted(asked - set(FORMATS))
    if unknown or not asked:
        what = f"no format is named {', '.join(map(repr, unknown))}" if unknown else "no format is named"
        raise InputError(what, where="-f", repair=f"use one or more of: {', '.join(FORMATS)}")
    return [name for name in FORMATS if name in asked]


def _cases(inputs: Path) -> dict[Path, dict[str, Any]]:
    if not inputs.exists():
        raise InputError("no such file or folder", where=inputs, repair="check the path")
    files = sorted(inputs.glob("[!.]*.json")) if inputs.is_dir() else [inputs]
    found = {path: values for path in files if (values := described_case(path)) is not None}
    if not found:
        raise InputError(
            "no case that medswin predict wrote", where=inputs, repair="name the folder that predict wrote to"
        )
    return found


def _one(
    path: Path, described: dict[str, Any], out: Path, formats: Sequence[str], options: Options, source: Path | None
) -> Exported:
    written: list[Path] = []
    why: dict[str, list[str]] = {}
    with ExitStack() as opened:

        def open_source() -> Source:
            return opened.enter_context(reopened(path.parent, described, source))

        job = Job(path, described, out, options, open_source)
        for name in formats:
            try:
                written += FORMATS[name](job)
            except Exception as error:  # whatever is wrong with one format, the others are written
                why.setdefault(_told(error, path.stem), []).append(name)
    failed = [f"{path.stem}: not exported as {', '.join(names)}: {reason}" for reason, names in why.items()]
    rejected = bool(written) and job.original.ood.verdict == "reject"
    return Exported(path.stem, tuple(written), tuple(job.notes), tuple(failed), rejected)


def _told(error: Exception, case: str) -> str:
    """What went wrong; of what others than medswin say, which may quote a scan, the kind alone."""
    if isinstance(error, MedswinError):
        return str(error).removeprefix(f"{case}: ")
    why = error.strerror if isinstance(error, OSError) and error.strerror else f"unexpected {type(error).__name__}"
    return f"{why}. Repair: add --debug to see where, on a screen that only you see, and report it"
