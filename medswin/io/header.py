"""NIfTI headers, read strictly: what cannot be right is said, where common readers mend it in silence."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.grid import sizes

Stream: TypeAlias = io.BufferedReader | gzip.GzipFile

MAX_VOXELS = 2**31
MAX_RATIO = 200
"""How many times its own size a compressed image, or a zip of them, may hold. Scans reach 2 to 5, a body in much air
some more; only zeros reach this, and label maps of little."""
SMALL = 256 * 2**20
"""Bytes up to which the ratio does not matter."""
SMALL_MAP = 2**31
"""The same of a label map: as `medswin` writes them, none has more."""
AGAIN = "copy the file again from its source, or export it again"
BYTES_LEFT_OVER = Finding(
    "bytes-left-over",
    "warn",
    "The file goes on after the voxels that its header declares; the rest was left out.",
    "check that the file is whole and its header right",
)

_KINDS = {348: Nifti1Header, 540: Nifti2Header}
_GZIP = b"\x1f\x8b"
_GZIP_RATIO = 1032  # deflate cannot shrink anything by more
_CHUNK = 1 << 24


@dataclass(frozen=True, eq=False)
class Header:
    """What a NIfTI-1 or NIfTI-2 header says about the voxels, checked.

    Attributes:
        raw: nibabel's header, as it stands in the file.
        shape: (X, Y, Z) or (X, Y, Z, channels).
        dtype: type of a stored voxel, real, in the file's byte order.
        slope, inter: intensity = stored * slope + inter; 1 and 0 where the file's slope is 0 or not finite.
        offset: byte at which the voxels begin.
    """

    raw: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    slope: float
    inter: float
    offset: int

    @property
    def scaled(self) -> bool:
        return (self.slope, self.inter) != (1.0, 0.0)


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """The bytes of a file, uncompressed; whether it is compressed is seen by its content, not by its name.

    Raises:
        InputError: if the file is missing, empty, a folder, or cannot be read, or its compressed data are damaged.
    """
    if path.is_symlink() and not path.exists():
        raise InputError("is a link to a file that is not there", where=path, repair="correct or remove the link")
    if not path.exists():
        raise InputError("no such file", where=path, repair="check the path")
    if path.is_dir():
        raise InputError("is a folder, a file is needed", where=path, repair="name one file in it")
    if not path.is_file():
        raise InputError("is a pipe or a device, a file is needed", where=path, repair="name a file")
    try:
        with path.open("rb") as file:
            start = file.read(2)
            if not start:
                raise InputError("the file is empty", where=path, repair=AGAIN)
            file.seek(0)
            yield gzip.GzipFile(fileobj=file) if start == _GZIP else file
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError("its compressed data are cut short or damaged", where=path, repair=AGAIN) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=path, repair="check the file's rights") from error


def read_header(stream: Stream, path: Path) -> Header:
    """Read and check the header at the start of ``stream``.

    Trailing axes of one voxel beyond the third count as none.

    Raises:
        InputError: for what is not NIfTI, a pair of .hdr and .img, other than 3 or 4 axes, an axis of one voxel,
            colours or complex numbers, more voxels than `MAX_VOXELS`, or more of them than the file can hold.
    """
    raw = _raw(stream.read(540), path)
    try:
        slope, inter = raw.get_slope_inter()
    except HeaderDataError as error:
        raise InputError("its header is damaged (scl_inter is not finite)", where=path, repair=AGAIN) from error
    offset = _offset(raw, path)
    header = Header(raw, _shape(raw, path), _dtype(raw, path), 1.0 if slope is None else slope, inter or 0.0, offset)
    _check_size(header, stream, path)
    return header


def check_ratio(needed: int, packed: Path, path: Path, small: int | None = None) -> None:
    """Refuse an image whose voxels, compressed in the file ``packed``, would fill the memory from next to nothing.

    Raises:
        InputError: for more bytes than ``small`` (`SMALL` where None) and than `MAX_RATIO` times the size of that file.
    """
    size, small = packed.stat().st_size, SMALL if small is None else small
    if needed > small and needed > MAX_RATIO * size:
        raise InputError(
            f"{size} bytes unpack to {needed / 2**30:.3g} GiB of voxels, {needed / size:.0f} times as much; more than "
            f"{small / 2**20:g} MiB are read up to {MAX_RATIO} times",
            where=path,
            repair="save it uncompressed, if you trust it",
        )


def read_voxels(stream: Stream, header: Header, path: Path) -> tuple[NDArray[Any], int]:
    """The voxels as stored, (X, Y, Z) or (X, Y, Z, channels), and how many bytes follow them (0, or at least 1).

    Raises:
        InputError: if there are fewer voxels than the header says, or too many for the memory.
    """
    needed = math.prod(header.shape) * header.dtype.itemsize
    try:
        buffer = np.empty(needed, dtype=np.uint8)
    except MemoryError as error:
        raise InputError(
            f"{sizes(header.shape)} voxels do not fit into memory", where=path, repair="crop the scan"
        ) from error
    stream.seek(header.offset)
    view, got = buffer.data, 0
    while got < needed and (count := stream.readinto(view[got : got + _CHUNK])):
        got += count
    if got < needed:
        raise _cut_short(header, header.offset + got, path)
    return buffer.view(header.dtype).reshape(header.shape, order="F"), len(stream.read(1))


def _raw(block: bytes, path: Path) -> Any:
    for order in ("little", "big"):
        size = int.from_bytes(block[:4], order)
        if size in _KINDS and len(block) < size:
            raise InputError(f"its header is cut short after {len(block)} bytes", where=path, repair=AGAIN)
        if size in _KINDS:
            raw = _KINDS[size](block[:size], endianness=order, check=False)
            magic = bytes(raw["magic"].item())[:3]
            if magic in (b"ni1", b"ni2"):
                raise InputError(
                    "is half of a .hdr and .img pair", where=path, repair="convert the pair to one .nii.gz"
                )
            if magic in (b"n+1", b"n+2"):
                return raw
    if _paired(path):
        raise InputError(
            "is half of an Analyze or NIfTI pair of .hdr and .img", where=path, repair="convert the pair to one .nii.gz"
        )
    raise InputError("is not a NIfTI file", where=path, repair="export the scan as .nii or .nii.gz")


def _paired(path: Path) -> bool:
    """Whether this is one of two files, ``a.hdr`` and ``a.img``, that lie side by side."""
    name = path.name.lower().removesuffix(".gz")
    stem = path.name[: len(name) - 4]
    other = {".img": ".hdr", ".hdr": ".img"}.get(name[-4:])
    sisters = () if other is None else (other, other.upper(), f"{other}.gz")
    return any(path.with_name(stem + sister).exists() for sister in sisters)


def _dtype(raw: Any, path: Path) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(raw.get_data_dtype())
    except (HeaderDataError, KeyError) as error:
        raise InputError(f"its header is damaged (datatype is {raw['datatype']})", where=path, repair=AGAIN) from error
    if dtype.kind not in "iuf":
        kind = "colours" if dtype.names else "complex numbers" if dtype.kind == "c" else "single bits"
        raise InputError(f"its voxels are {kind}, a scan has one real number each", where=path, repair="convert it")
    return dtype


def _shape(raw: Any, path: Path) -> tuple[int, ...]:
    axes = int(raw["dim"][0])
    shape = tuple(int(n) for n in raw["dim"][1 : axes + 1])
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if not 1 <= axes <= 7 or min(shape) < 1:
        raise InputError(f"its header is damaged (dim is {raw['dim'].tolist()})", where=path, repair=AGAIN)
    if len(shape) not in (3, 4) or min(shape[:3]) < 2:
        flat = len(shape) < 3 or min(shape[:3]) < 2
        raise InputError(
            f"is a {2 if flat else len(shape)}D image of {sizes(shape)}; a 3D scan is needed, or 4D with channels last",
            where=path,
            repair="stack the slices to one volume" if flat else "save one volume of it",
        )
    if math.prod(shape) > MAX_VOXELS:
        raise InputError(
            f"its header declares {sizes(shape)} voxels, at most {MAX_VOXELS} can be used",
            where=path,
            repair="crop the scan, or repair the header",
        )
    return shape


def _offset(raw: Any, path: Path) -> int:
    offset, least = float(raw["vox_offset"]), int(raw["sizeof_hdr"])
    if offset == 0:
        return least + 4  # the four bytes after the header say whether extensions follow
    if not (math.isfinite(offset) and offset == int(offset) and offset >= least):
        raise InputError(f"its header is damaged (vox_offset is {offset:g})", where=path, repair=AGAIN)
    return int(offset)


def _check_size(header: Header, stream: Stream, path: Path) -> None:
    on_disk = path.stat().st_size
    largest = on_disk * _GZIP_RATIO if isinstance(stream, gzip.GzipFile) else on_disk
    if header.offset + math.prod(header.shape) * header.dtype.itemsize > largest:
        raise _cut_short(header, on_disk, path)


def _cut_short(header: Header, there: int, path: Path) -> InputError:
    needed = header.offset + math.prod(header.shape) * header.dtype.itemsize
    return InputError(
        f"is cut short: {sizes(header.shape)} voxels of {header.dtype.name} need {needed} bytes, it has {there}",
        where=path,
        repair=AGAIN,
    )
