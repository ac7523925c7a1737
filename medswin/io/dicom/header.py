"""Headers of DICOM files: what places a slice in a volume. A frame of a multi-frame file is a slice as well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.io.dicom.aside import FRAMES, set_aside
from medswin.io.dicom.deflated import inflates_too_far
from medswin.io.dicom.meaning import TAGS as MEANING
from medswin.io.dicom.meaning import Meaning
from medswin.io.dicom.plain import Plain
from medswin.io.dicom.values import Frame, Tags, is_compressed, known, listed, number, numbers

TIMES = ("TemporalPositionIdentifier", "EchoTime", "DiffusionBValue", "StackID")
"""What is one in a volume."""
REPEATS = (
    "TriggerTime", "AcquisitionNumber", "DiffusionGradientOrientation", "ImageType", "FrameReferenceTime",
    "AcquisitionTime",
)  # fmt: skip
"""What also tells volumes apart where slices lie at the same places; so do the dimensions that a frame counts."""
TAGS = (
    "SOPClassUID", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "SeriesNumber",
    "Modality", "SeriesDescription", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel",
    "PhotometricInterpretation", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness",
    *TIMES, *REPEATS, *MEANING, "SharedFunctionalGroupsSequence", FRAMES,
)  # fmt: skip
EMPTY = "empty"
"""A file that does not say what it was: cut to nothing, or never written."""
_PREAMBLE, _HEAD = 132, 4096  # bytes
_BEGINNINGS = (b"\2\0\0\0", b"\x08\0\0\0", b"\x08\0\5\0", b"\x08\0\x08\0", b"\x08\0\x12\0", b"\x08\0\x16\0")
"""Tags that a data set begins with, as they are stored."""
SKEW = 1e-2  # by which the directions of rows and columns may miss the right angle and the length of one


@dataclass(frozen=True, eq=False)
class Place:
    """Where a slice lies, in DICOM's patient coordinates (left, posterior, superior).

    Attributes:
        origin_mm: (3,) centre of the first pixel.
        axes: (2, 3) unit vectors along a row and along a column.
        pixel_mm: (2,) distance of columns and of rows.
    """

    origin_mm: NDArray[np.float64]
    axes: NDArray[np.float64]
    pixel_mm: NDArray[np.float64]

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the slice."""
        across: NDArray[np.float64] = np.cross(*self.axes)
        return across / np.linalg.norm(across)


@dataclass(frozen=True, eq=False, repr=False)
class Header:
    """What is known of one slice without its pixels. It has no telling ``repr``: tracebacks show local variables.

    Attributes:
        path: the file.
        frame: its number in a multi-frame file, from 0; None for a file of one slice.
        patient: PatientID; may be empty.
        study: StudyInstanceUID; may be empty.
        series: SeriesInstanceUID; where it is empty, the folder below the one that was searched and SeriesNumber.
        has_uid: whether it was not.
        space: FrameOfReferenceUID; may be empty.
        modality: of `medswin.io.dicom.aside.MODALITIES`.
        description: of the series.
        size: columns and rows.
        place: None where the file does not say.
        thickness_mm: of the slice; None where the file does not say.
        compressed: whether its pixels are.
        plain: where its pixels lie, if they lie in the file as they are.
        meaning: of its stored values.
        times, repeats: values of `TIMES` and `REPEATS`, empty for what is missing; times that are numbers as such.
    """

    path: Path
    frame: int | None
    patient: str
    study: str
    series: str
    has_uid: bool
    space: str
    modality: str
    description: str
    size: tuple[int, int]
    place: Place | None
    thickness_mm: float | None
    compressed: bool
    plain: Plain | None
    meaning: Meaning
    times: tuple[str, ...]
    repeats: tuple[str, ...]


def read_headers(path: Path) -> Iterator[tuple[Path, Header | str | OSError]]:
    """Each slice of a file or of a tree of them, in the order of their names, or what it is where it is no slice.

    Links are followed, each folder once. Of a folder that cannot be opened comes the error. To be called within
    `silenced`.
    """
    if path.is_file():
        yield from ((path, found) for found in _headers(path, Path(path.name)))
        return
    closed: list[OSError] = []
    for file in sorted(_files(path, closed)):
        yield from ((file, found) for found in _headers(file, file.relative_to(path)))
    yield from ((Path(error.filename), error) for error in closed)


