"""Preprocessing: what happens to every scan before the network sees it, in training and in use alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation, Spacing

from medswin.errors import ConfigError
from medswin.registry import Registry

RAS = (("L", "R"), ("P", "A"), ("I", "S"))
SAME_SPACING = 1e-3  # relative; below it a scan is on the model's grid already and is not resampled


def zscore(low_percentile: float = 0.5, high_percentile: float = 99.5) -> Any:
    """Clip each channel to two of its own percentiles, then to mean 0 and standard deviation 1: for MRI."""
    if not 0 <= low_percentile < high_percentile <= 100:
        raise ConfigError(f"percentiles must rise within 0 to 100, got {low_percentile} and {high_percentile}")

    def normalise(channel: torch.Tensor) -> torch.Tensor:
        low, high = np.percentile(channel.numpy(), (low_percentile, high_percentile))
        clipped = channel.clamp(float(low), float(high))
        return (clipped - clipped.mean()) / clipped.std().clamp_min(1e-6)

    return normalise


def window(low: float = -175.0, high: float = 250.0) -> Any:
    """Map [low, high] to [0, 1] and clip: for CT, in Hounsfield units."""
    if not low < high:
        raise ConfigError(f"low must be below high, got {low} and {high}")

    def normalise(channel: torch.Tensor) -> torch.Tensor:
        return ((channel - low) / (high - low)).clamp(0.0, 1.0)

    return normalise


INTENSITIES: Registry[Any] = Registry("intensity normalisation", {"zscore": zscore, "window": window})


@dataclass(frozen=True)
class Preprocessing:
    """Closest RAS orientation, then one spacing, then one intensity scale.

    Attributes:
        spacing_mm: spacing of the network's input per RAS axis; None keeps the scan's own.
        intensity: name of an entry of `INTENSITIES`, or ``{"name": ..., **parameters}``.

    An oblique scan keeps its tilt: its axes are only permuted and flipped, and its affine says where they point.
    """

    spacing_mm: tuple[float, float, float] | None = None
    intensity: str | Mapping[str, Any] = field(default_factory=lambda: {"name": "zscore"})

    def __post_init__(self) -> None:
        spacing = self.spacing_mm
        if spacing is not None and (np.shape(spacing) != (3,) or not all(np.isfinite(s) and s > 0 for s in spacing)):
            raise ConfigError(f"spacing_mm must be three positive numbers, got {spacing}", where="spacing_mm")
        name, params = self._intensity()
        INTENSITIES.check(name, params)

    def __call__(self, image: MetaTensor) -> MetaTensor:
        """(C, X, Y, Z) -> (C, D, H, W) float32 in closest RAS orientation, its affine updated."""
        on_grid = self._to_grid(image, "bilinear")
        name, params = self._intensity()
        normalise = INTENSITIES.build(name, **params)
        channels = torch.stack([normalise(channel) for channel in on_grid.as_tensor().float()])
        return MetaTensor(channels, affine=on_grid.affine)

    def label(self, label: MetaTensor) -> MetaTensor:
        """(1, X, Y, Z) label map -> the grid that its image is brought to, by nearest neighbour."""
        return self._to_grid(label, "nearest")

    def to_json(self) -> dict[str, Any]:
        name, params = self._intensity()
        return {
            "spacing_mm": list(self.spacing_mm) if self.spacing_mm is not None else None,
            "intensity": {"name": name, **params},
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Preprocessing:
        spacing = values.get("spacing_mm")
        return cls(tuple(spacing) if spacing is not None else None, values.get("intensity", "zscore"))

    def _intensity(self) -> tuple[str, dict[str, Any]]:
        params = {"name": self.intensity} if isinstance(self.intensity, str) else dict(self.intensity)
        return str(params.pop("name")), params

    def _to_grid(self, volume: MetaTensor, mode: str) -> MetaTensor:
        oriented: MetaTensor = Orientation(axcodes="RAS", labels=RAS)(volume)
        spacing = np.linalg.norm(np.asarray(oriented.affine)[:3, :3], axis=0)
        if self.spacing_mm is None or np.allclose(spacing, self.spacing_mm, rtol=SAME_SPACING):
            return oriented
        resampled: MetaTensor = Spacing(pixdim=self.spacing_mm, mode=mode, padding_mode="border")(oriented)
        return resampled
