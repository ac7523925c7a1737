"""Augmentations: chains of MONAI dict transforms over the keys ``image`` and ``label``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandBiasFieldd,
    RandCropByPosNegLabeld,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSpatialCropd,
    SpatialPadd,
)

from medswin.registry import Registry

KEYS = ("image", "label")
MODES = ("bilinear", "nearest")


def none(patch_size: Sequence[int]) -> Compose:
    """A random patch of ``patch_size`` voxels, padded on all sides where the volume is smaller; nothing else."""
    return Compose([*_pad(patch_size), RandSpatialCropd(KEYS, roi_size=patch_size, random_size=False)])


def mri(
    patch_size: Sequence[int],
    flip_axes: Sequence[int] = (),
    rotate_degrees: float = 15.0,
    scale: float = 0.15,
    translate_voxels: float = 4.0,
    affine_probability: float = 0.7,
    intensity_probability: float = 0.3,
    foreground_share: float = 0.5,
) -> Compose:
    """Small rotations, scalings and flips, then contrast, bias field, noise and blur, as scanners and heads vary.

    Args:
        patch_size: voxels per axis of what the network gets.
        flip_axes: axes that may be mirrored; 0 is left-right, wrong where a structure's name says its side.
        rotate_degrees: largest turn about each axis.
        scale: largest relative change of size per axis.
        translate_voxels: largest shift per axis.
        affine_probability: share of samples that are turned, scaled and shifted.
        intensity_probability: share of samples for each change of intensities.
        foreground_share: share of patches centred on a labelled voxel.
    """
    turn = float(np.deg2rad(rotate_degrees))
    p = intensity_probability
    return Compose(
        [
            *_pad(patch_size),
            RandAffined(
                KEYS,
                prob=affine_probability,
                rotate_range=(turn,) * 3,
                scale_range=(scale,) * 3,
                translate_range=(translate_voxels,) * 3,
                mode=MODES,
                padding_mode="border",
            ),
            RandCropByPosNegLabeld(
                KEYS,
                label_key="label",
                spatial_size=patch_size,
                pos=foreground_share,
                neg=1.0 - foreground_share,
                num_samples=1,
                allow_smaller=False,
            ),
            *(RandFlipd(KEYS, prob=0.5, spatial_axis=axis) for axis in flip_axes),
            RandGaussianSmoothd("image", prob=p / 2, sigma_x=(0.4, 0.9), sigma_y=(0.4, 0.9), sigma_z=(0.4, 0.9)),
            RandBiasFieldd("image", prob=p / 2, coeff_range=(0.0, 0.15)),
            RandAdjustContrastd("image", prob=p, gamma=(0.7, 1.5), retain_stats=True),
            RandScaleIntensityd("image", prob=p, factors=0.2),
            RandShiftIntensityd("image", prob=p, offsets=0.2),
            RandGaussianNoised("image", prob=p, std=0.1),
        ]
    )


def _pad(patch_size: Sequence[int]) -> list[Any]:
    return [SpatialPadd("image", patch_size, mode="constant"), SpatialPadd("label", patch_size, mode="constant")]


AUGMENTATIONS: Registry[Compose] = Registry("augmentation", {"none": none, "mri": mri})


def build_augmentation(name: str, /, **params: Any) -> Compose:
    """Build a registered augmentation; see `medswin.registry.Registry.build` for the errors."""
    return AUGMENTATIONS.build(name, **params)
