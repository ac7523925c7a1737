"""Pixels of a slice: its values in the units that its slope and intercept give, and which of them are padding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.dicom.codecs import decode, native, split
from medswin.io.dicom.header import Header
from medswin.io.dicom.values import is_compressed

AGAIN = "export it again"
_INSTALL = 'install medswin with its extra "dicom", or export the series without compression'
_TAGS = (
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
    "PixelRepresentation", "PixelData", "FloatPixelData", "DoubleFloatPixelData", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class File:
    """A file with its pixels as they are stored.

    Attributes:
        dataset: of pydicom; without its pixels where they are compressed.
        frames: of compressed pixels; None for others.
    """

    dataset: Any
    frames: list[bytes] | None

    @property
    def uid(self) -> str:
        """Of its transfer syntax."""
        return str(self.dataset.file_meta.TransferSyntaxUID)


class Files:
    """The files of a series: one with many frames is opened once, and let go with the last of its slices."""

    def __init__(self, slices: Iterable[Header]) -> None:
        self._left = Counter(header.path for header in slices)
        self._open: dict[Path, File] = {}

    def shared(self, header: Header, where: str) -> File | None:
        """The file of a frame; None where its slice is read from it alone. Raises the errors of `open_file`."""
        path = header.path
        if header.frame is None or header.plain is not None:
            return None
        file = self._open.get(path) or open_file(path, where)
        self._open[path] = file
        self._left[path] -= 1
        if self._left[path] == 0:
            del self._open[path]
        return file


@dataclass(frozen=True, eq=False)
class Pixels:
    """What was noticed while a slice was read.

    Attributes:
        hidden: (rows, columns), true for padding; None where there is none.
        lowest: value that is no padding; infinite where all is.
    """

    hidden: NDArray[np.bool_] | None
    lowest: float

    def same_padding(self, other: Pixels) -> bool:
        """Whether the same of another slice's pixels are padding."""
        if self.hidden is None or other.hidden is None:
            return self.hidden is other.hidden
        return np.array_equal(self.hidden, other.hidden)


def open_file(path: Path, where: str) -> File:
    """A file with its pixels, as yet not decoded.

    Raises:
        InputError: for one that is damaged, or holds more or fewer frames than it says.
    """
    import pydicom

    try:
        dataset: Any = pydicom.dcmread(path, specific_tags=list(_TAGS))
        if not is_compressed(dataset.file_meta.TransferSyntaxUID):
            return File(dataset, None)
    except Exception:
        raise InputError("the file is damaged", where=where, repair=AGAIN) from None
    try:
        file = File(dataset, split(dataset))
        del dataset.PixelData
    except Exception:
        raise InputError("its pixels are damaged or cut short", where=where, repair=AGAIN) from None
    return file


def read_pixels(header: Header, file: File | None, where: str, out: NDArray[np.float32]) -> Pixels:
    """Read the values of a slice into ``out`` (rows, columns).

    Args:
        header: of the slice.
        file: that it lies in; opened where None.
        where: names the slice in errors.
        out: for the values.

    Raises:
        InputError: as `medswin.io.dicom.read_series` says.
    """
    what, repair = header.meaning.fault
    if what:
        raise InputError(what, where=where, repair=repair)
    stored = _stored(header, file, where)
    header.meaning.scale(stored, out)
    hidden = header.meaning.hidden(stored)
    lowest = out.min() if hidden is None else out.min(where=~hidden, initial=np.inf)
    return Pixels(hidden, float(lowest))


def _stored(header: Header, file: File | None, where: str) -> NDArray[Any]:
    """(rows, columns) as stored."""
    if header.plain is None:
        return _decoded(header, file or open_file(header.path, where), where)
    try:
        return header.plain.read(header.path, header.size[::-1])
    except (OSError, ValueError):
        raise InputError("its pixels are damaged or cut short", where=where, repair=AGAIN) from None


def _decoded(header: Header, file: File, where: str) -> NDArray[Any]:
    try:
        if file.frames is None:
            stored = native(file.dataset, header.frame)
        else:
            stored = decode(file.dataset, file.frames[header.frame or 0], file.uid)
    except NotImplementedError:
        what = f"no installed library reads its compression, {_name(file.uid)}"
        raise InputError(what, where=where, repair=_INSTALL) from None
    except RuntimeError:
        what = f"its compressed data ({_name(file.uid)}) are damaged, or of a kind that no installed library reads"
        raise InputError(what, where=where, repair=_INSTALL) from None
    except Exception:
        raise InputError("its pixels are damaged or cut short", where=where, repair=AGAIN) from None
    if stored.shape != header.size[::-1]:
        raise InputError("its pixels have another shape than its header says", where=where, repair=AGAIN)
    return stored


def _name(uid: str) -> str:
    from pydicom.uid import UID

    name = UID(uid).name
    return "unknown" if name == uid else name
