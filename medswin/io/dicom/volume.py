"""One volume of a series' slices: either rightly placed, or refused in words."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.dicom.header import Header, Place
from medswin.io.dicom.series import SAME_MM, Series, along
from medswin.io.grid import Grid
from medswin.io.scan import Scan

UNEVEN = 0.02  # share of the distance of slices by which one may differ
OFF_LINE = 0.25  # share of the smallest voxel side by which a slice may miss the line through the first and the last
TILT_DEGREES = 0.5  # between the normal and that line
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read_series(series: Series) -> Scan:
    """Read a series: (1, X, Y, Z) in the units that its slopes and intercepts give, X along the rows of a slice.

    The order and the place of the slices come from their positions alone. Each slice has its own slope and intercept.
    Twin slices with the same pixels are read once; padding takes the lowest value that is none. MONOCHROME1 says how to
    show an image and changes no value. Findings tell of all this.

    Raises:
        InputError: for slices without position, orientation or spacing, at uneven distances, missing, tilted against
            their normal, off the line or in two versions at one place, and for pixels that are damaged, cut short,
            compressed in a way that no installed library reads, or valued by a table. It names the series by its
            `Series.id`, and says nothing that the files say of a person.
    """
    rows, places = _distinct(series)
    affine = _affine(places, series.id)
    first = series.slices[0]
    image = np.empty((*first.size, len(places)), dtype=np.float32)
    hidden = np.zeros(image.shape, dtype=np.bool_)
    seen = -1
    for i, (header, z) in enumerate(zip(series.slices, rows, strict=True)):
        values, padding = _pixels(header, f"{series.id}, slice {i + 1} of {len(rows)}")
        if z > seen:
            image[..., z], hidden[..., z] = values.T, padding.T
        elif not (np.array_equal(image[..., z], values.T) and np.array_equal(hidden[..., z], padding.T)):
            raise InputError(
                "two slices with different pixels lie at one place",
                where=f"{series.id}, slice {i + 1} of {len(rows)}",
                repair="export one time point, echo or reconstruction at a time",
            )
        seen = z
    findings = [*series.findings, *_thickness(first, affine), *_twins(len(rows) - len(places)), *_pad(image, hidden)]
    return Scan.checked(series.id, image[None], Grid.checked(image.shape, affine, series.id), tuple(findings))


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


def _affine(places: list[Place], where: str) -> NDArray[np.float64]:
    """Voxel index -> RAS+ mm."""
    first = places[0]
    origins = np.array([place.origin_mm for place in places])
    steps = np.diff(origins @ first.normal)
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
    between = (origins[-1] - origins[0]) / (len(places) - 1)
    tilt = float(np.degrees(np.arccos(np.clip(first.normal @ between / np.linalg.norm(between), -1, 1))))
    if tilt > TILT_DEGREES:
        raise InputError(
            f"its slices are tilted by {tilt:.1f} degrees against the line on which they lie (gantry tilt)",
            where=where,
            repair="have the scanner or the archive correct the tilt, and export that series",
        )
    off_mm = np.linalg.norm(origins - origins[0] - np.arange(len(places))[:, None] * between, axis=1)
    if off_mm.max() > OFF_LINE * min(*first.pixel_mm, step):
        raise InputError(
            f"its slice {int(off_mm.argmax()) + 1} lies {off_mm.max():.3g} mm off the line through the others",
            where=where,
            repair="export the series again; its positions contradict each other",
        )
    affine = np.eye(4)
    affine[:3, :2] = (first.axes * first.pixel_mm[:, None]).T
    affine[:3, 2], affine[:3, 3] = between, first.origin_mm
    return LPS_TO_RAS @ affine


def _pixels(header: Header, where: str) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Values (rows, columns), and which of them are padding."""
    import pydicom

    again = "export it again"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset: Any = pydicom.dcmread(header.path)
        except Exception:
            raise InputError("the file is damaged", where=where, repair=again) from None
        try:
            stored = dataset.pixel_array
        except (NotImplementedError, RuntimeError):
            raise InputError(
                f"no installed library reads its compression, {_compression(dataset)}, or the data are damaged",
                where=where,
                repair='install medswin with its extra "dicom", or export the series without compression',
            ) from None
        except Exception:
            raise InputError("its pixels are damaged or cut short", where=where, repair=again) from None
    if stored.shape != header.size[::-1]:
        raise InputError("its pixels have another shape than its header says", where=where, repair=again)
    if "ModalityLUTSequence" in dataset:
        raise InputError("its values are given by a table", where=where, repair="export it with slope and intercept")
    try:
        slope, intercept = (_number(dataset, *pair) for pair in (("RescaleSlope", 1.0), ("RescaleIntercept", 0.0)))
        low, high = _padding(dataset)
    except (TypeError, ValueError):
        raise InputError("its slope, intercept or padding value is no number", where=where, repair=again) from None
    if not np.isfinite([slope, intercept]).all() or slope == 0:
        raise InputError("its slope or intercept is zero, infinite or NaN", where=where, repair=again)
    return (stored * slope + intercept).astype(np.float32), (stored >= low) & (stored <= high)


def _compression(dataset: Any) -> str:
    uid = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return str(uid.name) if uid is not None and uid.name != str(uid) else "unknown"


def _number(dataset: Any, tag: str, default: float) -> np.float64:
    value = dataset.get(tag)
    return np.float64(default if value is None or value == "" else float(value))


def _padding(dataset: Any) -> tuple[float, float]:
    """First and last stored value that are padding, as the pixels hold them: by the bits stored, with their sign."""
    if dataset.get("PixelPaddingValue") in (None, ""):
        return np.inf, -np.inf
    one = int(dataset.PixelPaddingValue)
    limit = dataset.get("PixelPaddingRangeLimit")
    ends = [one, one if limit in (None, "") else int(limit)]
    bits = int(dataset.BitsStored)
    for i, end in enumerate(ends):
        end &= 2**bits - 1
        ends[i] = end - 2**bits if dataset.get("PixelRepresentation") == 1 and end >= 2 ** (bits - 1) else end
    return min(ends), max(ends)


def _thickness(first: Header, affine: NDArray[np.float64]) -> list[Finding]:
    step, thickness = float(np.linalg.norm(affine[:3, 2])), first.thickness_mm
    if thickness is None or abs(thickness - step) <= max(UNEVEN * step, SAME_MM):
        return []
    said = f"Slices are {thickness:.3g} mm thick and lie {step:.3g} mm apart; the distance counts."
    return [Finding("slice-distance", "note", said)]


def _twins(count: int) -> list[Finding]:
    said = f"{count} slice(s) came twice with the same pixels; each was read once."
    return [Finding("twin-slices", "note", said)] if count else []


def _pad(image: NDArray[np.float32], hidden: NDArray[np.bool_]) -> list[Finding]:
    """Give padding the lowest value of the rest, in place."""
    if not hidden.any() or hidden.all():
        return []
    lowest = image[~hidden].min()
    image[hidden] = lowest
    said = f"{int(hidden.sum())} voxels are padding around the image and were set to its lowest value, {lowest:g}."
    return [Finding("padding", "note", said)]
