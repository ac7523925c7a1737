"""The files of a small folder or zip, read into memory: nothing is unpacked, so no name in a zip can lead astray."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from medswin.errors import PackageError

MAX_BYTES = 4 * 2**30
_AGAIN = "get the package again"
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


def read_folder(path: Path) -> dict[str, bytes]:
    """Name -> content of the files directly in a folder; hidden ones are passed over.

    Raises:
        PackageError: if there is a folder in it, or a file cannot be read.
    """
    try:
        parts = [part for part in sorted(path.iterdir()) if not _added(part.name)]
        folders = [part.name for part in parts if not part.is_file()]
        if folders:
            raise PackageError(f"{', '.join(folders)} in it is no file", where=path, repair="remove it")
        _check_total(sum(part.stat().st_size for part in parts), path)
        return {part.name: part.read_bytes() for part in parts}
    except OSError as error:
        raise PackageError(
            f"cannot be read ({error.strerror})", where=path, repair="check the files' rights"
        ) from error


def read_zip(path: Path) -> dict[str, bytes]:
    """Name -> content of the files in a zip, which may lie in one folder of it; hidden ones are passed over.

    Raises:
        PackageError: for what is no zip, a damaged or encrypted one, a name that leads out of it or is there twice,
            or more than `MAX_BYTES` of content.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_names(archive.namelist(), path)
            rows = [row for row in archive.infolist() if not row.is_dir()]
            rows = [row for row in rows if not any(map(_added, PurePosixPath(row.filename).parts))]
            names = _without_folder([row.filename for row in rows], path)
            _check_total(sum(row.file_size for row in rows), path)
            return {name: archive.read(row) for name, row in zip(names, rows, strict=True)}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, PackageError):
            raise
        raise PackageError(f"is no intact zip of a package ({error})", where=path, repair=_AGAIN) from error
    except OSError as error:
        raise PackageError(
            f"cannot be read ({error.strerror})", where=path, repair="check the file's rights"
        ) from error


def pack(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files, the same bytes for the same files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            row = zipfile.ZipInfo(name, _DATE)
            row.compress_type, row.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(row, files[name])
    return out.getvalue()


def _check_names(names: list[str], path: Path) -> None:
    """Refuse names that could lead out of a folder, on Windows too; who makes such a zip is up to something."""
    for name in names:
        if name.startswith("/") or ".." in name.split("/") or "\\" in name or ":" in name:
            raise PackageError(f"the name {name!r} leads out of the zip", where=path, repair="do not use this zip")


def _without_folder(names: list[str], path: Path) -> list[str]:
    """The file names without the one folder that they may lie in."""
    parts = [PurePosixPath(name).parts for name in names]
    folders = {p[:-1] for p in parts}
    last = [p[-1] for p in parts]
    if len(folders) > 1 or any(len(folder) > 1 for folder in folders) or len(set(last)) != len(last):
        raise PackageError("its files do not lie in one folder, or some twice", where=path, repair=_AGAIN)
    return last


def _check_total(total: int, path: Path) -> None:
    if total > MAX_BYTES:
        raise PackageError(f"holds {total} bytes, at most {MAX_BYTES} are read", where=path, repair=_AGAIN)


def _added(name: str) -> bool:
    """Whether a file manager or a compiler put this here, rather than us."""
    return (name.startswith(".") and name != "..") or name in ("__MACOSX", "__pycache__")
