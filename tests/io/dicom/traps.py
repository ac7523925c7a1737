"""Traps: ways in which real series go wrong, built in code from real slices, and the truth that they are held to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import Dataset

from medswin.io import Scan

Change = Callable[[Any, int], Any]
"""Changes a dataset in place, or gives what to write in its stead: one or a list of them."""

CANARY = "Muster^Hans"
BORN = "19530211"
ROOT = "1.2.826.0.1.3680043.8.4711."
CANARIES = ("Muster", BORN, ROOT, "4711-0815")
"""What nothing may quote: a name, a date, a root of UIDs and a number, each planted in many tags."""

CT_IMAGE, MR_IMAGE = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
COLUMNS, ROWS = 80, 96


@dataclass(frozen=True, eq=False)
class Truth:
    """Voxels (X, Y, Z) and affine (4, 4), index -> RAS+ mm."""

    voxels: np.ndarray
    affine: np.ndarray


def by_simpleitk(files: Sequence[Path | str]) -> Truth:
    """What SimpleITK reads from files in this order."""
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    return of_image(reader.Execute())


def of_image(image: Any) -> Truth:
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return Truth(SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ affine)


def assert_in_place(scan: Scan, truth: Truth, *, off: float = 0.01, whole: bool = True) -> None:
    """Each voxel of the scan lies, within a share of a voxel, where the truth has one, and has its value."""
    image = scan.image.as_tensor().numpy()[0]
    index = np.indices(image.shape).reshape(3, -1)
    there = np.linalg.solve(truth.affine, np.asarray(scan.image.affine)) @ [*index, np.ones(index.shape[1])]
    rounded = np.rint(there[:3]).astype(int)
    assert np.abs(there[:3] - rounded).max() < off
    np.testing.assert_array_equal(image.ravel(), truth.voxels[tuple(rounded)].astype(np.float32))
    if whole:
        assert image.size == truth.voxels.size


def cropped(dataset: Any) -> Any:
    """The middle of a slice, not compressed; its position moves with it."""
    stored = dataset.pixel_array
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        dataset.decompress(generate_instance_uid=False)
    row, column = ((n - m) // 2 for n, m in zip(stored.shape, (ROWS, COLUMNS), strict=True))
    axes = np.reshape(np.array(dataset.ImageOrientationPatient, float), (2, 3))
    down, across = (float(value) for value in dataset.PixelSpacing)
    corner = np.array(dataset.ImagePositionPatient, float) + column * across * axes[0] + row * down * axes[1]
    set_pixels(dataset, stored[row : row + ROWS, column : column + COLUMNS])
    dataset.ImagePositionPatient = [f"{value:.10g}" for value in corner]
    return dataset


def set_pixels(dataset: Any, stored: np.ndarray) -> None:
    dataset.Rows, dataset.Columns = stored.shape
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"


def with_canaries(dataset: Any, i: int) -> Any:
    """Each text in a slice says a canary, but where a code or a number is needed; so do its UIDs and dates."""
    for element in dataset:
        if element.VR in ("PN", "LO", "SH", "LT", "ST", "UT"):
            element.value = CANARY
        if element.VR in ("DA",):
            element.value = BORN
    for tag in ("PatientName", "PatientID", "SeriesDescription", "ImageComments", "OperatorsName", "InstitutionName"):
        setattr(dataset, tag, CANARY)
    dataset.PatientBirthDate, dataset.AccessionNumber = BORN, "4711-0815"
    dataset.private_block(0x0011, CANARY, create=True).add_new(1, "LO", CANARY)
    dataset.SOPClassUID = {"CT": CT_IMAGE, "MR": MR_IMAGE}[dataset.Modality]
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{ROOT}1", f"{ROOT}2"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}3.{i + 1}"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.PatientWeight = None
    return dataset


def axes_of(dataset: Any) -> np.ndarray:
    """(3, 3) unit vectors along a row, along a column and across the slice."""
    axes = np.reshape(np.array(dataset.ImageOrientationPatient, float), (2, 3))
    return np.vstack([axes, np.cross(*axes)])


def move(dataset: Any, along: int, mm: float) -> None:
    """Move a slice along its rows (0), its columns (1) or its normal (2)."""
    position = np.array(dataset.ImagePositionPatient, float) + mm * axes_of(dataset)[along]
    dataset.ImagePositionPatient = [f"{value:.10g}" for value in position]


def version(dataset: Any, add: int = 1) -> Any:
    """The same slice with every stored value higher."""
    other = copy.deepcopy(dataset)
    set_pixels(other, (dataset.pixel_array + add).astype(dataset.pixel_array.dtype))
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = f"{dataset.SOPInstanceUID}.{add}"
    return other


def at_two_times(tag: str, values: tuple[Any, Any] = (1, 2)) -> Change:
    def change(d: Any, i: int) -> list[Any]:
        other = version(d)
        for one, value in zip((d, other), values, strict=True):
            setattr(one, tag, value)
        return [d, other]

    return change


def shuffled_numbers(d: Any, i: int) -> None:
    d.InstanceNumber = (5 * i) % 12


def negative_spacing(d: Any, i: int) -> None:
    d.SpacingBetweenSlices = -3


def jitter(d: Any, i: int) -> None:
    d.ImagePositionPatient = [float(value) + 4e-3 * (-1) ** i for value in d.ImagePositionPatient]
    d.ImageOrientationPatient = [float(value) + 1e-7 * (-1) ** i for value in d.ImageOrientationPatient]


def monochrome1(d: Any, i: int) -> None:
    d.PhotometricInterpretation = "MONOCHROME1"


def no_uids(d: Any, i: int) -> None:
    d.SeriesInstanceUID = d.StudyInstanceUID = d.SOPInstanceUID = d.SOPClassUID = ""


def no_instance_number(d: Any, i: int) -> None:
    d.InstanceNumber = None


def flipped_rows(d: Any, i: int) -> None:
    move(d, 1, (d.Rows - 1) * float(d.PixelSpacing[0]))
    axes = axes_of(d)
    d.ImageOrientationPatient = [*axes[0], *-axes[1]]
    set_pixels(d, d.pixel_array[::-1])


def oblong(d: Any, i: int) -> None:
    """Twice the distance of columns."""
    rows, columns = (float(value) for value in d.PixelSpacing)
    d.PixelSpacing = [rows, 2 * columns]


def own_slope(d: Any, i: int) -> None:
    d.RescaleSlope, d.RescaleIntercept = 1 + i / 4, -i


def signed(d: Any, i: int) -> None:
    """The same values, stored with a sign and with other zero."""
    slope, intercept = float(d.get("RescaleSlope", 1)), float(d.get("RescaleIntercept", 0))
    stored = d.pixel_array.astype(np.int32) - 2000
    assert stored.min() < 0
    assert stored.max() < 2**15
    d.PixelRepresentation, d.BitsStored, d.HighBit = 1, 16, 15
    d.RescaleSlope, d.RescaleIntercept = slope, intercept + 2000 * slope
    set_pixels(d, stored.astype(np.int16))


def unused_bits(d: Any, i: int) -> None:
    """Bits above those stored hold something, as overlays once did there."""
    stored = d.pixel_array.astype(np.uint16)
    bits = max(12, int(stored.max()).bit_length())
    assert bits < 16
    d.PixelRepresentation, d.BitsStored, d.HighBit = 0, bits, bits - 1
    set_pixels(d, stored | np.uint16((1 << 15) * (i % 2)))


def scout(d: Any, i: int) -> list[Any]:
    if i:
        return [d]
    other = copy.deepcopy(d)
    other.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    axes = axes_of(d)
    other.ImageOrientationPatient = [*axes[0], *axes[2]]
    return [d, other]


def captures(d: Any, i: int) -> list[Any]:
    colour, palette, capture, report, photo = (copy.deepcopy(d) for _ in range(5))
    colour.SamplesPerPixel, palette.PhotometricInterpretation = 3, "PALETTE COLOR"
    capture.SOPClassUID, report.Modality = "1.2.840.10008.5.1.4.1.1.7", "SR"
    photo.Modality = "OT"
    return [d, colour, palette, capture, report, photo]


def turned(d: Any, i: int) -> list[Any]:
    """Another stack in the same series, its slices at right angles."""
    other = copy.deepcopy(d)
    axes = axes_of(d)
    move(other, 2, -step_mm(d) * i)
    move(other, 1, 2 * i)
    other.ImageOrientationPatient = [*axes[0], *axes[2]]
    return [d, other] if i < 2 else [d]


def every_other_of_another_series(d: Any, i: int) -> None:
    if i % 2:
        d.SeriesInstanceUID = f"{ROOT}22"


def tilted(d: Any, i: int) -> None:
    move(d, 1, np.tan(np.radians(15)) * step_mm(d) * i)


def step_mm(d: Any) -> float:
    """Distance of the real slices."""
    return {"CT": 2.0, "MR": 6.5}[d.Modality]


def uneven(d: Any, i: int) -> None:
    move(d, 2, 0.3 * step_mm(d) * (i == 7))


def moved_aside(d: Any, i: int) -> None:
    move(d, 0, 20 * (i == 7))


def slope_of_zero(d: Any, i: int) -> None:
    d.RescaleSlope, d.RescaleIntercept = int(i != 7), 0


def slope_of_words(d: Any, i: int) -> None:
    del d[0x00281053:0x00281054]
    d.add_new("RescaleSlope", "LO", CANARY)


def stretched_axes(d: Any, i: int) -> None:
    d.ImageOrientationPatient = [2, 0, 0, 0, 0.5, 0]


def flat_orientation(d: Any, i: int) -> None:
    d.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


def no_position(d: Any, i: int) -> None:
    del d.ImagePositionPatient


def no_orientation(d: Any, i: int) -> None:
    del d.ImageOrientationPatient


def no_pixel_spacing(d: Any, i: int) -> None:
    del d.PixelSpacing


def cut_short(d: Any, i: int) -> None:
    if i == 4:
        d.PixelData = d.PixelData[: len(d.PixelData) // 2]


def two_frames_in_one(d: Any, i: int) -> None:
    if i == 4:
        d.PixelData = d.PixelData * 2


def by_a_table(d: Any, i: int) -> None:
    d.ModalityLUTSequence = [Dataset()]


def shifted_bits(d: Any, i: int) -> None:
    d.BitsStored, d.HighBit = 12, 15


def unknown_compression(d: Any, i: int) -> None:
    d["PixelData"].VR = "OB"
    d.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
    d.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML


def absurd_size(d: Any, i: int) -> None:
    d.Rows = d.Columns = 65535
