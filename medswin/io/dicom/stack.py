"""How the slices of a series lie on each other: evenly and on one line, or refused in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.dicom.grouping import SAME_MM, UNEVEN, along
from medswin.io.dicom.header import Place
from medswin.io.dicom.series import Series
from medswin.io.grid import sizes
from medswin.io.header import MAX_VOXELS

OFF_LINE = 0.25  # share of the smallest voxel side by which a slice may miss the line through the first and the last
TILT_DEGREES = 0.5  # between the normal and that line
MAX_TILT_DEGREES = 45.0  # that are resampled on request; gantries tilt by up to 30
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class Stack:
    """Where the slices of a series go in its volume.

    Attributes:
        rows: for each slice the number of its place along the normal; twins share one.
        shape: columns, rows and places.
        affine: (4, 4) voxel index -> RAS+ mm; sheared where the slices are tilted.
        tilt_degrees: between the normal and the line of the slices; 0 up to `TILT_DEGREES`.
    """

    rows: tuple[int, ...]
    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    tilt_degrees: float


def stacked(series: Series, *, tilted: bool = False) -> Stack:
    """Stack the slices of a series; ``tilted`` says whether they may be, see `medswin.io.dicom.read_series`."""
    rows, places = _distinct(series)
    shape = (*series.size, len(places))
    if math.prod(shape) > MAX_VOXELS:
        raise InputError(
            f"its headers declare {sizes(shape)} voxels, at most {MAX_VOXELS} can be used",
            where=series.id,
            repair="export a part of it, or repair the headers",
        )
    _check_steps(places, series.id)
    tilt = _tilt(places)
    if tilt and not (tilted and tilt <= MAX_TILT_DEGREES):
        raise InputError(
            f"its slices are tilted by {tilt:.1f} degrees against the line on which they lie (gantry tilt)",
            where=series.id,
            repair="have the scanner or the archive correct the tilt and export that series, or (up to "
            f"{MAX_TILT_DEGREES:g} degrees) read it with resample_tilt=True (medswin predict --resample-tilt)",
        )
    _check_line(places, series.id)
    first, affine = places[0], np.eye(4)
    affine[:3, :2] = (first.axes * first.pixel_mm[:, None]).T
    affine[:3, 2], affine[:3, 3] = _between(places), first.origin_mm
    return Stack(tuple(rows), shape, LPS_TO_RAS @ affine, tilt)


def _distinct(series: Series) -> tuple[list[int], list[Place]]:
    """For each slice the number of its place along the normal, and the places."""
    positions = along(series.slices)
    if positions is None:
        raise InputError(
            "its slices do not say where they lie (position, orientation or pixel spacing is missing or nonsense)",
            where=series.id,
            repair="export the original series again; converted or anonymised copies may have lost these tags",
        )
    rows: list[int] = []
    places: list[Place] = []
    last = -np.inf
    for header, position in zip(series.slices, positions, strict=True):
        if header.place is not None and position - last >= SAME_MM:
            places.append(header.place)
            last = position
        rows.append(len(places) - 1)
    if len(places) < 2:
        raise InputError("it has one slice, a volume has more", where=series.id, repair="give all slices of the series")
    return rows, places


def _check_steps(places: list[Place], where: str) -> None:
    steps = np.diff(_origins(places) @ places[0].normal)
    step = float(np.median(steps))
    odd = int(np.argmax(np.abs(steps - step)))
    if abs(steps[odd] - step) <= max(UNEVEN * step, SAME_MM):
        return
    missing = steps[odd] / step
    likely = f", {round(missing) - 1} missing" if missing > 1.5 and abs(missing - round(missing)) < 0.1 else ""
    raise InputError(
        f"its slices lie {step:.3g} mm apart, but number {odd + 1} and the next {steps[odd]:.3g} mm{likely}",
        where=where,
        repair="export the series again with all its slices",
    )


def _tilt(places: list[Place]) -> float:
    normal, between = places[0].normal, _between(places)
    tilt = float(np.degrees(np.arccos(np.clip(normal @ between / np.linalg.norm(between), -1, 1))))
    return tilt if tilt > TILT_DEGREES else 0.0


def _check_line(places: list[Place], where: str) -> None:
    origins, between = _origins(places), _between(places)
    step = float(places[0].normal @ between)
    off_mm = np.linalg.norm(origins - origins[0] - np.arange(len(places))[:, None] * between, axis=1)
    if off_mm.max() > OFF_LINE * min(*places[0].pixel_mm, step):
        raise InputError(
            f"its slice {int(off_mm.argmax()) + 1} lies {off_mm.max():.3g} mm off the line through the others",
            where=where,
            repair="export the series again; its positions contradict each other",
        )


def _between(places: list[Place]) -> NDArray[np.float64]:
    """(3,) from one slice to the next, on average."""
    return (places[-1].origin_mm - places[0].origin_mm) / (len(places) - 1)


def _origins(places: list[Place]) -> NDArray[np.float64]:
    return np.array([place.origin_mm for place in places])
