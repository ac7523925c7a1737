"""Small DICOM studies with one fault each, and what must become of them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

SHAPE = (36, 50, 20)  # columns, rows, slices
CANARY = "MUSTER^HANS"
Slices = list[Dataset]


@dataclass(frozen=True)
class Study:
    """One planted study.

    Attributes:
        folder: where it lies.
        fault: of `FAULTS`.
        usable: whether it must be segmented; else it must be reported.
        affine: (4, 4) voxel index -> RAS+ mm that its labels must have.
        image: (X, Y, Z) intensities, before anything was spoilt.
    """

    folder: Path
    fault: str
    usable: bool
    affine: NDArray[np.float64]
    image: NDArray[np.uint16]


def plant(folder: Path, fault: str, number: int) -> Study:
    """Write an oblique MR series, noise around a blob off its middle, spoil it, and say what must come of it."""
    rng = np.random.default_rng(number)
    axes, _ = np.linalg.qr(np.eye(3) + 0.15 * rng.normal(size=(3, 3)))
    axes = axes * np.sign(np.diag(axes)) * [1, 1, np.sign(np.linalg.det(axes * np.sign(np.diag(axes))))]
    origin, step = rng.uniform(-50, 50, 3), 1.0  # the model's own spacing: nothing is interpolated
    index = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"))
    middle, width = np.array([11, 30, 13]), np.array([6, 10, 4])  # no flip and no other order looks alike
    blob = np.exp(-(((index.T - middle) / width) ** 2).sum(-1)).T
    image = (200 + 800 * blob + rng.normal(0, 30, SHAPE)).clip(0).astype(np.uint16)
    uids = [generate_uid() for _ in range(3)]
    slices = [_slice(image[..., k], origin + k * step * axes[:, 2], axes, step, k, uids) for k in range(SHAPE[2])]
    names = rng.permutation(len(slices))
    spoil, usable = FAULTS[fault]
    folder.mkdir(parents=True)
    for i, one in enumerate(spoil(slices)):
        one.save_as(folder / f"{names[i % len(names)]:02d}{'' if i < len(names) else 'x'}", enforce_file_format=True)
    if fault == "a file cut short":
        path = folder / "07"
        path.write_bytes(path.read_bytes()[:-900])
    if fault == "junk beside":
        (folder / "notes.txt").write_text("no image")
        (folder / "empty.dcm").write_bytes(b"")
    affine = np.eye(4)
    affine[:3, :3] = axes * [1.0, 1.0, step]
    affine[:3, 3] = origin
    return Study(folder, fault, usable, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine, image)


def _slice(
    pixels: NDArray[np.uint16],
    origin: NDArray[np.float64],
    axes: NDArray[np.float64],
    step: float,
    k: int,
    uids: list[str],
) -> Dataset:
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID = MRImageStorage, generate_uid()
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = uids
    one.Modality, one.PatientName, one.PatientID = "MR", CANARY, CANARY
    one.SeriesDescription, one.InstanceNumber = f"T1 {CANARY}", k + 1
    one.ImagePositionPatient = [f"{value:.6f}" for value in origin]
    one.ImageOrientationPatient = [f"{value:.9f}" for value in (*axes[:, 0], *axes[:, 1])]
    one.PixelSpacing, one.SliceThickness = [1.0, 1.0], step
    one.Rows, one.Columns = pixels.shape[::-1]
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
    one.BitsAllocated, one.BitsStored, one.HighBit = 16, 16, 15
    one.PixelData = np.ascontiguousarray(pixels.T).tobytes()
    return one


def _same(slices: Slices) -> Slices:
    return slices


def _without(slices: Slices) -> Slices:
    return slices[:9] + slices[10:]


def _numbers_shuffled(slices: Slices) -> Slices:
    for one, number in zip(slices, np.random.default_rng(0).permutation(len(slices)), strict=True):
        one.InstanceNumber = int(number)
    return slices


def _twice(slices: Slices) -> Slices:
    again = deepcopy(slices[4])
    again.SOPInstanceUID = generate_uid()
    again.PixelData = bytes(reversed(slices[4].PixelData))
    return [*slices, again]


def _tilted(slices: Slices) -> Slices:
    for k, one in enumerate(slices):
        down = np.array(one.ImageOrientationPatient[3:], dtype=float)
        one.ImagePositionPatient = [
            f"{a + 0.4 * k * b:.6f}" for a, b in zip(one.ImagePositionPatient, down, strict=True)
        ]
    return slices


def _uneven(slices: Slices) -> Slices:
    normal = np.cross(*np.array(slices[0].ImageOrientationPatient, dtype=float).reshape(2, 3))
    for one in slices[12:]:
        one.ImagePositionPatient = [f"{a + 0.7 * b:.6f}" for a, b in zip(one.ImagePositionPatient, normal, strict=True)]
    return slices


def _without_positions(slices: Slices) -> Slices:
    for one in slices:
        del one.ImagePositionPatient
    return slices


def _constant(slices: Slices) -> Slices:
    for one in slices:
        one.PixelData = bytes(len(one.PixelData))
    return slices


FAULTS: dict[str, tuple[Callable[[Slices], Slices], bool]] = {
    "none": (_same, True),
    "slice numbers shuffled": (_numbers_shuffled, True),
    "junk beside": (_same, True),
    "a slice is missing": (_without, False),
    "two slices at one place": (_twice, False),
    "gantry tilt": (_tilted, False),
    "uneven distances": (_uneven, False),
    "no positions": (_without_positions, False),
    "a file cut short": (_same, False),
    "one value everywhere": (_constant, False),
}
"""What spoils the slices, and whether the study can be segmented all the same."""
