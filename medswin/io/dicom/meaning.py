"""What the stored values of a slice mean: how they become those of the image, and which are padding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.io.dicom.values import Tags, listed

TAGS = (
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "LossyImageCompression", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
)  # fmt: skip

_AGAIN = "export it again"
_EXACT = 2**22  # whole numbers up to here, and 16 bits more, are exact in float32


@dataclass(frozen=True)
class Meaning:
    """How stored values become those of an image: value = stored * slope + intercept.

    Attributes:
        slope, intercept: 1 and 0 where the file does not say.
        padding: first and last stored value that is no image, as the pixels hold them; the first is above the last
            where there is none.
        scaled: whether the file says slope or intercept.
        lossy: whether it says that its values went through a compression that changes them.
        fault: why they cannot be used, and the repair; empty where they can.
    """

    slope: float = 1.0
    intercept: float = 0.0
    padding: tuple[float, float] = (np.inf, -np.inf)
    scaled: bool = False
    lossy: bool = False
    fault: tuple[str, str] = ("", "")

    @classmethod
    def of(cls, file: Tags, tags: Tags) -> Meaning:
        """That of a slice: what all frames of a file share is of the file, the rest of the slice's own tags."""
        if file.get("ModalityLUTSequence") is not None:
            return cls(fault=("its values are given by a table", "export it with slope and intercept"))
        high, bits = file.get("HighBit"), file.get("BitsStored")
        if bits is not None and high not in (None, bits - 1):
            fault = f"its highest bit is number {high}, with {bits} bits stored it must be {bits - 1}"
            return cls(fault=(fault, "export it in another transfer syntax"))
        try:
            slope, intercept = _number(tags, "RescaleSlope", 1.0), _number(tags, "RescaleIntercept", 0.0)
            padding = _padding(file)
        except (TypeError, ValueError):
            return cls(fault=("its slope, intercept or padding value is no number", _AGAIN))
        if not np.isfinite([slope, intercept]).all() or slope == 0:
            return cls(fault=("its slope or intercept is zero, infinite or NaN", _AGAIN))
        scaled = bool(listed(tags, "RescaleSlope") or listed(tags, "RescaleIntercept"))
        return cls(slope, intercept, padding, scaled, str(file.get("LossyImageCompression")) == "01")

    def scale(self, stored: NDArray[Any], out: NDArray[np.float32]) -> None:
        """Put the values of the image into ``out``: in float64, unless float32 is exact."""
        whole = self.intercept == int(self.intercept) and abs(self.intercept) < _EXACT
        if self.slope == 1 and whole and stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
            np.add(stored, np.float32(self.intercept), out=out, dtype=np.float32)
        else:
            out[...] = stored * np.float64(self.slope) + np.float64(self.intercept)

    def hidden(self, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Which stored values are padding; None where none is."""
        first, last = self.padding
        if first > last:
            return None
        hidden: NDArray[np.bool_] = (stored >= first) & (stored <= last)
        return hidden if hidden.any() else None


def _number(tags: Tags, tag: str, default: float) -> float:
    found = listed(tags, tag)
    if len(found) > 1:
        raise ValueError("more than one number")
    return float(found[0]) if found else default


def _padding(tags: Tags) -> tuple[float, float]:
    """First and last stored value that are padding, as the pixels hold them: by the bits stored, with their sign."""
    first, limit = tags.get("PixelPaddingValue"), tags.get("PixelPaddingRangeLimit")
    if first in (None, ""):
        return np.inf, -np.inf
    ends = [int(first), int(first if limit in (None, "") else limit)]
    bits = int(tags.get("BitsStored"))
    for i, end in enumerate(ends):
        end &= 2**bits - 1
        ends[i] = end - 2**bits if tags.get("PixelRepresentation") == 1 and end >= 2 ** (bits - 1) else end
    return min(ends), max(ends)