def _files(path: Path, closed: list[OSError]) -> Iterator[Path]:
    """The files of a tree but for hidden ones and ``DICOMDIR``; folders that cannot be opened go into ``closed``."""
    seen: set[str] = set()
    for folder, folders, names in os.walk(path, onerror=closed.append, followlinks=True):
        real = os.path.realpath(folder)
        folders[:] = () if real in seen else [name for name in folders if not name.startswith(".")]
        if real not in seen:
            files = (Path(folder, name) for name in names if not name.startswith(".") and name != "DICOMDIR")
            yield from (file for file in files if file.is_file())
        seen.add(real)


def _headers(path: Path, below: Path) -> list[Header | str]:
    import pydicom

    try:
        with path.open("rb") as file:
            if inflates_too_far(file):
                return ["too large once inflated"]
            dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_tags()))
            tags = known(dataset, _tags())
            why = set_aside(tags)
            plain = None if why else Plain.found(tags, file, path)
            if why or FRAMES not in tags:
                return [why or _header(tags, tags, None, path, below, plain)]
            return list(_frames(tags, path, below, plain))
    except pydicom.errors.InvalidDicomError:
        return [_nameless(path)]
    except Exception:  # whatever a damaged file makes of the reader
        return ["damaged"]


def _nameless(path: Path) -> str:
    """What a file is that does not begin as DICOM files do."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if len(head) < _PREAMBLE or not any(head):
        return EMPTY
    return "damaged" if head[:4] in _BEGINNINGS else "not DICOM"  # as it begins where its preamble is lost


@cache
def _tags() -> dict[Any, str]:
    """`TAGS` by their numbers, which pydicom would look up for each file."""
    from pydicom.tag import Tag

    return {Tag(tag): tag for tag in TAGS}


def _frames(file: dict[str, Any], path: Path, below: Path, plain: Plain | None) -> Iterator[Header | str]:
    for i in range(len(file[FRAMES])):
        frame = Frame(file, i)
        pixels = plain and plain.frame(i, file["Rows"] * file["Columns"])
        yield set_aside(file, frame) or _header(file, frame, i, path, below, pixels)


def _header(
    file: dict[str, Any], tags: Tags, frame: int | None, path: Path, below: Path, plain: Plain | None
) -> Header:
    times, repeats = (
        tuple(" ".join(map(form, listed(tags, tag))) for tag in names)
        for names, form in ((TIMES, _plain), (REPEATS, str))
    )
    counted = tuple(map(str, listed(tags, "DimensionIndexValues")))
    return Header(
        path=path,
        frame=frame,
        patient=str(file.get("PatientID") or "").strip(),
        study=str(file.get("StudyInstanceUID") or ""),
        series=str(file.get("SeriesInstanceUID") or f"{below.parent} {file.get('SeriesNumber') or ''}"),
        has_uid=bool(file.get("SeriesInstanceUID")),
        space=str(file.get("FrameOfReferenceUID") or ""),
        modality=str(file["Modality"]),
        description=str(file.get("SeriesDescription") or ""),
        size=(int(file["Columns"]), int(file["Rows"])),
        place=_place(tags),
        thickness_mm=number(tags, "SliceThickness"),
        compressed=is_compressed(file["TransferSyntaxUID"]),
        plain=plain,
        meaning=Meaning.of(file, tags),
        times=times,
        repeats=(*repeats, *counted),
    )


def _plain(value: Any) -> str:
    """A value as text: of a number always the same, however it is written."""
    try:
        return f"{float(value):.9g}"
    except (TypeError, ValueError):
        return str(value).strip()


def _place(tags: Tags) -> Place | None:
    origin, axes = numbers(tags, "ImagePositionPatient", 3), numbers(tags, "ImageOrientationPatient", 6)
    pixel = numbers(tags, "PixelSpacing", 2)
    if origin is None or axes is None or pixel is None or pixel.min() <= 0:
        return None
    axes = axes.reshape(2, 3)
    if np.abs(axes @ axes.T - np.eye(2)).max() > SKEW:
        return None
    return Place(origin, axes / np.linalg.norm(axes, axis=1, keepdims=True), pixel[::-1])
