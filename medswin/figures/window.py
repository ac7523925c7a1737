"""Grey windows: which intensities a picture spreads over black to white, and by what name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError

LOW_PERCENT, HIGH_PERCENT = 0.5, 99.5


@dataclass(frozen=True)
class Window:
    """Intensities from ``low`` (black) to ``high`` (white), in the scan's own unit.

    Raises:
        InputError: unless both are finite and ``low < high``.
    """

    low: float
    high: float
    name: str

    def __post_init__(self) -> None:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise InputError(f"a grey window needs finite low < high, got {self.low} and {self.high}")

    def __str__(self) -> str:
        return f"{self.name}, {self.low:.5g} to {self.high:.5g}"


def auto_window(image: NDArray[Any]) -> Window:
    """The window from the 0.5th to the 99.5th percentile of the finite voxels.

    Where these are equal (a few bright voxels on nothing) it runs from minimum to maximum. A constant image, or one
    without a finite voxel, gets a window that starts at its value, so that it is drawn black.
    """
    finite = image[np.isfinite(image)]
    low, high = np.percentile(finite, (LOW_PERCENT, HIGH_PERCENT)) if finite.size else (0.0, 0.0)
    if low < high:
        return Window(float(low), float(high), f"{LOW_PERCENT} to {HIGH_PERCENT} percentile")
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    # A width that is still a width beside large values.
    return Window(low, high if high > low else low + max(1.0, 1e-3 * abs(low)), "minimum to maximum")


def to_gray(image: NDArray[Any], window: Window) -> NDArray[np.uint8]:
    """Grey values 0-255, any shape; intensities outside the window are clipped, NaN is black."""
    # One working copy, in place: a whole CT is looked at.
    scaled = np.array(image, dtype=np.float32)
    scaled -= np.float32(window.low)
    scaled *= np.float32(255.0 / (window.high - window.low))
    np.nan_to_num(scaled, copy=False, nan=0.0, posinf=255.0, neginf=0.0)
    np.clip(scaled, 0.0, 255.0, out=scaled)
    return np.rint(scaled, out=scaled).astype(np.uint8)
