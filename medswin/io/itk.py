"""MetaImage and NRRD files by SimpleITK; what it would take as it comes is checked in the header's own text first."""

from __future__ import annotations

import math
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.grid import Grid, sizes
from medswin.io.header import AGAIN, BYTES_LEFT_OVER, MAX_VOXELS, opened
from medswin.io.nifti import case_name
from medswin.io.scan import Scan, no_orientation

SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
"""Endings of their names, in lower case."""

_META = SUFFIXES[:2]
_LONGEST_HEADER = 1 << 20
_CHUNK = 1 << 16
_PACKED = ("zlib", "gzip", "gz")
_DEFLATED = 1032  # deflate cannot shrink anything by more
_UNIT = 0.01  # by how much the length of a direction may differ from 1
_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's positions are LPS
_META_LINE = re.compile(r"\s*(?P<key>[^=:]+?)\s*[=:]\s*(?P<value>.*?)\s*")
_NRRD_LINE = re.compile(r"(?P<key>[^:]+):(?P<value>=?.*?)\s*")
_SPACES = re.compile(r"[lr][ap]s|(left|right)-(anterior|posterior)-superior")
_NO_NUMBER = re.compile("color|complex|matrix|quaternion")
_CORRECT = "correct the header, or export the scan again"


@dataclass(frozen=True)
class _Header:
    """What the text of a header says.

    Attributes:
        shape: all sizes, those of a vector too.
        spacing: as it is stated; empty where it is stated by directions, None where it is not.
        oriented: whether its axes are those of a patient.
        in_mm: whether no other unit is named.
        scale: slope and intercept that ITK leaves to its caller.
        data: the file that holds the voxels.
        start: byte of it at which they begin; None where the header leaves that open.
        stored: ``"raw"``, or how else.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    oriented: bool
    in_mm: bool
    scale: tuple[float, float]
    data: Path
    start: int | None
    stored: str


def read_itk(path: Path | str) -> Scan:
    """Read a MetaImage or NRRD file: 3D; where a voxel holds a vector, its numbers become channels. Scales are applied.

    The findings tell of a header without orientation, of lengths that are not in mm, and of bytes after the voxels.

    Raises:
        InputError: where SimpleITK is not installed, or for a file that is missing, damaged or cut short, that is not
            3D, not real, not finite or the same everywhere, whose header gives no usable spacing or affine, or whose
            voxels lie in another folder or in several files.
    """
    path = Path(path)
    header, reader, grid = _opened(path)
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


def _opened(path: Path) -> tuple[_Header, Any, Grid]:
    """The header's text, a reader that has read it too, and the grid."""
    sitk = _sitk(path)
    meta = path.suffix.lower() in _META
    with opened(path) as stream:
        block = stream.read(_LONGEST_HEADER)
    header = (_meta if meta else _nrrd)(block, path)
    _check_text(header, path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO" if meta else "NrrdImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError("its header is damaged, or gives no usable affine", where=path, repair=_CORRECT) from error
    _check_voxels(reader, path)
    _check_size(header, reader, path)
    return header, reader, _grid(reader, path)


def _meta(block: bytes, path: Path) -> _Header:
    """A MetaImage's header ends with the line that says where the voxels are."""
    fields, end = _fields(block, _META_LINE, "elementdatafile", path)
    if "ndims" not in fields or "elementdatafile" not in fields:
        raise InputError("is not a MetaImage file", where=path, repair="export the scan again, or as .nii.gz")
    placed = {"transformmatrix", "rotation", "orientation"} & set(fields)
    slope, inter = (fields.get(f"elementtointensityfunction{key}") for key in ("slope", "offset"))
    zipped = fields.get("compresseddata", "false").lower() == "true"
    data = _place(fields["elementdatafile"], path)
    begins = end if data == path else 0
    return _Header(
        _counts(f"{fields.get('dimsize', '')} {fields.get('elementnumberofchannels', '')}", path),
        _numbers(fields.get("elementspacing", fields.get("elementsize")), path),
        bool(placed) or fields.get("anatomicalorientation", "").upper() == "RAI",
        True,
        (_first(slope, 1.0, path), _first(inter, 0.0, path)),
        data,
        begins if fields.get("headersize", "0") == "0" else None,
        "zlib" if zipped else "raw" if fields.get("binarydata", "true").lower() == "true" else "text",
    )


def _nrrd(block: bytes, path: Path) -> _Header:
    """An NRRD's header ends with an empty line, or with its file where the voxels lie in another."""
    magic, _, rest = block.partition(b"\n")
    if not magic.startswith(b"NRRD000"):
        raise InputError("is not an NRRD file", where=path, repair="export the scan again, or as .nii.gz")
    fields, end = _fields(rest, _NRRD_LINE, "", path)
    if _NO_NUMBER.search(fields.get("kinds", "").lower()):
        raise InputError("its voxels are colours or tensors, a scan has real numbers", where=path, repair="convert it")
    units = re.findall(r'"([^"]*)"', fields.get("spaceunits", fields.get("units", "")))
    spacing = _numbers(fields.get("spacings"), path)
    data = _place(fields.get("datafile", "LOCAL"), path)
    skips = any(fields.get(key, "0") != "0" for key in ("byteskip", "lineskip"))
    begins = len(magic) + 1 + end if data == path else 0
    return _Header(
        _counts(fields.get("sizes", ""), path),
        () if spacing is None and "spacedirections" in fields else spacing,
        _SPACES.fullmatch(fields.get("space", "").lower()) is not None,
        set(units) <= {"mm", "", "???"},
        (1.0, 0.0),
        data,
        None if skips else begins,
        fields.get("encoding", "unknown").lower(),
    )


def _fields(block: bytes, line: re.Pattern[str], last: str, path: Path) -> tuple[dict[str, str], int]:
    """Name in lower case without blanks -> value of each line, up to the one named ``last``; and the byte after it."""
    fields: dict[str, str] = {}
    end = 0
    for row in block.split(b"\n"):
        end += len(row) + 1
        text = row.decode("utf-8", "surrogateescape").rstrip("\r")
        if not last and text.startswith("#"):  # a comment of an NRRD
            continue
        match = line.fullmatch(text)
        key = match["key"].replace(" ", "").lower() if match else text.strip()
        if key == last == "" or (match is None and not fields):
            break
        if match and (key == "comment" or match["value"].startswith("=")):
            continue
        if match is None or key in fields or "\0" in text:  # ITK might take it for something else than we do
            what = "its header is damaged (a line that names no field, or one again)"
            raise InputError(what, where=path, repair=AGAIN)
        fields[key] = match["value"].strip()
        if key == last:
            break
    return fields, end


def _place(named: str, path: Path) -> Path:
    """The file that holds the voxels, if that is this one or one beside it."""
    if named.upper() == "LOCAL":
        return path
    if named.upper().startswith("LIST") or "%" in named:
        raise InputError("its voxels lie in several files", where=path, repair=_one_file(path))
    data = path.parent / named
    homes = {path.parent.resolve(), path.resolve().parent}
    if PurePosixPath(named).name != named or data.resolve().parent not in homes:
        raise InputError(
            "its header names a file of another folder for the voxels; it must lie beside the header",
            where=path,
            repair=f"put both into one folder and correct the name, or {_one_file(path)}",
        )
    if not data.is_file():
        raise InputError(
            "the file with its voxels, which the header names, is not beside it",
            where=path,
            repair=f"put the two into one folder, or {_one_file(path)}",
        )
    return data


def _one_file(path: Path) -> str:
    return f"save it as one {'.mha' if path.suffix.lower() in _META else '.nrrd'} file"


def _counts(text: str, path: Path) -> tuple[int, ...]:
    numbers = _numbers(text, path) or (0.0,)
    if not all(math.isfinite(n) and n >= 1 and n == int(n) for n in numbers):
        raise InputError("its header is damaged (sizes must be whole numbers from 1 on)", where=path, repair=AGAIN)
    return tuple(map(int, numbers))


def _first(text: str | None, default: float, path: Path) -> float:
    return (_numbers(text, path) or (default,))[0]


def _numbers(text: str | None, path: Path) -> tuple[float, ...] | None:
    """The numbers in a field; None where there is none."""
    try:
        return tuple(map(float, text.split())) if text and text.strip() else None
    except ValueError as error:
        raise InputError("its header is damaged (a number is none)", where=path, repair=AGAIN) from error


def _check_text(header: _Header, path: Path) -> None:
    """What ITK would pass over, or ask too much memory for."""
    if math.prod(header.shape) > MAX_VOXELS:
        raise InputError(
            f"its header declares {sizes(header.shape)} voxels, at most {MAX_VOXELS} can be used",
            where=path,
            repair="crop the scan, or repair the header",
        )
    if header.spacing is None:
        raise InputError("its header states no voxel spacing", where=path, repair=_CORRECT)
    if any(not side > 0 or math.isinf(side) for side in header.spacing):
        text = sizes(f"{side:g}" for side in header.spacing)
        raise InputError(
            f"its header states a voxel spacing ({text}), each side must be above 0 mm", where=path, repair=_CORRECT
        )


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


def _check_size(header: _Header, reader: Any, path: Path) -> None:
    """Before memory is asked for: whether the file can hold what the header declares."""
    needed, there = _bytes_needed(reader), header.data.stat().st_size
    largest = there - (header.start or 0) if header.stored == "raw" else there * _DEFLATED
    if needed > largest:
        raise InputError(
            f"is cut short: {sizes(reader.GetSize())} voxels need {needed} bytes, the file has {there}",
            where=path,
            repair=AGAIN,
        )


def _check_deflated(header: _Header, needed: int, path: Path) -> None:
    """ITK's readers take most damaged compressed data for good, and give what the memory held."""
    if header.stored not in _PACKED:
        return
    if header.start is None:
        raise InputError("its header skips some compressed bytes", where=path, repair=_one_file(path))
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
        raise InputError("the directions of its axes are not of length 1", where=path, repair=_CORRECT)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(reader.GetSpacing())
    affine[:3, 3] = reader.GetOrigin()
    try:
        return Grid.checked(reader.GetSize(), _RAS @ affine, path)
    except InputError as error:
        raise InputError(error.what, where=path, repair=_CORRECT) from error


def _channels_first(stored: NDArray[Any], header: _Header) -> NDArray[np.float32]:
    """(Z, Y, X) or (Z, Y, X, C) as stored -> (C, X, Y, Z), scaled."""
    volumes = stored.T if stored.ndim == 4 else stored.T[None]
    slope, inter = header.scale
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = volumes if header.scale == (1.0, 0.0) else volumes * np.float64(slope) + inter
        return np.array(scaled, dtype=np.float32, order="C")


def _findings(header: _Header, reader: Any) -> tuple[Finding, ...]:
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
