"""Zips of scans, unpacked for as long as they are needed; what a name or a size in one tries is refused."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from medswin.errors import InputError
from medswin.io.files import TEMPORARY
from medswin.io.header import MAX_RATIO, SMALL

MAX_FILES = 200_000
MAX_BYTES = 64 * 2**30

_CHUNK = 1 << 20
_AGAIN = "unpack it yourself and name the folder, or get it again"


@contextmanager
def unpacked(path: Path | str, within: Path | None = None) -> Iterator[Path]:
    """A folder with what is in a zip, which only this user may read and which is removed after; else the path itself.

    Whether a file is a zip is seen by its content. Hidden files in it, those that macOS adds, and zips in it are not
    looked into.

    Args:
        path: of a zip, or of anything else.
        within: where the folder is made; in the system's place for such where None.

    Raises:
        InputError: for a zip that is damaged or encrypted, of more than `MAX_FILES` or `MAX_BYTES`, or than
            `MAX_RATIO` times its own size, or than the disk has room for; for names that lead out of it or are there
            twice. The error names the zip and no name in it.
    """
    path = Path(path)
    if not is_zip(path):
        yield path
        return
    try:
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=within))
    except OSError as error:
        what = f"cannot be unpacked into {within or tempfile.gettempdir()} ({error.strerror})"
        raise InputError(what, where=path, repair="free space on its disk, or check the folder") from None
    try:
        _unpack(path, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def is_zip(path: Path) -> bool:
    """Whether a file is a zip, by its content."""
    start = b""
    with suppress(OSError):  # reading it says why
        if path.is_file():
            with path.open("rb") as file:
                start = file.read(132)
    return start[:4] in (b"PK\x03\x04", b"PK\x05\x06") and start[128:] != b"DICM"


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            rows = [row for row in archive.infolist() if not _slashed(row.filename).endswith("/")]
            _check(rows, path, folder)
            for row in rows:
                if not _added(_slashed(row.filename)):
                    _write(archive, row, folder / _slashed(row.filename))
    except (
        zipfile.BadZipFile,
        zlib.error,
        LZMAError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("the zip is damaged, or packed in an unknown way", where=path, repair=_AGAIN) from None
    except FileExistsError:
        raise InputError("two files in the zip have one name", where=path, repair=_AGAIN) from None
    except OSError as error:
        what = f"cannot be unpacked ({error.strerror or 'damaged'})"
        raise InputError(what, where=path, repair=_AGAIN) from None


def _check(rows: list[zipfile.ZipInfo], path: Path, folder: Path) -> None:
    total, size = sum(row.file_size for row in rows), max(path.stat().st_size, 1)
    free = shutil.disk_usage(folder).free
    if any(row.flag_bits & 1 for row in rows):
        raise InputError("the zip is encrypted", where=path, repair="unpack it yourself and name the folder")
    if any(_leads_out(_slashed(row.filename)) for row in rows):
        raise InputError("a name in the zip leads out of it", where=path, repair="do not use this zip")
    if len(rows) > MAX_FILES:
        what = f"the zip holds {len(rows)} files, at most {MAX_FILES} are unpacked"
        raise InputError(what, where=path, repair="unpack it yourself and name the folder")
    if total > MAX_BYTES or (total > SMALL and total > MAX_RATIO * size):
        raise InputError(
            f"the zip unpacks to {total / 2**30:.3g} GiB, {total / size:.0f} times its size; at most "
            f"{MAX_BYTES / 2**30:g} GiB and {MAX_RATIO} times are unpacked",
            where=path,
            repair="unpack it yourself and name the folder, if you trust it",
        )
    if total > free:
        raise InputError(
            f"the zip unpacks to {total / 2**30:.3g} GiB, the disk has {free / 2**30:.3g} GiB left",
            where=path,
            repair="free space on the disk, or unpack it elsewhere and name the folder",
        )


def _slashed(name: str) -> str:
    """With the separators of zips, for which old programs of Windows put their own."""
    return name.replace("\\", "/")


def _leads_out(name: str) -> bool:
    """Whether a name could lead out of a folder, on Windows too."""
    return name.startswith("/") or ".." in name.split("/") or name[1:2] == ":"


def _added(name: str) -> bool:
    """Whether a file manager put this here."""
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)


def _write(archive: zipfile.ZipFile, row: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(row) as source, target.open("xb") as out:  # reads no more than the size that was checked
        shutil.copyfileobj(source, out, _CHUNK)
