"""What only the owner of a folder may read: the key of its case names, and what these names stand for."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from typing import Any

from medswin.errors import InputError
from medswin.io.dicom.series import Series
from medswin.io.files import read_bytes, read_json, replacing, writing

PRIVATE = Path(".private")
SOURCES = PRIVATE / "sources.json"
_KEY_BYTES = 32


def naming_key(folder: Path) -> bytes:
    """The secret by which the DICOM series of a folder are named, made once and kept in it with mode 0600.

    Whoever has it can tell which identifier a name stands for.

    Raises:
        InputError: if it cannot be written, or what is kept is no such key.
    """
    path = folder / PRIVATE / "key"
    private_folder(folder)
    if not path.exists():
        _write(path, secrets.token_bytes(_KEY_BYTES))
    key = read_bytes(path)
    if len(key) != _KEY_BYTES:
        raise InputError("it is damaged", where=path, repair="remove it; cases then get new names, in a new run")
    return key


def private_folder(folder: Path) -> Path:
    """The hidden part of a folder, made where missing, with mode 0700; one of ours that is open to others is closed.

    Raises:
        InputError: if it cannot be made.
    """
    path = folder / PRIVATE
    with writing(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = path.lstat()  # a link is left as it is
        ours = not hasattr(os, "getuid") or about.st_uid == os.getuid()  # Windows has none
        if S_ISDIR(about.st_mode) and about.st_mode & 0o077 and ours:
            with suppress(OSError):  # a disk that knows no modes, or that cannot be written to
                path.chmod(0o700)
    return path


def keep_sources(folder: Path, series: Iterable[Series]) -> None:
    """Keep which series and files each name stands for, beside those of earlier runs, with mode 0600.

    Raises:
        InputError: if it cannot be written.
    """
    keep_origins(folder, {one.id: origin([one]) for one in series})


def origin(series: Sequence[Series]) -> dict[str, list[str]]:
    """Files and identifiers of series, as they are kept."""
    files = [str(path.absolute()) for one in series for path in one.files]
    return {"files": files, "series": [one.slices[0].series for one in series]}


def keep_origins(folder: Path, origins: Mapping[str, Mapping[str, object]]) -> Mapping[str, Mapping[str, Any]]:
    """Keep where each case came from, beside what earlier runs kept, with mode 0600; gives what they kept.

    Raises:
        InputError: if it cannot be written.
    """
    path = private_folder(folder) / SOURCES.name
    before: Mapping[str, Any] = {}
    if path.exists():
        try:
            before = read_json(path)
        except InputError:  # it may be mended by hand
            path.replace(path.with_name(f"{path.name}.damaged"))
    _write(path, json.dumps({**before, **origins}, indent=1).encode())
    return {name: row for name, row in before.items() if isinstance(row, dict)}


def read_origins(folder: Path) -> dict[str, dict[str, Any]]:
    """What `keep_origins` kept: case -> ``files`` and, for DICOM, ``series``.

    Raises:
        InputError: if there is none, or it is damaged.
    """
    return read_json(folder / SOURCES)


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(content)
