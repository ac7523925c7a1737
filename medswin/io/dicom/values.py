"""Values of DICOM tags, read so that nonsense counts as missing; a tag has one name here, wherever a file keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Way = tuple[str, ...]

_TYPES = ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence", "PETFrameTypeSequence")
_DIRECTION = ("MRDiffusionSequence", "DiffusionGradientDirectionSequence", "DiffusionGradientOrientation")
_WAYS: dict[str, tuple[Way, ...]] = {
    "ImagePositionPatient": (("PlanePositionSequence", "ImagePositionPatient"),),
    "ImageOrientationPatient": (("PlaneOrientationSequence", "ImageOrientationPatient"),),
    "PixelSpacing": (("PixelMeasuresSequence", "PixelSpacing"),),
    "SliceThickness": (("PixelMeasuresSequence", "SliceThickness"),),
    "RescaleSlope": (("PixelValueTransformationSequence", "RescaleSlope"),),
    "RescaleIntercept": (("PixelValueTransformationSequence", "RescaleIntercept"),),
    "ImageType": tuple((sequence, "FrameType") for sequence in _TYPES),
    "TemporalPositionIdentifier": (("FrameContentSequence", "TemporalPositionIndex"),),
    "StackID": (("FrameContentSequence", "StackID"),),
    "DimensionIndexValues": (("FrameContentSequence", "DimensionIndexValues"),),
    "EchoTime": (("MREchoSequence", "EffectiveEchoTime"),),
    "DiffusionBValue": (("MRDiffusionSequence", "DiffusionBValue"),),
    "DiffusionGradientOrientation": (_DIRECTION,),
    "TriggerTime": (("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),),
    "AcquisitionNumber": (("FrameContentSequence", "FrameAcquisitionNumber"),),
    "AcquisitionTime": (("FrameContentSequence", "FrameAcquisitionDateTime"),),
}
_CONVERTED = ("UnassignedPerFrameConvertedAttributesSequence", "UnassignedSharedConvertedAttributesSequence")


_ABOUT = ("TransferSyntaxUID", "MediaStorageSOPClassUID")
"""What the head of a file says of it."""


class Tags(Protocol):
    """The values `known` of a dataset, a dataset of pydicom, or a `Frame` of one."""

    def get(self, tag: str) -> Any:
        """The value of a tag by its keyword; None where it is missing."""


class Frame:
    """A frame of a multi-frame dataset as if it were a slice with a file of its own, by the tags that such a file has.

    What the functional groups of a frame do not say, those shared by all frames say; what neither says, the attributes
    that a conversion from slices left over; and else the dataset itself.
    """

    def __init__(self, tags: Tags, number: int) -> None:
        self._file = tags
        shared = tags.get("SharedFunctionalGroupsSequence")
        self._groups = [tags.get("PerFrameFunctionalGroupsSequence")[number], *(shared or ())][:2]

    def get(self, tag: str) -> Any:
        """See `Tags.get`."""
        if tag not in _WAYS:
            return self._file.get(tag)
        ways = (*_WAYS[tag], *((sequence, tag) for sequence in _CONVERTED))
        found = (_follow(group, way) for way in ways for group in self._groups)
        return next((value for value in found if value is not None), self._file.get(tag))


def known(dataset: Any, names: Mapping[Any, str]) -> dict[str, Any]:
    """The values of a dataset by the names of their tags, each looked up once, as that is what takes the time.

    ``"?"`` stands for what is no number but should be; those of `_ABOUT` are among them.
    """
    found = {tag: dataset.file_meta.get(tag) for tag in _ABOUT}
    for tag in dataset.keys() & names.keys():
        try:
            found[names[tag]] = dataset[tag].value
        except (TypeError, ValueError):
            found[names[tag]] = "?"
    return found


def listed(tags: Tags, tag: str) -> list[Any]:
    """The values of a tag; none where it is missing or empty, ``"?"`` where they are no numbers but should be."""
    try:
        value = tags.get(tag)
    except (TypeError, ValueError):
        return ["?"]
    if value is None or value == "":
        return []
    return list(value) if not isinstance(value, str) and hasattr(value, "__iter__") else [value]


def numbers(tags: Tags, tag: str, count: int) -> NDArray[np.float64] | None:
    """(count,) of a tag; None for what is missing, too short, too long or no finite number."""
    try:
        found = np.array([float(value) for value in listed(tags, tag)])
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and np.isfinite(found).all() else None


def number(tags: Tags, tag: str) -> float | None:
    """The one number of a tag; see `numbers`."""
    found = numbers(tags, tag, 1)
    return None if found is None else float(found[0])


def is_compressed(uid: Any) -> bool:
    """Whether pixels of a transfer syntax are compressed; not those of a private one, of which nobody can tell."""
    return bool(uid.is_transfer_syntax and not uid.is_private and uid.is_encapsulated)


def _follow(group: Any, way: Way) -> Any:
    for sequence in way[:-1]:
        items = group.get(sequence)
        if not items:
            return None
        group = items[0]
    return group.get(way[-1])
