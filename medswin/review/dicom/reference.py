"""What exported objects refer to: the very slices that a case was made of, in the order of its label map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.dicom.header import Header
from medswin.io.dicom.series import Series
from medswin.io.dicom.silence import silenced
from medswin.io.dicom.stack import LPS_TO_RAS, stacked
from medswin.io.grid import Grid
from medswin.io.sources import SeriesSource, Source
from medswin.prediction import Prediction
from medswin.review.dicom.text import LONGEST
from medswin.review.dicom.uids import identifiers

TURNED = 1e-4
"""By how much the directions of slices may differ; within that, they are taken as those of the first."""
APART_MM = 1e-3
"""By how much a label map may lie off its slices."""
_TAGS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
         "PatientID", "PatientName", "StudyDate", "StudyTime", "StudyID", "AccessionNumber")  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Slice:
    """A slice, or a frame of a multi-frame file.

    Attributes:
        storage, uid: class and identifier of its file.
        frame: its number in the file, from 1; None for a file of one slice.
        origin_mm: centre of its first pixel, in DICOM's coordinates (left, posterior, superior).
    """

    storage: str
    uid: str
    frame: int | None
    origin_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False, repr=False)
class Reference:
    """The scan of a case, as exported objects name it. It has no telling ``repr``: its header names the patient.

    Attributes:
        case: name of the case.
        header: of the first file, without pixels.
        study, series, frame: identifiers of study, series and frame of reference.
        slices: one for each index of the label map's third axis.
        axes: (2, 3) unit vectors along a row and along a column.
        pixel_mm: distance of columns and of rows.
        step_mm, thickness_mm: distance and thickness of the slices.
        grid: (columns, rows, slices) and the affine, voxel index -> RAS+ mm.
        notes: identifiers that were made up, in words.
    """

    case: str
    header: Any
    study: str
    series: str
    frame: str
    slices: tuple[Slice, ...]
    axes: NDArray[np.float64]
    pixel_mm: tuple[float, float]
    step_mm: float
    thickness_mm: float
    grid: Grid
    notes: tuple[str, ...] = ()

    @property
    def modality(self) -> str:
        return str(self.header.get("Modality") or "OT")

    @property
    def files(self) -> tuple[Slice, ...]:
        """The first slice of each file."""
        return tuple({one.uid: one for one in reversed(self.slices)}.values())[::-1]


def referenced(prediction: Prediction, source: Source, key: bytes | None = None) -> Reference:
    """The slices of a case; of a case of several series, those of the first, on whose grid its label map lies.

    Args:
        prediction: the case.
        source: its scan, see `medswin.io.reopen`.
        key: of identifiers that are made up where the files have none; None to refuse such files.

    Raises:
        InputError: for a scan that is no DICOM series, that was resampled, whose identifiers are invalid (see
            `medswin.review.dicom.uids`; a PatientID too), whose slices lie in different directions, or on whose slices
            the label map does not lie.
    """
    case = prediction.case
    if not isinstance(source, SeriesSource):
        raise InputError(
            "its scan is no DICOM series: there is no study that a DICOM object could belong to",
            where=case,
            repair="export nifti or seg-nrrd, or segment the DICOM series itself",
        )
    _check_not_resampled(prediction)
    series = source.series[0]
    stack = stacked(series)
    grid = Grid.checked(stack.shape, stack.affine, case)
    _check_place(prediction, grid)
    first_of = [stack.rows.index(place) for place in range(stack.shape[2])]  # of twins the first
    chosen = [series.slices[i] for i in first_of]
    return _reference(case, series, chosen, grid, key)


def _reference(case: str, series: Series, chosen: Sequence[Header], grid: Grid, key: bytes | None) -> Reference:
    _check_directions(chosen, case)
    files = list(dict.fromkeys(header.path for header in chosen))
    with silenced():
        headers = [_header(path, case, list(_TAGS)) for path in files]
        first = _header(files[0], case)
        _check_patient(first, case)
        found = identifiers(files, headers, case, key)
    by_path = dict(zip(files, found.instances, strict=True))
    place, step = chosen[0].place, float(np.linalg.norm(grid.affine[:3, 2]))
    if place is None:  # `stacked` has refused it
        raise InputError("its slices do not say where they lie", where=case)
    columns, rows = (float(mm) for mm in place.pixel_mm)
    return Reference(
        case, first, found.study, found.series, found.frame,
        tuple(_slice(header, *by_path[header.path]) for header in chosen),
        place.axes, (columns, rows), step, series.slices[0].thickness_mm or step, grid, found.notes,
    )  # fmt: skip


def _header(path: Path, case: str, tags: list[str] | None = None) -> Any:
    import pydicom

    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags)
    except Exception:  # what pydicom says may quote the file
        raise InputError("a file of its scan is damaged", where=case, repair="export the series again") from None


def _check_patient(first: Any, case: str) -> None:
    """An object whose PatientID were another than the scan's would be filed as another patient's."""
    found, wrong = first.get("PatientID") or "", ""
    if not isinstance(found, str):
        wrong = "holds a backslash, which parts values"
    elif len(found) > LONGEST:
        wrong = f"is longer than {LONGEST} characters"
    if wrong:
        raise InputError(
            f"PatientID of its files {wrong}: DICOM allows one value of at most {LONGEST}, and objects with another "
            "one would be filed as another patient's",
            where=case,
            repair="correct PatientID in the archive, export the series again and segment that, or export nifti",
        )


def _slice(header: Header, storage: str, uid: str) -> Slice:
    x, y, z = header.place.origin_mm.tolist() if header.place is not None else (0.0, 0.0, 0.0)
    return Slice(storage, uid, None if header.frame is None else header.frame + 1, (x, y, z))


def _check_not_resampled(prediction: Prediction) -> None:
    if any(finding.code == "gantry-tilt" for finding in prediction.findings):
        raise InputError(
            "its slices were resampled onto a straight grid (gantry tilt), so its label map lies on none of them",
            where=prediction.case,
            repair="export nifti or seg-nrrd, or have the archive correct the tilt and segment that series",
        )


def _check_place(prediction: Prediction, grid: Grid) -> None:
    off = Grid.checked(prediction.labels.shape, prediction.affine, prediction.case)
    if off.shape != grid.shape or grid.apart_mm(off.affine) > APART_MM:
        raise InputError(
            f"its label map does not lie on the slices: {grid.difference(off) or 'it is moved'}",
            where=prediction.case,
            repair="run predict again on these slices",
        )


def _check_directions(chosen: Sequence[Header], case: str) -> None:
    axes = np.array([header.place.axes for header in chosen if header.place is not None])
    turned = float(np.abs(axes - axes[0]).max())
    if turned > TURNED:
        raise InputError(
            f"the directions of its slices differ by {turned:.2g}, at most {TURNED:g} can be evened out",
            where=case,
            repair="export the series again; its orientations contradict each other",
        )


def lps(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine to RAS+ mm as one to DICOM's coordinates (left, posterior, superior), or the other way round."""
    turned: NDArray[np.float64] = LPS_TO_RAS @ affine
    return turned
