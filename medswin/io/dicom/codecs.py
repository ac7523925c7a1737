"""Frames of pixel data as they are stored, decoded one at a time.

Compressed ones go to imagecodecs where it is installed, as it lets other threads run meanwhile and takes no data that
are cut short; else, and where it fails, to whatever pydicom finds. A codestream that is cut short or announces another
size than the header is refused before any of them sees it. No check can find a flipped bit inside one: JPEG, JPEG 2000
and RLE have no checksum.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from functools import cache
from typing import Any

from numpy.typing import NDArray

_J2K = {f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203)}
_JPEG_LS = {f"1.2.840.10008.1.2.4.{n}" for n in (80, 81)}
_LOSSLESS = {f"1.2.840.10008.1.2.4.{n}" for n in (57, 70)}
_EXTENDED = {"1.2.840.10008.1.2.4.51"}
_OURS = _J2K | _JPEG_LS | _LOSSLESS | _EXTENDED
_MARKED = _OURS | {"1.2.840.10008.1.2.4.50"}  # begin and end with a marker
_LOSSY = _EXTENDED | {f"1.2.840.10008.1.2.4.{n}" for n in (50, 81, 91, 203)}  # at least they may be
_END = b"\xff\xd9"
_J2K_START = b"\xff\x4f\xff\x51"  # and the size
_SIZES = {*range(0xFFC0, 0xFFD0), 0xFFF7} - {0xFFC4, 0xFFC8, 0xFFCC}  # JPEG markers of a frame's size; 0xFFF7: JPEG-LS
_PROPERTIES = {
    "rows": "Rows",
    "columns": "Columns",
    "samples_per_pixel": "SamplesPerPixel",
    "photometric_interpretation": "PhotometricInterpretation",
    "bits_allocated": "BitsAllocated",
    "bits_stored": "BitsStored",
    "pixel_representation": "PixelRepresentation",
}
DECODER_DEPENDENCIES: dict[str, tuple[str, ...]] = dict.fromkeys(_OURS, ("imagecodecs",))
"""What pydicom asks of a plugin; see `decode_frame`."""


def split(dataset: Any) -> list[bytes]:
    """The frames of compressed pixel data, each as it is stored.

    Raises:
        ValueError: where there are more or fewer than the header says, or the data are damaged.
    """
    from pydicom.encaps import generate_frames

    count = int(dataset.get("NumberOfFrames") or 1)
    tables = dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths")
    frames = generate_frames(
        dataset.PixelData, number_of_frames=count, extended_offsets=tables if all(tables) else None
    )
    found = list(frames)
    if len(found) != count:
        raise ValueError("another number of frames")
    return found


def native(dataset: Any, index: int | None) -> NDArray[Any]:
    """(rows, columns) of a frame that is not compressed, as stored; ``index`` is None for a file of one slice.

    Raises:
        ValueError: where there are fewer or more frames than the header says.
    """
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(dataset.file_meta.TransferSyntaxUID)
    stored: NDArray[Any] = decoder.as_array(dataset, index=index, raw=True)[0]
    frames = int(dataset.get("NumberOfFrames") or 1)
    if index is not None and len(dataset.get("PixelData") or b"") >= (frames + 1) * stored.nbytes:
        raise ValueError("more frames")
    return stored


def decode(dataset: Any, frame: bytes, uid: str) -> NDArray[Any]:
    """(rows, columns) of a compressed frame as stored.

    Raises:
        ValueError: where the frame is cut short or of another size than the header says.
        NotImplementedError: where no library is installed for its compression.
        RuntimeError: where those that are do not read it.
    """
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    if uid in _MARKED and not _whole(frame, dataset):
        raise ValueError("cut short, or of another size")
    decoders = [decoder for decoder in (_ours(uid), get_decoder(uid)) if decoder is not None and decoder.is_available]
    if not decoders:
        raise NotImplementedError
    options = {name: dataset.get(tag) for name, tag in _PROPERTIES.items()}
    options |= {"number_of_frames": 1, "pixel_keyword": "PixelData"}
    for decoder in decoders:
        with suppress(RuntimeError):
            stored: NDArray[Any] = decoder.as_array(encapsulate([frame]), index=0, raw=True, **options)[0]
            return _signed(stored, dataset, lossy=uid in _LOSSY)
    raise RuntimeError("none of the libraries reads it")


def decode_frame(frame: bytes, runner: Any) -> bytes:
    """What pydicom asks of a plugin: the samples of a frame, in containers of the size that the runner is told."""
    import imagecodecs

    uid = str(runner.transfer_syntax)
    if uid in _J2K:
        stored = imagecodecs.jpeg2k_decode(frame)
    elif uid in _JPEG_LS:
        stored = imagecodecs.jpegls_decode(frame)
    elif uid in _LOSSLESS:
        stored = imagecodecs.jpegsof3_decode(frame)
    else:
        stored = imagecodecs.jpeg8_decode(frame)
    runner.set_option("bits_allocated", 8 * stored.dtype.itemsize)
    return bytes(stored.tobytes())


def is_available(uid: str) -> bool:
    """What pydicom asks of a plugin: whether the library is there that `decode_frame` needs."""
    try:
        import imagecodecs
    except ImportError:
        return False
    codec = "JPEG2K" if uid in _J2K else "JPEGLS" if uid in _JPEG_LS else "JPEGSOF3" if uid in _LOSSLESS else "JPEG8"
    return uid in _OURS and bool(getattr(imagecodecs, codec).available)


@cache
def _ours(uid: str) -> Any:
    """A decoder of pydicom with our plugin alone; None where that has no library, or is not for this syntax."""
    from pydicom.pixels.decoders.base import Decoder
    from pydicom.uid import UID

    if not is_available(uid):
        return None
    decoder = Decoder(UID(uid))
    decoder.add_plugin("imagecodecs", (__name__, "decode_frame"))
    return decoder


def _signed(stored: NDArray[Any], dataset: Any, *, lossy: bool) -> NDArray[Any]:
    """Values whose sign stands in the highest of the bits stored, below others of their container that hold anything.

    What lossy compression did to a value may need a bit more than those stored. So it is left as it is where one is
    negative, as the sign was then extended before.
    """
    unused = 8 * stored.dtype.itemsize - int(dataset.get("BitsStored") or 0)
    sign = dataset.get("PixelRepresentation") == 1 and 0 < unused < 8 * stored.dtype.itemsize
    return (stored << unused) >> unused if sign and not (lossy and stored.min() < 0) else stored


def _whole(frame: bytes, dataset: Any) -> bool:
    return frame.rstrip(b"\0").endswith(_END) and _size(frame) == (dataset.Rows, dataset.Columns)


def _size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns that a codestream announces."""
    start = frame.find(_J2K_START, 0, 1024)
    try:
        if start >= 0:
            right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
            return bottom - top, right - left
        at = 2
        while True:
            marker, length = struct.unpack_from(">HH", frame, at)
            if marker in _SIZES:
                rows, columns = struct.unpack_from(">HH", frame, at + 5)
                return rows, columns
            at += 1 if marker == 0xFFFF else 2 + length
    except struct.error:
        return None
