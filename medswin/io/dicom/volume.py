"""One volume of a series' slices: either rightly placed, or refused in words."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.dicom.grouping import SAME_MM, UNEVEN
from medswin.io.dicom.pixels import Files, Pixels, read_pixels
from medswin.io.dicom.series import Series
from medswin.io.dicom.silence import silenced
from medswin.io.dicom.stack import Stack, stacked
from medswin.io.dicom.suv import suv_factor
from medswin.io.dicom.tilt import straightened
from medswin.io.grid import Grid, sizes
from medswin.io.scan import Scan

_SLAB = 16  # slices that are read before they are put into the volume: one line of the processor's cache
_THREADS = 8
_APART = 16  # values between the slices of a slab, so that they do not all fall on the same lines of the cache


def read_series(series: Series, *, resample_tilt: bool = False, suv: bool = False) -> Scan:
    """Read a series: (1, X, Y, Z) in the units that its slopes and intercepts give, X along the rows of a slice.

    The order and the place of the slices come from their positions alone. Each slice has its own slope and intercept.
    Twin slices with the same pixels are read once; padding takes the lowest value that is none. MONOCHROME1 says how to
    show an image and changes no value. Findings tell of all this.

    Args:
        series: from `find_series`.
        resample_tilt: whether slices that are tilted against the line on which they lie (gantry tilt) are shifted onto
            a straight grid by linear interpolation, with a finding that says so; else they are refused.
        suv: whether PET becomes body-weight SUV in g/ml, see `medswin.io.dicom.suv`.

    Raises:
        InputError: for slices without position, orientation or spacing, at uneven distances, missing, tilted against
            their normal, off the line or in two versions at one place, for one of two
            halves of a volume, for more than `medswin.io.header.MAX_VOXELS`
            or than fit into memory, for pixels that are damaged, cut short, compressed in a way that no installed
            library reads, or valued by a table, and for PET that cannot be scaled. It names the series by its
            `Series.id`, and says nothing that the files say of a person.
    """
    for finding in series.findings:
        if finding.grade == "refuse":
            raise InputError(finding.message, where=series.id, repair=finding.repair)
    factor = suv_factor(series) if suv else 1.0
    stack = stacked(series, tilted=resample_tilt)
    try:
        image, pixels = _filled(series, stack)
    except MemoryError:
        what = f"{sizes(stack.shape)} voxels do not fit into memory"
        raise InputError(what, where=series.id, repair="export a part of it, or read it on a larger machine") from None
    affine, padding = stack.affine, _pad(image, stack, pixels)
    if stack.tilt_degrees:
        image, affine = straightened(image, affine, series.id)
    findings = [
        *series.findings,
        *_thickness(series, affine),
        *_twins(stack),
        *_told(series),
        *padding,
        *_tilted(stack.tilt_degrees),
    ]
    if suv:
        image *= np.float32(factor)
        findings.append(Finding("suv", "note", "Its values are SUV by body weight, in g/ml."))
    return Scan.checked(series.id, image[None], Grid.checked(image.shape, affine, series.id), tuple(findings))


def _filled(series: Series, stack: Stack) -> tuple[NDArray[np.float32], list[Pixels]]:
    """The volume, and what was noticed about each slice."""
    image = np.empty(stack.shape, dtype=np.float32)
    pixels: list[Pixels] = []
    last = np.empty(0, dtype=np.float32)
    with closing(_slabs(series)) as slabs:  # else an error's traceback would keep it, and the silence, going
        for slab_ZYX, read in slabs:
            first = len(pixels)
            pixels += read
            new = [i == 0 or stack.rows[i] > stack.rows[i - 1] for i in range(first, len(pixels))]
            for k, i in enumerate(range(first, len(pixels))):
                before = slab_ZYX[k - 1] if k else last
                if not new[k] and not (np.array_equal(slab_ZYX[k], before) and pixels[i].same_padding(pixels[i - 1])):
                    raise InputError(
                        "two slices with different pixels lie at one place",
                        where=_where(series, i),
                        repair="export one time point, echo or reconstruction at a time",
                    )
            last = slab_ZYX[-1].copy()
            _put(slab_ZYX if all(new) else slab_ZYX[new], image[..., : stack.rows[len(pixels) - 1] + 1])
    return image, pixels


def _slabs(series: Series) -> Generator[tuple[NDArray[np.float32], list[Pixels]], None, None]:
    """Values (slices, rows, columns) of some slices after the others, in an array that is used again, and the rest."""
    columns, rows = series.size
    room = np.empty((min(_SLAB, len(series.slices)), rows * columns + _APART), dtype=np.float32)
    room_ZYX = room[:, : rows * columns].reshape(len(room), rows, columns)
    files = Files(series.slices)
    with silenced(), _mapped(series) as each:
        for start in range(0, len(series.slices), _SLAB):
            headers = series.slices[start : start + _SLAB]
            wheres = [_where(series, start + k) for k in range(len(headers))]
            shared = [files.shared(*both) for both in zip(headers, wheres, strict=True)]
            read = list(each(read_pixels, headers, shared, wheres, room_ZYX))
            yield room_ZYX[: len(headers)], read


def _where(series: Series, i: int) -> str:
    return f"{series.id}, slice {i + 1} of {len(series.slices)}"


@contextmanager
def _mapped(series: Series) -> Iterator[Callable[..., Iterable[Any]]]:
    """What maps a function over slices: threads where they are compressed, as decoding lets other threads run."""
    if any(header.compressed for header in series.slices):
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
            yield pool.map
    else:
        yield map


def _put(slab_ZYX: NDArray[np.float32], image_XYZ: NDArray[np.float32]) -> None:
    """Make a slab the last slices of an image, row by row: as a whole, most of it falls out of the cache meanwhile."""
    end = image_XYZ[..., image_XYZ.shape[2] - len(slab_ZYX) :]
    for y in range(slab_ZYX.shape[1]):
        end[:, y] = slab_ZYX[:, y].T


def _thickness(series: Series, affine: NDArray[np.float64]) -> list[Finding]:
    step, thickness = float(np.linalg.norm(affine[:3, 2])), series.slices[0].thickness_mm
    if thickness is None or abs(thickness - step) <= max(UNEVEN * step, SAME_MM):
        return []
    said = f"Slices are {thickness:.3g} mm thick and lie {step:.3g} mm apart; the distance counts."
    return [Finding("slice-distance", "note", said)]


def _twins(stack: Stack) -> list[Finding]:
    count = len(stack.rows) - stack.shape[2]
    said = f"{count} slice(s) came twice with the same pixels; each was read once."
    return [Finding("twin-slices", "note", said)] if count else []


def _told(series: Series) -> list[Finding]:
    meanings, findings = [header.meaning for header in series.slices], []
    if any(one.lossy for one in meanings):
        said = "Its values went through a compression that changed them, before medswin got them."
        findings.append(Finding("lossy-compression", "note", said))
    if series.modality in ("CT", "PT") and not all(one.scaled for one in meanings):
        said = "It does not say how stored values become those of the image; they were taken as they are."
        findings.append(
            Finding("no-rescale", "warn", said, "look at values that are known: air in a CT is near -1000 HU")
        )
    return findings


def _pad(image: NDArray[np.float32], stack: Stack, pixels: Sequence[Pixels]) -> list[Finding]:
    """Give padding the lowest value of the rest, in place."""
    masks = {row: one.hidden for row, one in zip(stack.rows, pixels, strict=True) if one.hidden is not None}
    lowest = min(one.lowest for one in pixels)
    if not masks or np.isinf(lowest):
        return []
    for row, hidden in masks.items():
        image[..., row][hidden.T] = lowest
    count = sum(int(hidden.sum()) for hidden in masks.values())
    said = f"{count} voxels are padding around the image and were set to its lowest value, {lowest:g}."
    return [Finding("padding", "note", said)]


def _tilted(degrees: float) -> list[Finding]:
    if not degrees:
        return []
    said = (
        f"Its slices were tilted by {degrees:.1f} degrees against the line on which they lie (gantry tilt); they were "
        "resampled onto a straight grid, by linear interpolation along their rows and columns."
    )
    return [Finding("gantry-tilt", "warn", said, "check outlines against the slices as they were acquired")]
