"""Grey windows to choose from, and the 256 intensities of a page: many where the windows look, few elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.figures import Window, auto_window

CODES = 256
_CT = (
    Window(-160.0, 240.0, "soft tissue"),
    Window(-1350.0, 150.0, "lung"),
    Window(-300.0, 1200.0, "bone"),
    Window(0.0, 80.0, "brain"),
)
_PERCENTILES = {"dark detail": (0.5, 90.0), "bright detail": (50.0, 99.9), "whole range": (0.0, 100.0)}
_ELSEWHERE = 0.25  # share of the levels, beside one for each window, that are spread over the whole range
_BIG = 1_000_000  # voxels that percentiles are taken of


def windows_for(image: NDArray[Any], modality: str = "", own: Window | None = None) -> tuple[Window, ...]:
    """The windows that a reader may choose from, the first one shown first.

    Args:
        image: intensities of any shape; of a CT in HU.
        modality: as DICOM has it; ``"CT"`` brings the usual windows of CT, where the image reaches into them.
        own: a window to begin with.
    """
    finite = image[np.isfinite(image)]
    auto, first = auto_window(image), () if own is None else (own,)
    if finite.size == 0:
        return (own or auto,)
    if modality == "CT":
        low, high = float(finite.min()), float(finite.max())
        usual = [window for window in _CT if window.low < high and window.high > low]
        return (*first, *usual, auto)
    sample = finite[:: max(1, finite.size // _BIG)]
    ends = {name: np.percentile(sample, pair) for name, pair in _PERCENTILES.items()}
    others = [Window(float(low), float(high), name) for name, (low, high) in ends.items() if low < high]
    return (*first, auto, *others)


def levels_for(image: NDArray[Any], windows: Sequence[Window]) -> NDArray[np.float32]:
    """(256,) rising intensities from the image's smallest to its largest.

    Each window gets as many, evenly spread over it; windows that overlap share theirs. So a page of one byte a voxel
    shows fine steps wherever a reader is likely to look.
    """
    finite = image[np.isfinite(image)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if high <= low:
        return np.linspace(low, low + max(1.0, 1e-3 * abs(low)), CODES, dtype=np.float32)
    ends = [end for window in windows for end in (window.low, window.high)]
    edges = np.unique(np.clip([low, high, *ends], low, high))
    spans = [(max(window.low, low), min(window.high, high)) for window in windows]
    density = np.full(len(edges) - 1, _ELSEWHERE / (high - low))
    for first, last in spans:
        if first < last:
            density[(edges[:-1] >= first) & (edges[1:] <= last)] += 1.0 / (last - first)
    share = np.concatenate([[0.0], np.cumsum(density * np.diff(edges))])
    return np.asarray(np.interp(np.linspace(0.0, 1.0, CODES), share / share[-1], edges), dtype=np.float32)


def encode(image: NDArray[Any], levels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The number of the level that is nearest to each intensity, of any shape; NaN becomes 0."""
    between = (levels[1:] + levels[:-1]) / 2
    codes = np.empty(image.shape, dtype=np.uint8)
    for part, into in zip(image, codes, strict=True):  # plane by plane: numpy's numbers are eight times as large
        into[...] = np.where(np.isnan(part), 0, np.searchsorted(between, part))
    return codes
