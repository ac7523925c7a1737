"""MetaImage and NRRD files, read through SimpleITK once their headers are checked."""

from __future__ import annotations

import math
import re
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.grid import Grid, sizes
from medswin.io.header import AGAIN, BYTES_LEFT_OVER, check_ratio, opened
from medswin.io.itk_fields import CORRECT, META, Header, one_file
from medswin.io.itk_header import header_of
from medswin.io.nifti import case_name
from medswin.io.scan import Scan, no_orientation

_LONGEST_HEADER = 1 << 20
_CHUNK = 1 << 16
_PACKED = ("zlib", "gzip", "gz")
_DEFLATED = 1032  # deflate cannot shrink anything by more
_UNIT = 0.01  # by how much the length of a direction may differ from 1
_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's positions are LPS


def read_itk(path: Path | str) -> Scan:
    """Read a MetaImage or NRRD file: 3D; where a voxel holds a vector, its numbers become channels. Scales are applied.

    The findings tell of a header without orientation, of lengths that are not in mm, and of bytes after the voxels.

    Raises:
        InputError: where SimpleITK is not installed, or for a file that is missing, damaged or cut short, that is not
            3D, not real, not finite or the same everywhere, that `check_ratio` refuses, whose header gives no usable
            spacing or affine, or whose voxels lie in another folder or in several files.
    """
    path = Path(path)
    header, reader, grid = _opened(path)
    if header.stored != "raw":
        check_ratio(_bytes_needed(reader), header.data, path)
    _check_deflated(header, _bytes_needed(reader), path)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError("its voxels are cut short or damaged", where=path, repair=AGAIN) from error
    values = _channels_first(_sitk(path).GetArrayViewFromImage(image), header)
    return Scan.checked(case_name(path), values, grid, _findings(header, reader), path)


def read_itk_grid(path: Path | str) -> Grid:
    """Shape and affine of such a file, from its header alone; see `read_itk` for the errors."""
    return _opened(Path(path))[2]


def _sitk(path: Path) -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise InputError(
            f"{path.suffix} files are read with SimpleITK, which is not installed",
            where=path,
            repair='pip install "medswin[itk]"',
        ) from error
    return SimpleITK


def _opened(path: Path) -> tuple[Header, Any, Grid]:
    """The header's text, a reader that has read it too, and the grid."""
    sitk = _sitk(path)
    meta = path.suffix.lower() in META
    with opened(path) as stream:
        block = stream.read(_LONGEST_HEADER)
    header = header_of(block, path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO" if meta else "NrrdImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError("its header is damaged, or gives no usable affine", where=path, repair=CORRECT) from error
    _check_voxels(reader, path)
    _check_size(header, reader, path)
    return header, reader, _grid(reader, path)


def _check_voxels(reader: Any, path: Path) -> None:
    size = reader.GetSize()
    if len(size) != 3 or min(size) < 2:
        flat = len(size) < 3 or min(size) < 2
        raise InputError(
            f"is a {2 if flat else len(size)}D image of {sizes(size)}; a 3D scan is needed",
            where=path,
            repair="stack the slices to one volume" if flat else "save one volume of it, or channels as vectors",
        )
    if "complex" in _kind(reader):
        raise InputError("its voxels are complex numbers, a scan has real ones", where=path, repair="convert it")


def _kind(reader: Any) -> str:
    """Of number, in ITK's words: ``"vector of 32-bit float"``."""
    return str(_sitk(Path()).GetPixelIDValueAsString(reader.GetPixelIDValue())).lower()


def _bytes_needed(reader: Any) -> int:
    bits = re.search(r"\d+", _kind(reader))
    numbers: int = math.prod(reader.GetSize()) * reader.GetNumberOfComponents()
    return numbers * (int(bits[0]) if bits else 8) // 8


def _check_size(header: Header, reader: Any, path: Path) -> None:
    """Before memory is asked for: whether the file can hold what the header declares."""
    needed, there = _bytes_needed(reader), header.data.stat().st_size
    largest = there - (header.start or 0) if header.stored == "raw" else there * _DEFLATED
    if needed > largest:
        raise InputError(
            f"is cut short: {sizes(reader.GetSize())} voxels need {needed} bytes, the file has {there}",
            where=path,
            repair=AGAIN,
        )


def _check_deflated(header: Header, needed: int, path: Path) -> None:
    """ITK's readers take most damaged compressed data for good, and give what the memory held."""
    if header.stored not in _PACKED:
        return
    if header.start is None:
        raise InputError("its header skips some compressed bytes", where=path, repair=one_file(path))
    unpacker, total = zlib.decompressobj(wbits=47), 0  # zlib or gzip
    with header.data.open("rb") as stream, suppress(zlib.error):
        stream.seek(header.start)
        while not unpacker.eof and total <= needed and (block := stream.read(_CHUNK)):
            total += len(unpacker.decompress(block))
    if not unpacker.eof or total != needed:
        raise InputError("its compressed voxels are cut short or damaged", where=path, repair=AGAIN)


def _grid(reader: Any, path: Path) -> Grid:
    direction = np.array(reader.GetDirection()).reshape(3, 3)
    if np.abs(np.linalg.norm(direction, axis=0) - 1).max() > _UNIT:
        raise InputError("the directions of its axes are not of length 1", where=path, repair=CORRECT)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(reader.GetSpacing())
    affine[:3, 3] = reader.GetOrigin()
    try:
        return Grid.checked(reader.GetSize(), _RAS @ affine, path)
    except InputError as error:
        raise InputError(error.what, where=path, repair=CORRECT) from error


def _channels_first(stored: NDArray[Any], header: Header) -> NDArray[np.float32]:
    """(Z, Y, X) or (Z, Y, X, C) as stored -> (C, X, Y, Z), scaled."""
    volumes = stored.T if stored.ndim == 4 else stored.T[None]
    slope, inter = header.scale
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = volumes if header.scale == (1.0, 0.0) else volumes * np.float64(slope) + inter
        return np.array(scaled, dtype=np.float32, order="C")


def _findings(header: Header, reader: Any) -> tuple[Finding, ...]:
    findings = []
    if not header.oriented:
        findings.append(no_orientation("The header does not say how the axes lie in the patient"))
    if not header.in_mm:
        said = "The header says that its lengths are not in mm; they were read as mm."
        findings.append(Finding("unit-not-mm", "warn", said, "check the size of the scan in a viewer"))
    plain = header.stored == "raw" and header.start is not None
    if plain and header.data.stat().st_size > (header.start or 0) + _bytes_needed(reader):
        findings.append(BYTES_LEFT_OVER)
    return tuple(findings)
