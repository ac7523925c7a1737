"""What can be said of a scan without a network: its sizes, its intensities, its noise and its sharpness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

PERCENTILES = (1, 10, 25, 50, 75, 90, 99)
SIZES = ("voxel spacing", "field of view")
AXES = ("left-right", "front-back", "head-foot")
MOST_VALUES = 2**20
"""Of a channel: larger scans are looked at in every n-th plane."""
SAMPLED = 61
"""Every n-th value tells where a quantile lies; odd, so that it does not fall on the same column of each line."""


def names(channels: Sequence[str]) -> tuple[str, ...]:
    """Names of what `appearance` tells, as people read them."""
    sizes = [f"{what} {axis}, mm" for what in SIZES for axis in AXES]
    whose = [f" of {channel}" if len(channels) > 1 else "" for channel in channels]
    told = [*(f"intensity at {p} %" for p in PERCENTILES), "skewness of the intensities", "noise", "sharpness"]
    return (*sizes, *(name + channel for channel in whose for name in told))


def appearance(image_CXYZ: NDArray[np.float32], geometry: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    """Sizes and intensities of a scan.

    Args:
        image_CXYZ: as the network gets it, so that intensities are normalised.
        geometry: ``{"fov_mm": (x, y, z), "spacing_mm": (x, y, z)}`` of the scan as it came, per RAS axis.

    Returns:
        The numbers that `names` names. Noise is the median absolute difference between a voxel and the mean of its two
        neighbours along the axis where that is least, sharpness the mean absolute difference of neighbours; both over
        the range from the 10 % to the 90 % percentile.
    """
    sizes = [float(value) for name in ("spacing_mm", "fov_mm") for value in geometry[name]]
    return np.array([*sizes, *(value for channel in image_CXYZ for value in _channel(channel))])


def _channel(image_XYZ: NDArray[np.float32]) -> list[float]:
    every = max(round((image_XYZ.size / MOST_VALUES) ** 0.5), 1)
    some = [
        image_XYZ[tuple(slice(None, None, every if other != axis else 1) for other in range(3))] for axis in (0, 1, 2)
    ]
    values = some[2].ravel().astype(np.float64)
    levels = _quantiles(some[2], [percentile / 100 for percentile in PERCENTILES])
    spread = max(levels[5] - levels[1], 1e-6)
    centred = values - values.mean()
    squares = centred * centred  # powers are slow
    skewness = float((squares * centred).mean() / max(squares.mean(), 1e-12) ** 1.5)
    roughness = [_quantiles(np.abs(_second(part, axis)), [0.5])[0] for axis, part in enumerate(some)]
    slopes = [float(np.abs(np.diff(part, axis=axis)).mean()) for axis, part in enumerate(some) if part.shape[axis] > 1]
    return [*levels, skewness, min(roughness) / spread, (float(np.mean(slopes)) if slopes else 0.0) / spread]


def _second(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Of each voxel the difference from the mean of its two neighbours along an axis."""
    if values.shape[axis] < 3:
        return np.zeros(1, dtype=np.float32)
    part = np.moveaxis(values, axis, 0)
    found: NDArray[np.float32] = part[1:-1] - 0.5 * (part[:-2] + part[2:])
    return found


def _quantiles(values: NDArray[np.float32], shares: Sequence[float]) -> list[float]:
    """Quantiles, between two ranks in proportion; exact, in a third of NumPy's time: most of a verdict was spent there.

    A sample tells about where a quantile lies, and only the values around are sorted.
    """
    flat, found = values.ravel(), []
    sample = np.sort(flat[::SAMPLED])
    aside = 2 * sample.size**0.5 + 2  # four standard errors of a median's rank in the sample
    for share in shares:
        rank, about = share * (flat.size - 1), share * (sample.size - 1)
        low = sample[int(about - aside)] if about >= aside else -np.inf
        high = sample[int(about + aside) + 1] if about + aside + 1 < sample.size else np.inf
        near = np.sort(np.compress((flat >= low) & (flat <= high), flat))
        first = int(rank) - int(np.count_nonzero(flat < low))
        if not 0 <= first < near.size - 1:
            near, first = np.sort(flat), int(rank)
        lower, upper = near[[first, min(first + 1, near.size - 1)]].tolist()
        found.append(lower + (upper - lower) * (rank - int(rank)))
    return found
