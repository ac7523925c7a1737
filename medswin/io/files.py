"""Files that are written whole or not at all, and JSON that is read with one clear line where it is damaged."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np

from medswin.errors import InputError

TEMPORARY = ".tmp-"
"""What the names of unfinished files and folders begin with; nothing in medswin reads those."""


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Give a temporary path in the folder of ``path``; when the block ends well, that file becomes ``path``.

    The name keeps its suffixes, so that writers which go by them pick the right format. The file is flushed to the
    disk before it is renamed, so a kill or a power cut leaves the old file or the new one. When the block raises, the
    temporary file is removed and ``path`` is as it was. Folders on the way are made.

    Raises:
        InputError: if the disk is full, the place cannot be written to, or a folder has that name.
    """
    target = Path(path)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _beside(target)
        try:
            yield temporary
            _sync(temporary)
            temporary.replace(target)
            _sync(target.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path | str) -> Iterator[Path]:
    """Give a new empty folder beside ``path``; when the block ends well, that folder becomes ``path``.

    Folders on the way are made. A folder that was there is moved aside first and removed last: a kill in between may
    leave none of that name, but never half of one.

    Raises:
        InputError: if the disk is full, the place cannot be written to, or a file has that name.
    """
    target = Path(path)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        temporary, old = _beside(target), _beside(target)
        temporary.mkdir()
        try:
            yield temporary
            for part in [*temporary.rglob("*"), temporary]:
                _sync(part)
            _swap(temporary, target, old)
            _sync(target.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def remove(path: Path | str) -> None:
    """Remove a file, if it is there; see `replacing` for the errors."""
    with writing(Path(path)):
        Path(path).unlink(missing_ok=True)


def remove_unfinished(folder: Path | str) -> None:
    """Remove what a run that was killed left half written directly in a folder; nobody else may be writing there."""
    for path in Path(folder).glob(f"{TEMPORARY}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            remove(path)


def output_folder(path: Path | str) -> Path:
    """Make a folder for results where there is none, and see that files can be written in it, before work begins.

    Raises:
        InputError: if no folder can be made here, or no file can be written in it.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = _beside(folder / "probe")
        try:
            probe.write_bytes(b"\n")  # one byte: a full disk still makes empty files
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"no results can be written here ({'it is a file' if folder.is_file() else error.strerror or error})",
            where=folder,
            repair="choose another folder for the results, or free space on its disk",
        ) from error
    return folder


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, whole or not at all; see `replacing`."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write bytes, whole or not at all; see `replacing`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path | str, values: Any) -> None:
    """Write JSON, whole or not at all; see `to_json` and `replacing`."""
    write_text(path, to_json(values, where=path))


def to_json(values: Any, where: object = None) -> str:
    """Indented JSON with a final newline. Tuples become lists, NumPy scalars and arrays numbers and lists.

    Raises:
        InputError: for NaN and infinity, which JSON does not have, and for what is neither text, number nor container.
    """
    try:
        return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False, default=_plain) + "\n"
    except (TypeError, ValueError) as error:
        raise InputError(
            f"cannot be put into JSON ({error})", where=where, repair="use text, finite numbers, lists, dicts and null"
        ) from error


def read_json(path: Path | str) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        InputError: if the file is missing, is not JSON, or holds something other than an object.
    """
    return parse_json(read_bytes(path), path)


def parse_json(content: bytes, where: object) -> dict[str, Any]:
    """The object in JSON text as UTF-8; ``where`` names it in errors, which are those of `read_json`."""
    try:
        values = json.loads(content.decode("utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"is not JSON ({error})", where=where, repair="restore the file, or write it again") from error
    if not isinstance(values, dict):
        raise InputError(
            f"holds a JSON {type(values).__name__}, an object is needed", where=where, repair="put it in {...}"
        )
    return values


def read_bytes(path: Path | str) -> bytes:
    """The content of a file.

    Raises:
        InputError: if it is missing or cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError("no such file", where=path, repair="check the path") from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, repair="check the path") from error


def sha256(content: bytes) -> str:
    """SHA-256 of bytes as 64 lower-case hex digits."""
    return hashlib.sha256(content).hexdigest()


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Within it, what the system says against writing is one `InputError` that names the target and the repair."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror or error})",
            where=target,
            repair="free space on the disk, or choose a folder that can be written to",
        ) from error


def _beside(target: Path) -> Path:
    return target.with_name(f"{TEMPORARY}{uuid.uuid4().hex[:8]}-{target.name}")


def _swap(new: Path, target: Path, old: Path) -> None:
    """Rename ``new`` to ``target``, and what was there to ``old``; on failure what was there is put back."""
    there = target.exists()
    if there:
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if there:
            old.rename(target)
        raise


def _sync(path: Path) -> None:
    """Flush to the disk; a folder as far as the system can (Windows and some network disks cannot)."""
    with suppress(OSError) if path.is_dir() else nullcontext():
        handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON number")
