"""Enhanced multi-frame files of real slices: written by hand, and by highdicom as a conversion of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ExplicitVRLittleEndian
from traps import CANARY, ROOT

ENHANCED = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1"}
MOVED = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "RescaleSlope", "EchoTime",
    "RescaleIntercept", "RescaleType", "InstanceNumber", "SliceLocation", "AcquisitionNumber", "StackID",
    "InStackPositionNumber", "AcquisitionTime",
)  # fmt: skip
"""What a file of one slice keeps at its top, and an enhanced one in its functional groups."""

Groups = Callable[[Any, int], dict[str, Dataset]]


def item(**values: Any) -> Dataset:
    dataset = Dataset()
    for tag, value in values.items():
        setattr(dataset, tag, value)
    return dataset


def groups(**sequences: Dataset) -> Dataset:
    return item(**{name: Items([one]) for name, one in sequences.items()})


def enhanced(slices: Sequence[Any], more: Groups = lambda d, i: {}) -> Any:
    """One file of slices as frames, in an order that tells nothing; ``more`` gives functional groups of a frame."""
    order = [(5 * i) % len(slices) for i in range(len(slices))]
    assert sorted(order) == list(range(len(slices)))
    first = copy.deepcopy(slices[0])
    shared = groups(
        PlaneOrientationSequence=item(ImageOrientationPatient=first.ImageOrientationPatient),
        PixelMeasuresSequence=item(PixelSpacing=first.PixelSpacing, SliceThickness=first.SliceThickness),
        **{f"{first.Modality}ImageFrameTypeSequence": item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])},
    )
    frames = []
    for k, i in enumerate(order):
        d = slices[i]
        about = {
            "PlanePositionSequence": item(ImagePositionPatient=d.ImagePositionPatient),
            "FrameContentSequence": item(
                StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[1, k + 1], FrameComments=CANARY
            ),
            "PixelValueTransformationSequence": item(
                RescaleSlope=d.get("RescaleSlope", 1), RescaleIntercept=d.get("RescaleIntercept", 0), RescaleType="US"
            ),
        }
        frames.append(groups(**(about | more(d, i))))
    stored = np.stack([slices[i].pixel_array for i in order])
    for tag in MOVED:
        if tag in first:
            delattr(first, tag)
    first.SOPClassUID = first.file_meta.MediaStorageSOPClassUID = ENHANCED[first.Modality]
    first.SOPInstanceUID = first.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}9"
    first.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    first.NumberOfFrames, first.PixelData = len(slices), stored.tobytes()
    first["PixelData"].VR = "OW"
    first.SharedFunctionalGroupsSequence, first.PerFrameFunctionalGroupsSequence = Items([shared]), Items(frames)
    return first


def converted(slices: Sequence[Any]) -> Any:
    """A legacy-converted enhanced file, by highdicom."""
    from highdicom.legacy import LegacyConvertedEnhancedCTImage, LegacyConvertedEnhancedMRImage

    made = {"CT": LegacyConvertedEnhancedCTImage, "MR": LegacyConvertedEnhancedMRImage}[slices[0].Modality]
    sources = copy.deepcopy(list(slices))
    for i, source in enumerate(sources):
        source.StudyDate = source.SeriesDate = source.AcquisitionDate = source.ContentDate = "20200101"
        source.PatientBirthDate, source.PatientSex, source.InstanceNumber = "19700101", "O", i + 1
        source.FrameOfReferenceUID = f"{ROOT}5"
        source.BodyPartExamined = "BRAIN"
    return made(sources, f"{ROOT}7", 7, f"{ROOT}8", 1)
