"""Small scans with one fault each, and what must become of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import fault_dicom
import fault_nifti
import numpy as np
from numpy.typing import NDArray

SHAPE = (36, 50, 20)  # columns, rows, slices
CANARY = fault_dicom.CANARY
FAULTS = (*fault_dicom.FAULTS, *fault_nifti.FAULTS)
DIFFER = {"oblong pixels": 1e-3}  # these are interpolated, by an affine that files round
Volume = tuple[NDArray[np.float32], NDArray[np.float64]]


@dataclass(frozen=True)
class Study:
    """What was planted.

    Attributes:
        place: the folder in which its slices lie, or its file.
        fault: of `FAULTS`.
        volumes: each that must be segmented: intensities (X, Y, Z), and affine (4, 4), voxel index -> RAS+ mm; none
            where it must be reported instead.
        differ: the share of voxels that may have another label, where the network's grid is not the scan's.
    """

    place: Path
    fault: str
    volumes: tuple[Volume, ...]
    differ: float = 0.0


def plant(folder: Path, fault: str, number: int) -> Study:
    """Write an oblique scan, noise around a blob off its middle, spoil it, and say what must come of it."""
    rng = np.random.default_rng(number)
    axes, _ = np.linalg.qr(np.eye(3) + 0.15 * rng.normal(size=(3, 3)))
    axes = axes * np.sign(np.diag(axes)) * [1, 1, np.sign(np.linalg.det(axes * np.sign(np.diag(axes))))]
    affine = np.eye(4)  # to LPS mm, in the model's own spacing: nothing is interpolated
    affine[:3, :3], affine[:3, 3] = axes, rng.uniform(-50, 50, 3)
    image = pictured(rng)
    made = fault_nifti if fault in fault_nifti.FAULTS else fault_dicom
    place, volumes = made.plant(folder, fault, image, affine, rng)
    ras = np.diag([-1.0, -1.0, 1.0, 1.0])
    return Study(place, fault, tuple((voxels, ras @ lps) for voxels, lps in volumes), DIFFER.get(fault, 0.0))


def pictured(rng: np.random.Generator) -> NDArray[np.uint16]:
    """(X, Y, Z), of which no flip and no other order looks alike."""
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"))
    middle, width = np.array([11, 30, 13]), np.array([6, 10, 4])
    blob = np.exp(-(((index.T - middle) / width) ** 2).sum(-1)).T
    return (200 + 800 * blob + rng.normal(0, 30, SHAPE)).clip(0).astype(np.uint16)
