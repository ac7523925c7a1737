"""Headers of DICOM files: what places a slice in a volume, and which files are no slice of one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError
from pydicom.multival import MultiValue

VOLUMETRIC = {"CT", "MR", "PT", "NM"}
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and what begins with it
SKEW = 1e-2  # by which the directions of rows and columns may miss the right angle and the length of one
TAGS = (
    "SOPClassUID", "SeriesInstanceUID", "Modality", "ImageType", "SeriesDescription", "Rows", "Columns",
    "NumberOfFrames", "SamplesPerPixel", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "SliceThickness", "TemporalPositionIdentifier", "AcquisitionNumber", "EchoTime", "DiffusionBValue", "TriggerTime",
)  # fmt: skip
SPLITTING = ("TemporalPositionIdentifier", "EchoTime", "DiffusionBValue", "TriggerTime", "AcquisitionNumber")
"""What tells volumes apart that lie at the same place in one series, the first that does."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where a slice lies, in DICOM's patient coordinates (left, posterior, superior).

    Attributes:
        origin_mm: (3,) centre of the first pixel.
        axes: (2, 3) directions along a row and along a column.
        pixel_mm: distance of columns and of rows.
    """

    origin_mm: NDArray[np.float64]
    axes: NDArray[np.float64]
    pixel_mm: NDArray[np.float64]

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the slice."""
        across: NDArray[np.float64] = np.cross(*self.axes)
        return across / np.linalg.norm(across)


@dataclass(frozen=True, eq=False)
class Header:
    """What is known of one slice without its pixels.

    Attributes:
        path: the file.
        series: SeriesInstanceUID; the folder where it is empty.
        modality: of `VOLUMETRIC`, or another.
        description: of the series.
        size: columns and rows.
        place: None where the file does not say.
        thickness_mm: of the slice; None where the file does not say.
        times: values of `SPLITTING`, None for what is missing.
    """

    path: Path
    series: str
    modality: str
    description: str
    size: tuple[int, int]
    place: Place | None
    thickness_mm: float | None
    times: tuple[Any, ...]


def read_headers(folder: Path) -> Iterator[Header | str]:
    """The header of each slice in a tree of files, in the order of their names, and for each other file what it is."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "DICOMDIR" and not any(p.startswith(".") for p in _below(path, folder)):
            yield _header(path)


def _below(path: Path, folder: Path) -> tuple[str, ...]:
    return path.relative_to(folder).parts


def _header(path: Path) -> Header | str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they print values, and a value may be a name
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
            return _set_aside(dataset) or _as_header(path, dataset)
    except InvalidDicomError:
        return "not DICOM"
    except Exception:  # whatever a damaged file makes of the reader
        return "damaged"


def _set_aside(dataset: Any) -> str:
    kinds = {str(kind).upper() for kind in _list(dataset.get("ImageType"))}
    if not dataset.get("Rows") or not dataset.get("Columns"):
        return "no image"
    if str(dataset.get("SOPClassUID") or "").startswith(SECONDARY_CAPTURE) or "SECONDARY CAPTURE" in kinds:
        return "secondary capture"
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        return "colour"
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        return "multi-frame"
    return "localiser" if {"LOCALIZER", "SCOUT"} & kinds else ""


def _as_header(path: Path, dataset: Any) -> Header:
    thickness = _floats(dataset, "SliceThickness", 1)
    return Header(
        path=path,
        series=str(dataset.get("SeriesInstanceUID") or path.parent),
        modality=str(dataset.get("Modality") or ""),
        description=str(dataset.get("SeriesDescription") or ""),
        size=(int(dataset.Columns), int(dataset.Rows)),
        place=_place(dataset),
        thickness_mm=None if thickness is None else float(thickness[0]),
        times=tuple(None if dataset.get(tag) in (None, "") else str(dataset.get(tag)) for tag in SPLITTING),
    )


def _place(dataset: Any) -> Place | None:
    origin, axes = _floats(dataset, "ImagePositionPatient", 3), _floats(dataset, "ImageOrientationPatient", 6)
    pixel = _floats(dataset, "PixelSpacing", 2)
    if origin is None or axes is None or pixel is None or pixel.min() <= 0:
        return None
    along_row, along_column = axes.reshape(2, 3)
    if abs(np.linalg.norm(np.cross(along_row, along_column)) - 1) > SKEW:
        return None
    return Place(origin, axes.reshape(2, 3), pixel[::-1])


def _floats(dataset: Any, tag: str, count: int) -> NDArray[np.float64] | None:
    values = _list(dataset.get(tag))
    if len(values) != count:
        return None
    found = np.array([float(value) for value in values])
    return found if np.isfinite(found).all() else None


def _list(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MultiValue | list | tuple) else [value]
