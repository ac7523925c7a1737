"""Headers of DICOM files: what places a slice in a volume, and which files are no slice of one.

Nothing that a file says about a person leaves this package: pydicom's warnings and log, which quote values, stay off.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

logging.getLogger("pydicom").addFilter(lambda record: False)

MODALITIES = ("CT", "MR", "PT", "NM")
IMAGES = tuple(f"1.2.840.10008.5.1.4.1.1.{n}" for n in ("2", "4", "20", "128"))  # storage of single slices of these
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and what begins with it
TIMES = ("TemporalPositionIdentifier", "EchoTime", "DiffusionBValue")
"""What is one in a volume."""
REPEATS = ("TriggerTime", "AcquisitionNumber")
"""What also tells volumes apart where slices lie at the same places."""
TAGS = (
    "SOPClassUID", "SeriesInstanceUID", "Modality", "ImageType", "SeriesDescription", "Rows", "Columns",
    "NumberOfFrames", "SamplesPerPixel", "PhotometricInterpretation", "ImagePositionPatient",
    "ImageOrientationPatient", "PixelSpacing", "SliceThickness", *TIMES, *REPEATS,
)  # fmt: skip
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


@dataclass(frozen=True, eq=False)
class Header:
    """What is known of one slice without its pixels.

    Attributes:
        path: the file.
        series: SeriesInstanceUID; where it is empty, the folder below the one that was searched.
        modality: of `MODALITIES`.
        description: of the series.
        size: columns and rows.
        place: None where the file does not say.
        thickness_mm: of the slice; None where the file does not say.
        times, repeats: values of `TIMES` and `REPEATS`, empty for what is missing.
    """

    path: Path
    series: str
    modality: str
    description: str
    size: tuple[int, int]
    place: Place | None
    thickness_mm: float | None
    times: tuple[str, ...]
    repeats: tuple[str, ...]


def read_headers(folder: Path) -> Iterator[tuple[Path, Header | str]]:
    """Each file in a tree, in the order of their names, with its header, or what it is where it is no slice."""
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if path.is_file() and path.name != "DICOMDIR" and not hidden:
            yield path, _header(path, below)


def _header(path: Path, below: Path) -> Header | str:
    import pydicom

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(TAGS))
            return _set_aside(dataset) or _as_header(dataset, path, below)
    except pydicom.errors.InvalidDicomError:
        return "not DICOM"
    except Exception:  # whatever a damaged file makes of the reader
        return "damaged"


def _set_aside(dataset: Any) -> str:
    kinds, stored = {str(kind).upper() for kind in _list(dataset, "ImageType")}, str(dataset.get("SOPClassUID") or "")
    if not dataset.get("Rows") or not dataset.get("Columns"):
        return "damaged" if stored in IMAGES else "no image"
    if dataset.get("Modality") not in MODALITIES:
        return "of another modality"
    if stored.startswith(SECONDARY_CAPTURE) or "SECONDARY CAPTURE" in kinds:
        return "secondary capture"
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        return "multi-frame"
    if str(dataset.get("PhotometricInterpretation") or "MONOCHROME2") not in ("MONOCHROME1", "MONOCHROME2"):
        return "colour"
    if int(dataset.get("SamplesPerPixel") or 1) != 1:
        return "colour"
    return "localiser" if {"LOCALIZER", "SCOUT"} & kinds else ""


def _as_header(dataset: Any, path: Path, below: Path) -> Header:
    thickness = _numbers(dataset, "SliceThickness", 1)
    times, repeats = (tuple(" ".join(map(str, _list(dataset, tag))) for tag in tags) for tags in (TIMES, REPEATS))
    return Header(
        path=path,
        series=str(dataset.get("SeriesInstanceUID") or below.parent),
        modality=str(dataset.Modality),
        description=str(dataset.get("SeriesDescription") or ""),
        size=(int(dataset.Columns), int(dataset.Rows)),
        place=_place(dataset),
        thickness_mm=None if thickness is None else float(thickness[0]),
        times=times,
        repeats=repeats,
    )


def _place(dataset: Any) -> Place | None:
    origin, axes = _numbers(dataset, "ImagePositionPatient", 3), _numbers(dataset, "ImageOrientationPatient", 6)
    pixel = _numbers(dataset, "PixelSpacing", 2)
    if origin is None or axes is None or pixel is None or pixel.min() <= 0:
        return None
    axes = axes.reshape(2, 3)
    if np.abs(axes @ axes.T - np.eye(2)).max() > SKEW:
        return None
    return Place(origin, axes / np.linalg.norm(axes, axis=1, keepdims=True), pixel[::-1])


def _numbers(dataset: Any, tag: str, count: int) -> NDArray[np.float64] | None:
    """None for what is missing, too short, too long or no number."""
    try:
        found = np.array([float(value) for value in _list(dataset, tag)])
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and np.isfinite(found).all() else None


def _list(dataset: Any, tag: str) -> list[Any]:
    try:
        value = dataset.get(tag)
    except (TypeError, ValueError):  # a number that is none
        return ["?"]
    if value is None or value == "":
        return []
    return list(value) if not isinstance(value, str) and hasattr(value, "__iter__") else [value]
