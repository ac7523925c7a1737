"""Ways in which the slices of a series lie, or are spoilt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import numpy as np
from fault_slices import Slices
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

Spoil = Callable[[Slices], Slices]


def each(change: Callable[[Dataset, int], None]) -> Spoil:
    """Do the same to each slice."""

    def spoil(slices: Slices) -> Slices:
        for k, one in enumerate(slices):
            change(one, k)
        return slices

    return spoil


def moved(one: Dataset, mm: Sequence[float]) -> None:
    """Move a slice along its rows, its columns and its normal."""
    axes = np.reshape(np.array(one.ImageOrientationPatient, dtype=float), (2, 3))
    place = np.array(one.ImagePositionPatient, dtype=float) + np.array(mm) @ np.vstack([axes, np.cross(*axes)])
    one.ImagePositionPatient = [f"{value:.6f}" for value in place]


def number_shuffled(one: Dataset, k: int) -> None:
    """Number the slices in an order that is none."""
    one.InstanceNumber = 7 * k % 20


def shaken(one: Dataset, k: int) -> None:
    """Move each slice a little, back and forth."""
    moved(one, [4e-3 * (-1) ** k, 0, 0])


def flip_rows(one: Dataset, k: int) -> None:
    """The last row first, with all positions right."""
    moved(one, [0, one.Rows - 1, 0])
    one.ImageOrientationPatient = [*one.ImageOrientationPatient[:3], *(-v for v in one.ImageOrientationPatient[3:])]
    one.PixelData = one.pixel_array[::-1].tobytes()


def without_uids(one: Dataset, k: int) -> None:
    """As some de-identification leaves it: the head of the file still has them."""
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
    one.SOPClassUID = one.SOPInstanceUID = one.StudyInstanceUID = one.SeriesInstanceUID = ""


def twin(slices: Slices) -> Slices:
    """A slice lies there twice, with the same pixels."""
    again = deepcopy(slices[4])
    again.SOPInstanceUID = generate_uid()
    return [*slices, again]


def differing(slices: Slices) -> Slices:
    """A slice lies there twice, with other pixels."""
    *others, again = twin(slices)
    again.PixelData = bytes(reversed(again.PixelData))
    return [*others, again]


def scout(slices: Slices) -> Slices:
    """A localiser lies in the series."""
    one = deepcopy(slices[0])
    one.ImageType, one.SOPInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER"], generate_uid()
    one.ImageOrientationPatient = [*one.ImageOrientationPatient[3:], *one.ImageOrientationPatient[:3]]
    return [*slices, one]


def captures(slices: Slices) -> Slices:
    """A colour image and a secondary capture lie in the series."""
    colour, capture = deepcopy(slices[0]), deepcopy(slices[1])
    colour.SamplesPerPixel, capture.SOPClassUID = 3, "1.2.840.10008.5.1.4.1.1.7"
    return [*slices, colour, capture]


def with_another(tag: str, values: Sequence[object]) -> Spoil:
    """Each slice comes once more, turned by half, and a tag tells the two apart."""

    def spoil(slices: Slices) -> Slices:
        others = deepcopy(slices)
        for one in others:
            one.PixelData, one.SOPInstanceUID = one.pixel_array[::-1, ::-1].tobytes(), generate_uid()
        for part, value in zip((slices, others), values, strict=True):
            for one in part:
                setattr(one, tag, value)
        return [*slices, *others]

    return spoil


def cross_stack(slices: Slices) -> Slices:
    """A few slices of the same series at right angles to the others; they are no volume for the model."""
    others = deepcopy(slices[:5])
    for one in others:
        axes = np.reshape(np.array(one.ImageOrientationPatient, dtype=float), (2, 3))
        one.ImageOrientationPatient = [f"{value:.9f}" for value in (*axes[0], *np.cross(*axes))]
        one.SOPInstanceUID = generate_uid()
    return [*slices, *others]
