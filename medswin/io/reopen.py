"""The scan that a case was made of, found again for pages and exports."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

from medswin.errors import InputError
from medswin.io.dicom import Series, find_series
from medswin.io.dicom.zipped import is_zip
from medswin.io.private import PRIVATE, SOURCES, naming_key, read_origins
from medswin.io.sources import ImageSource, Reading, SeriesSource, Source, unzipped

_READINGS = [Reading(suv, tilt) for suv in (False, True) for tilt in (False, True)]
_MOVED = "name the folder or zip in which its files lie now with --source"


@contextmanager
def reopened(folder: Path | str, described: Mapping[str, Any], source: Path | None = None) -> Iterator[Source]:
    """The source of a case, whose files are there as long as the block runs, and are those that were segmented.

    Args:
        folder: of the results; ``.private/sources.json`` in it tells where the files lie.
        described: what the case's JSON file says (`medswin.io.cases.described_case`).
        source: a file, folder or zip to look in instead.

    Raises:
        InputError: if ``folder`` does not tell where the files lie, they are gone, or they are others than those that
            were segmented.
    """
    folder, case = Path(folder), str(described["case"])
    try:
        origin = read_origins(folder)[case]
        files, uids = [Path(file) for file in origin["files"]], origin.get("series")
    except (InputError, KeyError, TypeError) as error:
        raise InputError(
            f"{SOURCES} does not tell which scan this was", where=folder / f"{case}.json", repair="run predict again"
        ) from error
    root = source or _root(files)
    if not root.exists():
        raise InputError("its scan is not where it was", where=case, repair=_MOVED)
    with unzipped(root, folder / PRIVATE) as opened:
        wanted = described["provenance"].get("input_sha256")
        tried = _series(case, opened, uids, folder) if uids else _images(case, opened, files, root)
        for one in tried:
            if wanted is None or one.digest() == wanted:
                yield one
                return
    raise InputError("none of the files there is the scan that was segmented", where=case, repair=_MOVED)


def _root(files: Sequence[Path]) -> Path:
    """The zip that the files lie in, or their closest common folder."""
    for parent in files[0].parents:
        if parent.is_file() and is_zip(parent):
            return parent
    return Path(os.path.commonpath([file.parent for file in files]))


def _images(case: str, opened: Path, files: Sequence[Path], root: Path) -> Iterator[Source]:
    names = tuple(f"channel {i}" for i in range(len(files)))
    if opened.is_file():
        candidates = [[opened] for _ in files]
    elif all(file.is_relative_to(root) for file in files) and opened == root:
        candidates = [[file] for file in files]
    else:
        candidates = [sorted(opened.rglob(file.name)) for file in files]
    for chosen in product(*candidates):
        if all(file.is_file() for file in chosen):
            yield ImageSource(case, str(chosen[0]), chosen, channels=names)


def _series(case: str, opened: Path, uids: Sequence[str], folder: Path) -> Iterator[Source]:
    """Each way to take one series a channel, and to read them: several volumes may share a UID, or have none."""
    series = find_series(opened, naming_key(folder)).series
    candidates = [[one for one in series if _may_be(one, uid)] for uid in uids]
    names = tuple(f"channel {i}" for i in range(len(uids)))
    for reading, chosen in product(_READINGS, product(*candidates)):
        files = tuple(dict.fromkeys(path for one in chosen for path in one.files))
        yield SeriesSource(case, case, files, series=chosen, channels=names, reading=reading)


def _may_be(series: Series, uid: str) -> bool:
    first = series.slices[0]
    return first.series == uid or not first.has_uid
