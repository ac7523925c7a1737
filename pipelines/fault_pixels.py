"""Ways in which a slice's pixels are stored, or spoilt."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

Change = Callable[[Dataset, int], None]
PAD = 60000


def corner(shape: Sequence[int]) -> list[int]:
    """Which of the pixels of a slice, in the order of (X, Y), are padded by `padded`."""
    return [int(x * shape[1] + y) for x in range(3) for y in range(3)]


def padded(one: Dataset, k: int) -> None:
    """A corner is padding."""
    stored = one.pixel_array.copy()
    stored[:3, :3] = one.PixelPaddingValue = PAD
    one["PixelPaddingValue"].VR, one.PixelData = "US", stored.tobytes()


def _signed(one: Dataset, k: int) -> None:
    one.PixelData = (one.pixel_array.astype(np.int32) - 700).astype(np.int16).tobytes()
    one.PixelRepresentation, one.RescaleSlope, one.RescaleIntercept = 1, 1, 700


def _own_slope(one: Dataset, k: int) -> None:
    """Other numbers on each slice for the same values."""
    one.PixelData = ((one.pixel_array.astype(np.int64) + k) * 2 ** (k % 3)).astype(np.uint16).tobytes()
    one.RescaleSlope, one.RescaleIntercept = 0.5 ** (k % 3), -k


def _high_bits(one: Dataset, k: int) -> None:
    """Bits above those stored hold something, as overlays once did there."""
    one.BitsStored, one.HighBit = 12, 11
    one.PixelData = (one.pixel_array | np.uint16(1 << 15)).tobytes()


def _inverse(one: Dataset, k: int) -> None:
    one.PhotometricInterpretation = "MONOCHROME1"


def _big_endian(one: Dataset, k: int) -> None:
    stored = one.pixel_array
    one.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    one.PixelData = stored.byteswap().tobytes()
    one["PixelData"].VR = "OW"


def _deflated(one: Dataset, k: int) -> None:
    one.file_meta.TransferSyntaxUID = uid.DeflatedExplicitVRLittleEndian


def _packed(syntax: str, pack: Callable[[NDArray[np.uint16]], bytes]) -> Change:
    def change(one: Dataset, k: int) -> None:
        one.PixelData = encapsulate([pack(one.pixel_array)])
        one["PixelData"].VR = "OB"
        one.file_meta.TransferSyntaxUID = syntax

    return change


def _rle(one: Dataset, k: int) -> None:
    one.compress(uid.RLELossless, generate_instance_uid=False)


def _jpeg2000(stored: NDArray[np.uint16]) -> bytes:
    return imagecodecs.jpeg2k_encode(stored, level=0, codecformat="J2K")


def _lossless(stored: NDArray[np.uint16]) -> bytes:
    return imagecodecs.ljpeg_encode(stored, bitspersample=16)


def _constant(one: Dataset, k: int) -> None:
    one.PixelData = bytes(len(one.PixelData))


def _no_slope(one: Dataset, k: int) -> None:
    one.RescaleSlope, one.RescaleIntercept = int(k != 7), 0


def _table(one: Dataset, k: int) -> None:
    one.ModalityLUTSequence = [Dataset()]


def _absurd(one: Dataset, k: int) -> None:
    one.Rows = one.Columns = 65535


def _unknown(one: Dataset, k: int) -> None:
    one.PixelData = encapsulate([b"\0\0"])
    one["PixelData"].VR = "OB"
    one.file_meta.TransferSyntaxUID = uid.MPEG2MPML


def _damaged(one: Dataset, k: int) -> None:
    """A compressed slice of which a third is lost."""
    packed = _jpeg2000(one.pixel_array)
    one.PixelData = encapsulate([packed[: len(packed) // 3] if k == 6 else packed])
    one["PixelData"].VR = "OB"
    one.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless


SAME: dict[str, Change] = {
    "signed pixels": _signed,
    "a slope for each slice": _own_slope,
    "something in unused bits": _high_bits,
    "MONOCHROME1": _inverse,
    "big-endian": _big_endian,
    "deflated": _deflated,
    "RLE": _rle,
    "JPEG 2000": _packed(uid.JPEG2000Lossless, _jpeg2000),
    "JPEG-LS": _packed(uid.JPEGLSLossless, imagecodecs.jpegls_encode),
    "JPEG lossless": _packed(uid.JPEGLosslessSV1, _lossless),
}
"""Stored in another way, and the same values."""

REFUSED: dict[str, Change] = {
    "one value everywhere": _constant,
    "a slope of zero": _no_slope,
    "values by a table": _table,
    "an absurd size": _absurd,
    "a compression that nothing reads": _unknown,
    "a damaged compressed slice": _damaged,
}
"""Nothing can be made of these."""
