"""The scan as highdicom wants to see it: complete, even and one image, whatever its files are like."""

from __future__ import annotations

from typing import Any

from medswin.review.dicom.reference import Reference

ENHANCED = {"CT": "1.2.840.10008.5.1.4.1.1.2.1", "MR": "1.2.840.10008.5.1.4.1.1.4.1"}
_EMPTY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
          "StudyTime", "ReferringPhysicianName", "PositionReferenceIndicator")  # fmt: skip


def stand_in(reference: Reference, slices: int) -> Any:
    """A header of one image whose frames are the first slices, without anything of the patient.

    What is made of it names these frames, which `renamed` puts right. One image takes highdicom far less time than
    one a slice.
    """
    made, shared, measures = _common(reference), _dataset(), _dataset()
    measures.PixelSpacing = [decimal(mm) for mm in reference.pixel_mm[::-1]]
    measures.SliceThickness, measures.SpacingBetweenSlices = (
        decimal(mm) for mm in (reference.thickness_mm, reference.step_mm)
    )
    shared.PixelMeasuresSequence = [measures]
    shared.PlaneOrientationSequence = [_dataset()]
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = [decimal(one) for one in reference.axes.ravel()]
    made.SharedFunctionalGroupsSequence = [shared]
    made.PerFrameFunctionalGroupsSequence = [_frame(one.origin_mm) for one in reference.slices[:slices]]
    made.NumberOfFrames = slices
    made.SOPClassUID = ENHANCED.get(reference.modality, ENHANCED["CT"])
    made.SOPInstanceUID = reference.slices[0].uid
    return made


def renamed(dataset: Any, reference: Reference) -> None:
    """Name the slices in an object for which the frames of the stand-in were named."""
    seen: set[int] = set()
    for group in dataset.PerFrameFunctionalGroupsSequence:
        (item,) = group.DerivationImageSequence[0].SourceImageSequence
        if id(item) in seen:  # the frames of a slice, one a structure, share their item
            continue
        seen.add(id(item))
        one = reference.slices[int(item.ReferencedFrameNumber) - 1]
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.storage, one.uid
        if one.frame is None:
            del item.ReferencedFrameNumber
        else:
            item.ReferencedFrameNumber = one.frame
    dataset.SourceImageSequence = instances(reference)
    dataset.ReferencedSeriesSequence = [series(reference)]


def files(reference: Reference) -> list[Any]:
    """A header for each file, as evidence of a report."""
    common = _common(reference)
    made = []
    for one in reference.files:
        header = _dataset()
        header.update(common)
        header.SOPClassUID, header.SOPInstanceUID = one.storage, one.uid
        made.append(header)
    return made


def instances(reference: Reference) -> list[Any]:
    """A reference to each file."""
    return [pointer(one.storage, one.uid) for one in reference.files]


def series(reference: Reference) -> Any:
    """A reference to the series and its files."""
    made = _dataset()
    made.SeriesInstanceUID = reference.series
    made.ReferencedInstanceSequence = instances(reference)
    return made


def pointer(storage: str, uid: str) -> Any:
    """A reference to an object."""
    made = _dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = storage, uid
    return made


def _frame(origin_mm: tuple[float, float, float]) -> Any:
    made, plane = _dataset(), _dataset()
    plane.ImagePositionPatient = [decimal(mm) for mm in origin_mm]
    made.PlanePositionSequence = [plane]
    return made


def _common(reference: Reference) -> Any:
    made = _dataset()
    for tag in _EMPTY:
        setattr(made, tag, None)
    made.Modality = reference.modality
    made.StudyInstanceUID, made.SeriesInstanceUID = reference.study, reference.series
    made.FrameOfReferenceUID = reference.frame
    made.Columns, made.Rows = reference.grid.shape[:2]
    if reference.header.get("LossyImageCompression") == "01":
        made.LossyImageCompression = "01"
    return made


def _dataset() -> Any:
    from pydicom.dataset import Dataset

    return Dataset()


def decimal(value: float) -> Any:
    """A number in at most 16 characters, as DICOM's decimal strings must be."""
    from pydicom.valuerep import DSfloat

    return DSfloat(float(value), auto_format=True)
