"""Pixels that lie in a file as they are: where, so that they are read without the rest of it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from medswin.io.dicom.values import Tags

_SYNTAXES = {"1.2.840.10008.1.2": 8, "1.2.840.10008.1.2.1": 12}  # little-endian ones; bytes before the pixels' own
_PIXELS = b"\xe0\x7f\x10\x00"


@dataclass(frozen=True)
class Plain:
    """A slice's pixels, one sample of 8 or 16 bits each, little-endian and not compressed.

    Attributes:
        at: byte at which they begin.
        dtype: of one.
        unused: bits of one above those stored.
        written: size and time of the file, by which another one in its place is told.
    """

    at: int
    dtype: str
    unused: int
    written: tuple[int, int]

    @classmethod
    def found(cls, tags: Tags, file: BinaryIO, path: Path) -> Plain | None:
        """Those of a file that was read up to its pixels, or of its first frame; None for any other kind."""
        skipped = _SYNTAXES.get(str(tags.get("TransferSyntaxUID")))
        allocated, bits = tags.get("BitsAllocated"), tags.get("BitsStored")
        if skipped is None or allocated not in (8, 16) or bits is None or not 1 <= bits <= allocated:
            return None
        start, head = file.tell(), file.read(skipped)
        if len(head) < skipped or head[:4] != _PIXELS or (skipped == 12 and head[4:6] not in (b"OW", b"OB")):
            return None
        count = tags.get("Rows") * tags.get("Columns") * int(tags.get("NumberOfFrames") or 1)
        needed = count * allocated // 8
        if struct.unpack("<I", head[-4:])[0] not in (needed, needed + needed % 2):
            return None
        kind = "i" if tags.get("PixelRepresentation") == 1 else "u"
        about = path.stat()
        written = about.st_size, about.st_mtime_ns
        return cls(start + skipped, f"<{kind}{allocated // 8}", allocated - bits, written)

    def frame(self, number: int, pixels: int) -> Plain:
        """Those of a frame, of this many pixels."""
        return Plain(self.at + number * pixels * int(self.dtype[-1]), self.dtype, self.unused, self.written)

    def read(self, path: Path, shape: tuple[int, int]) -> NDArray[Any]:
        """(rows, columns) as stored.

        Raises:
            OSError: if the file cannot be read.
            ValueError: if it is cut short, or not the one that was found.
        """
        about = path.stat()
        if (about.st_size, about.st_mtime_ns) != self.written:
            raise ValueError("another file")
        stored: NDArray[Any] = np.fromfile(path, self.dtype, shape[0] * shape[1], offset=self.at).reshape(shape)
        if self.unused:
            # The bits above those stored may hold anything; the shift back fills them with the sign.
            np.left_shift(stored, self.unused, out=stored)
            np.right_shift(stored, self.unused, out=stored)
        return stored
