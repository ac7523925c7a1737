"""Deflated DICOM files, which pydicom inflates as a whole: those that would fill the memory are found out first."""

from __future__ import annotations

import zlib
from typing import BinaryIO

MAX_BYTES = 2 * 2**30
DEFLATED = b"1.2.840.10008.1.2.1.99"

_HEAD = 4096  # bytes that hold the file meta information, which is small
_CHUNK = 1 << 20


def inflates_too_far(file: BinaryIO) -> bool:
    """Whether a file says that it is deflated, and holds more than `MAX_BYTES` once inflated; leaves it at its start.

    Raises:
        zlib.error: if it says so and is not.
    """
    head, total = file.read(_HEAD), 0
    if DEFLATED in head:
        # From group 0002's length: 128 + 4 bytes of preamble, the element's own 12, then as many as it says.
        file.seek(144 + int.from_bytes(head[140:144], "little"))
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        while block := file.read(_CHUNK):
            while block and total <= MAX_BYTES:
                total += len(inflate.decompress(block, _CHUNK))
                block = inflate.unconsumed_tail
    file.seek(0)
    return total > MAX_BYTES
