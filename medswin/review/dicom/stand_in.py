"""Slices as highdicom wants to see them: complete, even and one image each, whatever their files are like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from medswin.review.dicom.reference import Reference, Slice
from medswin.review.dicom.uids import CLASSES

_EMPTY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
          "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator")  # fmt: skip


def stand_ins(reference: Reference) -> list[Any]:
    """A header for each slice, without anything of the patient.

    A frame of a multi-frame file is given as a slice with a name of its own, which `renamed` puts right again.
    """
    common = _common(reference)
    return [_one(reference, common, one, number) for number, one in enumerate(reference.slices)]


def files(reference: Reference) -> list[Any]:
    """A header for each file, as evidence of a report."""
    common = _common(reference)
    made = []
    for one in reference.files:
        header = _copy(common)
        header.SOPClassUID, header.SOPInstanceUID = one.storage, one.uid
        made.append(header)
    return made


def renamed(dataset: Any, reference: Reference) -> None:
    """Name the files and frames in an object for which their stand-ins were named."""
    by_name = {_name(one, number): one for number, one in enumerate(reference.slices) if one.frame is not None}
    if by_name:
        seen: set[int] = set()
        for item in _references(dataset):
            one = by_name.get(str(item.ReferencedSOPInstanceUID))
            if one is not None and id(item) not in seen:  # frames of several segments share their items
                seen.add(id(item))
                item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.storage, one.uid
                item.ReferencedFrameNumber = one.frame
    dataset.SourceImageSequence = instances(reference)
    dataset.ReferencedSeriesSequence = [series(reference)]


def instances(reference: Reference) -> list[Any]:
    """A reference to each file."""
    return [pointer(one.storage, one.uid) for one in reference.files]


def series(reference: Reference) -> Any:
    """A reference to the series and its files."""
    from pydicom.dataset import Dataset

    made = Dataset()
    made.SeriesInstanceUID = reference.series
    made.ReferencedInstanceSequence = instances(reference)
    return made


def pointer(storage: str, uid: str) -> Any:
    """A reference to an object."""
    from pydicom.dataset import Dataset

    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = storage, uid
    return made


def _references(dataset: Any) -> Iterator[Any]:
    for group in dataset.get("PerFrameFunctionalGroupsSequence") or ():
        for derivation in group.get("DerivationImageSequence") or ():
            yield from derivation.get("SourceImageSequence") or ()


def _name(one: Slice, number: int) -> str:
    return one.uid if one.frame is None else f"2.25.{number + 1}"


def _one(reference: Reference, common: Any, one: Slice, number: int) -> Any:
    header = _copy(common)
    single = one.frame is None
    header.SOPClassUID = one.storage if single else CLASSES.get(reference.modality, CLASSES["CT"])
    header.SOPInstanceUID = _name(one, number)
    header.ImagePositionPatient = [decimal(mm) for mm in one.origin_mm]
    return header


def _common(reference: Reference) -> Any:
    from pydicom.dataset import Dataset

    made = Dataset()
    for tag in _EMPTY:
        setattr(made, tag, None)
    made.Modality = reference.modality
    made.StudyInstanceUID, made.SeriesInstanceUID = reference.study, reference.series
    made.FrameOfReferenceUID = reference.frame
    made.Columns, made.Rows = reference.grid.shape[:2]
    made.ImageOrientationPatient = [decimal(one) for one in reference.axes.ravel()]
    made.PixelSpacing = [decimal(mm) for mm in reference.pixel_mm[::-1]]
    made.SliceThickness, made.SpacingBetweenSlices = decimal(reference.thickness_mm), decimal(reference.step_mm)
    if reference.header.get("LossyImageCompression") == "01":
        made.LossyImageCompression = "01"
    return made


def _copy(common: Any) -> Any:
    from pydicom.dataset import Dataset

    made = Dataset()
    made.update(common)
    return made


def decimal(value: float) -> Any:
    """A number in at most 16 characters, as DICOM's decimal strings must be."""
    from pydicom.valuerep import DSfloat

    return DSfloat(float(value), auto_format=True)
