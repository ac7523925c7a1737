"""One volume of a series' slices: either rightly placed, or refused in words."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.dicom.header import Header, Place
from medswin.io.dicom.series import SAME_MM, Series, along
from medswin.io.grid import Grid
from medswin.io.scan import Scan

UNEVEN = 0.02  # share of the distance of slices by which one may differ
TILT_DEGREES = 0.5  # between the normal and the line through the slices
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_series(series: Series) -> Scan:
    """Read a series: (1, X, Y, Z) in the units that its slopes and intercepts give, X along the rows of a slice.

    The order and the place of the slices come from their positions alone. Each slice has its own slope and intercept.
    Twin slices with the same pixels are read once; padding takes the lowest value that is none. MONOCHROME1 says how to
    show an image and changes no value. Findings tell of all this.

    Raises:
        InputError: for slices without position, orientation or spacing, at uneven distances, missing, tilted against
            their normal or in two versions at one place, and for pixels that are damaged, cut short, compressed in a
            way that no installed library reads, or valued by a table. It names the series by its `Series.id`.
    """
    slices, stacks, findings = list(series.slices), [], []
    places = _places(slices, series.id)
    for row, header in enumerate(slices):
        stacks.append(_pixels(header, f"{series.id}, slice {row + 1} of {len(slices)}"))
    keep = _without_twins(places, stacks, series.id)
    if len(keep) < len(slices):
        said = f"{len(slices) - len(keep)} slice(s) came twice with the same pixels; each was read once."
        findings.append(Finding("twin-slices", "note", said))
    slices, stacks = [slices[row] for row in keep], [stacks[row] for row in keep]
    placed = [header.place for header in slices if header.place is not None]
    affine = _affine(placed, places[keep], series.id)
    findings += _thickness(slices, places[keep])
    padded = sum(int(hidden.sum()) for _, hidden in stacks)
    lowest = min((float(values[~hidden].min()) for values, hidden in stacks if not hidden.all()), default=0.0)
    image = np.empty((1, *slices[0].size, len(slices)), dtype=np.float32)
    for z, (values, hidden) in enumerate(stacks):
        image[0, :, :, z] = np.where(hidden, np.float32(lowest), values).T
    if padded:
        said = f"{padded} voxels are padding around the image and were set to its lowest value, {lowest:g}."
        findings.append(Finding("padding", "note", said))
    grid = Grid.checked(image.shape[1:], affine, series.id)
    return Scan.checked(series.id, image, grid, tuple(findings))


def _places(slices: list[Header], where: str) -> NDArray[np.float64]:
    if len(slices) < 2:
        raise InputError("it has one slice, a volume has more", where=where, repair="give all slices of the series")
    places = along(slices)
    if places is None:
        raise InputError(
            "its slices do not say where they lie (position, orientation or pixel spacing is missing or nonsense)",
            where=where,
            repair="export the original series again; converted or anonymised copies may have lost these tags",
        )
    return places


def _pixels(header: Header, where: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values (rows, columns), and which of them are padding."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset: Any = pydicom.dcmread(header.path)
            stored = dataset.pixel_array
    except (NotImplementedError, RuntimeError) as error:
        uid = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
        name = uid.name if uid is not None else "unknown"
        raise InputError(
            f"no installed library reads its compression, {name}, or the data are damaged",
            where=where,
            repair='install medswin with its extra "dicom", or export the series without compression',
        ) from error
    except Exception as error:
        raise InputError(
            "its pixels cannot be read: the file is damaged or cut short", where=where, repair="export it again"
        ) from error
    if stored.shape != header.size[::-1]:
        raise InputError("its pixels have another shape than its header says", where=where, repair="export it again")
    if "ModalityLUTSequence" in dataset:
        raise InputError("its values are given by a table", where=where, repair="export it with slope and intercept")
    hidden = np.zeros(stored.shape, dtype=np.bool_)
    if dataset.get("PixelPaddingValue") is not None:
        one = int(dataset.PixelPaddingValue)
        low, high = sorted((one, int(dataset.get("PixelPaddingRangeLimit", one))))
        hidden = (stored >= low) & (stored <= high)
    slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
    return (stored * np.float64(slope) + intercept).astype(np.float32), hidden


def _without_twins(places: NDArray[np.float64], stacks: list[tuple[Any, Any]], where: str) -> list[int]:
    keep = [0]
    for row in range(1, len(places)):
        if places[row] - places[keep[-1]] >= SAME_MM:
            keep.append(row)
        elif not np.array_equal(stacks[row][0], stacks[keep[-1]][0]):
            raise InputError(
                f"two slices with different pixels lie at one place, {places[row]:.2f} mm along the normal",
                where=where,
                repair="export one time point, echo or reconstruction at a time",
            )
    return keep


def _affine(slices: list[Place], places: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    """Voxel index -> RAS+ mm."""
    if len(slices) < 2:
        raise InputError("it has one slice, a volume has more", where=where, repair="give all slices of the series")
    steps = np.diff(places)
    step = float(np.median(steps))
    odd = int(np.argmax(np.abs(steps - step)))
    if abs(steps[odd] - step) > max(UNEVEN * step, SAME_MM):
        missing = steps[odd] / step
        likely = f", {round(missing) - 1} missing" if missing > 1.5 and abs(missing - round(missing)) < 0.1 else ""
        raise InputError(
            f"its slices lie {step:.3g} mm apart, but the {odd + 1}th and the next {steps[odd]:.3g} mm{likely}",
            where=where,
            repair="export the series again with all its slices",
        )
    first = slices[0]
    between = (slices[-1].origin_mm - first.origin_mm) / (len(slices) - 1)
    tilt = float(np.degrees(np.arccos(np.clip(first.normal @ between / np.linalg.norm(between), -1, 1))))
    if tilt > TILT_DEGREES:
        raise InputError(
            f"its slices are tilted by {tilt:.1f} degrees against the line on which they lie (gantry tilt)",
            where=where,
            repair="have the scanner or the archive correct the tilt, and export that series",
        )
    affine = np.eye(4)
    affine[:3, :2] = (first.axes * first.pixel_mm[:, None]).T
    affine[:3, 2], affine[:3, 3] = between, first.origin_mm
    return LPS_TO_RAS @ affine


def _thickness(slices: list[Header], places: NDArray[np.float64]) -> list[Finding]:
    step, thickness = float(np.median(np.diff(places))), slices[0].thickness_mm
    if thickness is None or abs(thickness - step) <= max(UNEVEN * step, SAME_MM):
        return []
    said = f"Slices are {thickness:.3g} mm thick and lie {step:.3g} mm apart; the distance counts."
    return [Finding("slice-distance", "note", said)]
