"""The object that an edited one takes the place of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medswin.errors import InputError
from medswin.io.dicom.silence import silenced
from medswin.review.dicom import codes
from medswin.review.dicom.stand_in import pointer

_PURPOSE = "Predecessor, which was edited"


@dataclass(frozen=True, repr=False)
class Predecessor:
    """Where an earlier object is found: its class, and its own, its series' and its study's identifiers."""

    storage: str
    uid: str
    series: str
    study: str


def predecessor_in(path: Path, study: str) -> Predecessor | None:
    """The object in a file if it belongs to a study; None where there is no such file, or it is of another study.

    Raises:
        InputError: if the file is no DICOM object.
    """
    import pydicom

    if not path.is_file():
        return None
    tags = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"]
    try:
        with silenced():
            found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
        told = Predecessor(*(str(found[tag].value) for tag in tags))
    except Exception:
        raise InputError("is no DICOM object", where=path.name, repair="remove it, and export again") from None
    return told if told.study == study else None


def refer(dataset: Any, predecessor: Predecessor) -> None:
    """Name the predecessor of an object: as viewers look for it, and among the instances that the object refers to."""
    from pydicom.dataset import Dataset

    item = _pointer(predecessor)
    item.PurposeOfReferenceCodeSequence = [codes.concept(codes.private(_PURPOSE))]
    dataset.ReferencedInstanceSequence = [item]
    series = Dataset()
    series.SeriesInstanceUID = predecessor.series
    series.ReferencedSOPSequence = [_pointer(predecessor)]
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = predecessor.study, [series]
    dataset.PredecessorDocumentsSequence = [study]
    instances = Dataset()
    instances.SeriesInstanceUID, instances.ReferencedInstanceSequence = predecessor.series, [_pointer(predecessor)]
    dataset.ReferencedSeriesSequence = [*dataset.ReferencedSeriesSequence, instances]


def _pointer(predecessor: Predecessor) -> Any:
    return pointer(predecessor.storage, predecessor.uid)
