"""Outlines of the structures as an RT structure set, slice by slice, for planning systems.

Volumes are those of the segmentation: a polygon has no room for half a voxel, and readers fill it by rules of their
own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.labels import Label
from medswin.prediction import Prediction
from medswin.review.dicom import codes, identity, stand_in
from medswin.review.dicom.contours import area, outlines
from medswin.review.dicom.predecessor import Predecessor
from medswin.review.dicom.reference import Reference
from medswin.review.dicom.text import different, line
from medswin.review.edited import is_edited

STORAGE = "1.2.840.10008.5.1.4.1.1.481.3"
NUMBER = 5
WORST = 0.01
"""Share of a structure's area by which its outlines may be off without a warning."""
_STUDY = "1.2.840.10008.3.1.2.3.1"
_FARTHEST_MM = 1e8
_CONTOUR_DATA = 0x30060050

Rings = list[tuple[int, NDArray[np.float64]]]


def structure_set(
    prediction: Prediction, reference: Reference, predecessor: Predecessor | None = None
) -> tuple[Any, list[str]]:
    """The outlines of a case, and a warning for each structure that they show badly.

    Each ring is a contour of its own, also that of a hole: what lies within an odd number of rings is inside.

    Args:
        prediction: the case.
        reference: its slices.
        predecessor: the structure set that was edited.

    Returns:
        The dataset, and sentences on structures whose outlines hold another area than their voxels by over `WORST`,
        as those of thin ones, of small pieces and of many holes do. A structure that was not found has no outlines.

    Raises:
        InputError: if nothing was found, or a position does not fit into DICOM's numbers.
    """
    found = {label: _rings(prediction.labels, label.value) for label in prediction.label_set}
    found = {label: rings for label, rings in found.items() if rings}
    if not found:
        raise InputError("nothing was found in it, there is nothing to outline", where=prediction.case)
    made = _empty(prediction, reference)
    if predecessor is not None:
        made.PredecessorStructureSetSequence = [stand_in.pointer(predecessor.storage, predecessor.uid)]
    names = different([label.name for label in prediction.label_set])
    made.StructureSetROISequence = [_roi(one, names[one.value - 1], reference, prediction) for one in found]
    made.ROIContourSequence = [_contours(label, rings, reference) for label, rings in found.items()]
    made.RTROIObservationsSequence = [_observed(label) for label in found]
    told = ((names[label.value - 1], _off(prediction.labels, label.value, rings)) for label, rings in found.items())
    return made, [
        f"{prediction.case}: the outlines of {name} enclose {_more_or_less(off)}; use the segmentation for it"
        for name, off in told
        if abs(off) > WORST
    ]


def _rings(labels: NDArray[np.uint8], value: int) -> Rings:
    """Number of the slice and ring, for each ring."""
    slices = np.flatnonzero((labels == value).any(axis=(0, 1)))
    return [(int(z), ring) for z in slices for ring in outlines((labels[..., z] == value).T)]


def _off(labels: NDArray[np.uint8], value: int, rings: Rings) -> float:
    """By what share the area within the rings is larger than that of the voxels."""
    by_slice: dict[int, list[NDArray[np.float64]]] = {}
    for z, ring in rings:
        by_slice.setdefault(z, []).append(ring)
    voxels = int(np.count_nonzero(labels == value))
    return sum(map(area, by_slice.values())) / voxels - 1


def _more_or_less(off: float) -> str:
    """Each ring loses half a voxel, each hole gains one, see `medswin.review.dicom.contours`."""
    if off < 0:
        return f"{-100 * off:.1f} % less area than its voxels, as it is thin or in small pieces on its slices"
    return f"{100 * off:.1f} % more area than its voxels, as it has many small holes on its slices"


def _empty(prediction: Prediction, reference: Reference) -> Any:
    from pydicom.uid import ImplicitVRLittleEndian

    made = identity.base(STORAGE, reference, prediction)
    # With explicit types, the points of a long contour would not fit: 64 KiB is the most there.
    made.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    identity.series(made, "RTSTRUCT", NUMBER, "outlines", prediction)
    made.OperatorsName, made.PositionReferenceIndicator = None, None
    made.FrameOfReferenceUID = reference.frame
    now = datetime.now()
    made.StructureSetLabel, made.StructureSetName = identity.MAKER, line(made.SeriesDescription)
    made.StructureSetDescription = _told(prediction)
    made.StructureSetDate, made.StructureSetTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    made.ApprovalStatus = "UNAPPROVED"
    made.ReferencedFrameOfReferenceSequence = [_frame(reference)]
    return made


def _frame(reference: Reference) -> Any:
    series, study, frame = _dataset(), stand_in.pointer(_STUDY, reference.study), _dataset()
    series.SeriesInstanceUID = reference.series
    series.ContourImageSequence = stand_in.instances(reference)
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = reference.frame, [study]
    return frame


def _roi(label: Label, name: str, reference: Reference, prediction: Prediction) -> Any:
    made = _dataset()
    made.ROINumber, made.ReferencedFrameOfReferenceUID = label.value, reference.frame
    made.ROIName, made.ROIDescription = name, _told(prediction, label.name)
    made.ROIGenerationAlgorithm = "SEMIAUTOMATIC" if is_edited(prediction) else "AUTOMATIC"
    return made


def _told(prediction: Prediction, *more: str) -> str:
    return line(" ".join([f"{identity.WARNING}.", *identity.cautions(prediction), *more]), 1024)


def _observed(label: Label) -> Any:
    made = _dataset()
    made.ObservationNumber, made.ReferencedROINumber = label.value, label.value
    made.RTROIIdentificationCodeSequence = [codes.concept(codes.structure(label))]
    made.RTROIInterpretedType, made.ROIInterpreter = "ORGAN", None
    return made


def _contours(label: Label, rings: Rings, reference: Reference) -> Any:
    made = _dataset()
    made.ROIDisplayColor, made.ReferencedROINumber = list(label.color), label.value
    made.ContourSequence = [_contour(number, z, ring, reference) for number, (z, ring) in enumerate(rings, start=1)]
    return made


def _contour(number: int, z: int, ring: NDArray[np.float64], reference: Reference) -> Any:
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    one, made = reference.slices[z], _dataset()
    image = stand_in.pointer(one.storage, one.uid)
    if one.frame is not None:
        image.ReferencedFrameNumber = one.frame
    made.ContourImageSequence = [image]
    made.ContourGeometricType, made.NumberOfContourPoints, made.ContourNumber = "CLOSED_PLANAR", len(ring), number
    content = _points(ring, one.origin_mm, reference)
    # As bytes: numbers of pydicom's, one for each coordinate, would take most of the time.
    made[_CONTOUR_DATA] = RawDataElement(Tag(_CONTOUR_DATA), "DS", len(content), content, 0, True, True)
    return made


def _points(ring: NDArray[np.float64], origin_mm: tuple[float, float, float], reference: Reference) -> bytes:
    """Positions of points in DICOM's coordinates, to a thousandth of a millimetre."""
    steps = reference.axes * np.array(reference.pixel_mm)[:, None]
    points_mm = np.asarray(origin_mm) + ring[:, 1:] * steps[0] + ring[:, :1] * steps[1]
    if np.abs(points_mm).max() >= _FARTHEST_MM:
        raise InputError(
            "its slices lie too far out to be outlined", where=reference.case, repair="check its positions"
        )
    text = "\\".join(f"{mm:.3f}" for mm in points_mm.ravel().tolist())
    return (text + " " * (len(text) % 2)).encode("ascii")


def _dataset() -> Any:
    from pydicom.dataset import Dataset

    return Dataset()
