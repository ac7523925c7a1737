"""Names of earlier runs that stand for nothing any more: the series behind them grew, shrank or was mended since."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from medswin.io.files import writing
from medswin.io.private import PRIVATE, private_folder

FOLDER = PRIVATE / "superseded"
REVIEW = "review"
"""Folder of the packets in one of results."""

SUPERSEDED = "superseded by "
_NAMES = re.compile(r"(?:series|slices?|files)-([0-9a-f]{12})(?:-\d+)?")
_SHOWN = 3


def superseded(
    known: Iterable[str], before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Each name that the same series or files go by no more, and what they are called now.

    A series is named by a keyed hash of its UID; the parts of one that holds several volumes are numbered, a slice
    alone is named as such. One without a UID is named by its first file, and a folder with damaged files by its path:
    these are told by their files. A name whose files all lie elsewhere, as they did, stands.

    Args:
        known: names that earlier runs gave.
        before: where those came from, see `medswin.io.private.read_origins`.
        now: the same of all that this run found.
    """
    by_hash: dict[str, list[str]] = {}
    by_file: dict[str, list[str]] = {}
    for name, origin in now.items():
        found = _NAMES.fullmatch(name)
        if found is None:
            continue
        by_hash.setdefault(found[1], []).append(name)
        for file in {part for path in _files(origin) for part in (path, str(Path(path).parent))}:
            by_file.setdefault(file, []).append(name)
    reasons = {}
    for name in known:
        found = _NAMES.fullmatch(name)
        if found is None or name in now:
            continue
        files = _files(before.get(name, {}))
        if files and not any(file in by_file for file in files) and all(map(os.path.exists, files)):
            continue  # this run looked elsewhere
        by_files = (other for file in files for other in by_file.get(file, []))
        others = sorted(set(by_hash.get(found[1], []) or by_files))
        if others:
            reasons[name] = f"{SUPERSEDED}{_few(others)}: its files are others than they were, or more"
    return reasons


def results(folder: Path) -> set[str]:
    """Names of the cases of which anything lies in a folder of results."""
    files = [path.name for ending in (".json", ".nii.gz") for path in folder.glob(f"[!.]*{ending}")]
    return {name.removesuffix(".json").removesuffix(".nii.gz") for name in files}


def set_aside(folder: Path, case: str) -> list[str]:
    """Move what there is of a case into ``.private/superseded``, where nothing looks; gives the moved files' names.

    It replaces what was set aside before, but for review packets, in which people may have saved their answers. The
    case file goes last: after a kill in between it tells the next run.

    Raises:
        InputError: if something cannot be moved; it stays then.
    """
    moved, packet = [], folder / REVIEW / case
    if (packet / "review.html").is_file():
        with writing(packet):
            private_folder(folder)
            place = folder / FOLDER / REVIEW
            place.mkdir(parents=True, exist_ok=True)
            free = (place / f"{case}.{number}" for number in count(1))
            shutil.move(packet, next(path for path in free if not path.exists()))
        moved.append(f"{REVIEW}/{case}")
    for file in (folder / f"{case}{ending}" for ending in (".nii.gz", ".json")):
        if file.is_file():
            with writing(file):
                (private_folder(folder) / FOLDER.name).mkdir(exist_ok=True)
                shutil.move(file, folder / FOLDER / file.name)  # maybe to another disk
            moved.append(file.name)
    return moved


def _files(origin: Mapping[str, Any]) -> list[str]:
    files = origin.get("files", [])
    return [file for file in files if isinstance(file, str)] if isinstance(files, list) else []


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
