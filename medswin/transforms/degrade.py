"""What goes wrong with scans, at five strengths: to measure a verdict by, and to learn what it costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medswin.errors import ConfigError

Image = NDArray[np.float32]
STRENGTHS = (1, 2, 3, 4, 5)


def degrade(image_XYZ: Image, name: str, strength: int, seed: int = 0) -> Image:
    """A degraded copy of one channel.

    Args:
        image_XYZ: any intensities.
        name: one of `DEGRADATIONS`.
        strength: 1 (hardly seen) to 5 (gross).
        seed: of what is drawn.

    Raises:
        ConfigError: for an unknown name or strength.
    """
    if name not in DEGRADATIONS or strength not in STRENGTHS:
        raise ConfigError(
            f"no degradation {name!r} of strength {strength!r}",
            repair=f"use one of {', '.join(DEGRADATIONS)} at strength 1 to 5",
        )
    low, high = np.percentile(image_XYZ, (1, 99))
    scaled = (image_XYZ.astype(np.float64) - low) / max(high - low, 1e-6)  # 0 to 1, about
    changed = DEGRADATIONS[name](scaled, strength, np.random.default_rng([seed, strength]))
    result: Image = (changed * max(high - low, 1e-6) + low).astype(np.float32)
    return result


def _noise(image: NDArray[np.float64], s: int, rng: np.random.Generator) -> NDArray[np.float64]:
    return image + (0.03, 0.07, 0.12, 0.2, 0.35)[s - 1] * rng.normal(size=image.shape)


def _blur(image: NDArray[np.float64], s: int, rng: np.random.Generator) -> NDArray[np.float64]:
    blurred: NDArray[np.float64] = ndimage.gaussian_filter(image, (0.5, 0.9, 1.3, 1.9, 2.8)[s - 1])
    return blurred


def _bias_field(image: NDArray[np.float64], s: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth gain from a polynomial of degree 2, e^-a to e^a."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in image.shape), indexing="ij")
    terms = [*axes, *(a * b for i, a in enumerate(axes) for b in axes[i:])]
    field = sum(weight * term for weight, term in zip(rng.normal(size=len(terms)), terms, strict=True))
    field = field / np.abs(field).max()
    gained: NDArray[np.float64] = (image + 0.05) * np.exp((0.2, 0.4, 0.7, 1.1, 1.6)[s - 1] * field) - 0.05
    return gained


def _ghosting(image: NDArray[np.float64], s: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Every fourth line of k-space along a drawn axis is weaker, as with periodic motion."""
    axis = int(rng.integers(3))
    lines = np.fft.fft(image, axis=axis)
    gain = np.ones(image.shape[axis])
    gain[2::4] = 1 - (0.2, 0.4, 0.6, 0.8, 1.0)[s - 1]
    shape = [1, 1, 1]
    shape[axis] = -1
    return np.fft.ifft(lines * gain.reshape(shape), axis=axis).real


def _spike(image: NDArray[np.float64], s: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """One bright point in k-space: stripes over the whole scan."""
    place = [int(rng.integers(size // 8, size // 4 + 1)) for size in image.shape]
    waves = sum(
        2 * np.pi * p * axis / axis.size for p, axis in zip(place, np.ix_(*map(np.arange, image.shape)), strict=True)
    )
    return image + (0.05, 0.1, 0.2, 0.35, 0.6)[s - 1] * np.cos(waves + rng.uniform(0, 2 * np.pi))


def _inversion(image: NDArray[np.float64], s: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """From half of the contrast turned to all of it."""
    share = (0.6, 0.7, 0.8, 0.9, 1.0)[s - 1]
    return share * (1 - image) + (1 - share) * image


def _gamma(image: NDArray[np.float64], s: int, rng: np.random.Generator) -> NDArray[np.float64]:
    power = (1.25, 1.6, 2.0, 2.7, 4.0)[s - 1] ** rng.choice((-1, 1))
    curved: NDArray[np.float64] = np.sign(image) * np.abs(image) ** power
    return curved


def _thick_slices(image: NDArray[np.float64], s: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Fewer, thicker slices along a drawn axis, interpolated back to the old grid."""
    axis, factor = int(rng.integers(3)), (2, 3, 4, 5, 7)[s - 1]
    factor = min(factor, image.shape[axis])
    edges = np.arange(0, image.shape[axis], factor)
    sums = np.add.reduceat(image, edges, axis=axis)
    counts = np.diff([*edges, image.shape[axis]])
    means = np.moveaxis(sums, axis, 0) / counts[:, None, None]
    middles = edges + (counts - 1) / 2
    where = np.interp(np.arange(image.shape[axis]), middles, np.arange(len(middles)))
    low = np.minimum(where.astype(int), max(len(middles) - 2, 0))
    high, share = np.minimum(low + 1, len(middles) - 1), (where - low)[:, None, None]
    return np.moveaxis((1 - share) * means[low] + share * means[high], 0, axis)


def _signal_loss(image: NDArray[np.float64], s: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A dark blob with a bright rim, as beside metal, at a drawn place near the middle."""
    radius = (0.1, 0.15, 0.22, 0.3, 0.4)[s - 1] * min(image.shape)
    center = [size * rng.uniform(0.3, 0.7) for size in image.shape]
    axes = zip(np.ix_(*map(np.arange, image.shape)), center, strict=True)
    away = np.sqrt(sum((axis - c) ** 2 for axis, c in axes)) / radius
    rim = np.exp(-(((away - 1.1) / 0.15) ** 2))
    return np.asarray(np.where(away < 1, 0.02, image) + 0.5 * rim)


DEGRADATIONS: dict[str, Callable[[NDArray[np.float64], int, np.random.Generator], NDArray[np.float64]]] = {
    "noise": _noise,
    "blur": _blur,
    "bias field": _bias_field,
    "ghosting": _ghosting,
    "spike": _spike,
    "inversion": _inversion,
    "gamma": _gamma,
    "thick slices": _thick_slices,
    "signal loss": _signal_loss,
}
