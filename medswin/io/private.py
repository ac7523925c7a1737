"""What only the owner of a folder may read: the key of its case names, and what these names stand for."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from pathlib import Path

from medswin.errors import InputError
from medswin.io.dicom.series import Series
from medswin.io.files import read_bytes, replacing

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
    if not path.exists():
        _write(path, secrets.token_bytes(_KEY_BYTES))
    key = read_bytes(path)
    if len(key) != _KEY_BYTES:
        raise InputError("it is damaged", where=path, repair="remove it; cases then get new names, in a new run")
    return key


def keep_sources(folder: Path, series: Iterable[Series]) -> None:
    """Keep which series and files each name stands for, with mode 0600.

    Raises:
        InputError: if it cannot be written.
    """
    found = {one.id: {"series": one.slices[0].series, "files": [str(path) for path in one.files]} for one in series}
    _write(folder / SOURCES, json.dumps(found, indent=1).encode())


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_bytes(content)
