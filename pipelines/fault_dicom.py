"""DICOM series with one fault each, and the volumes that they hold nevertheless."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fault_pixels
import numpy as np
from fault_places import (
    Spoil,
    captures,
    cross_stack,
    differing,
    each,
    flip_rows,
    moved,
    number_shuffled,
    scout,
    shaken,
    twin,
    with_another,
    without_uids,
)
from fault_slices import CANARY, Affine, Image, Volumes, enhanced, slices_of
from numpy.typing import NDArray
from pydicom.uid import generate_uid

__all__ = ["CANARY", "FAULTS", "plant"]

Becomes = Callable[[Image, Affine], Volumes]


def plant(
    folder: Path, fault: str, image: NDArray[np.uint16], affine: Affine, rng: np.random.Generator
) -> tuple[Path, Volumes]:
    """Write a series, spoilt, under names in no order; gives its folder, and the volumes that must come of it (LPS)."""
    spoil, becomes = FAULTS[fault]
    spoilt = spoil(slices_of(image, affine))
    folder.mkdir(parents=True)
    for name, one in zip(rng.permutation(len(spoilt)), spoilt, strict=True):
        path = folder / f"{name:02d}"
        one.save_as(path, enforce_file_format=True)
        if fault == "a file cut short" and one is spoilt[7]:
            path.write_bytes(path.read_bytes()[:-900])
    if fault == "junk beside":
        (folder / "notes.txt").write_text("no image")
        (folder / "empty.dcm").write_bytes(b"")
    return folder, becomes(np.asarray(image, dtype=np.float32), affine)


def _as_it_is(image: Image, affine: Affine) -> Volumes:
    return ((image, affine),)


def _nothing(image: Image, affine: Affine) -> Volumes:
    return ()


def _two(image: Image, affine: Affine) -> Volumes:
    return (image, affine), (image[::-1, ::-1], affine)


def _flipped(image: Image, affine: Affine) -> Volumes:
    turn = np.diag([1.0, -1.0, 1.0, 1.0])
    turn[1, 3] = image.shape[1] - 1
    return ((image[:, ::-1], affine @ turn),)


def _oblong(image: Image, affine: Affine) -> Volumes:
    return ((image, affine @ np.diag([1.25, 1.0, 1.0, 1.0])),)


def _padded(image: Image, affine: Affine) -> Volumes:
    padded = image.copy()
    padded[:3, :3] = np.delete(image.reshape(-1, image.shape[2]), fault_pixels.corner(image.shape), axis=0).min()
    return ((padded, affine),)


FAULTS: dict[str, tuple[Spoil, Becomes]] = {
    "none": (each(lambda one, k: None), _as_it_is),
    "slice numbers shuffled": (each(number_shuffled), _as_it_is),
    "no slice numbers": (each(lambda one, k: one.pop("InstanceNumber")), _as_it_is),
    "no UIDs": (each(without_uids), _as_it_is),
    "junk beside": (each(lambda one, k: None), _as_it_is),
    "a twin of a slice": (twin, _as_it_is),
    "a scout in the series": (scout, _as_it_is),
    "colour and captures beside": (captures, _as_it_is),
    "a stack at right angles": (cross_stack, _as_it_is),
    "two series in a folder": (with_another("SeriesInstanceUID", (generate_uid(), generate_uid())), _two),
    "two times": (with_another("TemporalPositionIdentifier", (1, 2)), _two),
    "two echoes": (with_another("EchoTime", (10, 90)), _two),
    "positions shaken by 4 um": (each(shaken), _as_it_is),
    "a negative slice distance": (
        each(lambda one, k: setattr(one, "SpacingBetweenSlices", -3)),
        _as_it_is,
    ),
    "flipped rows": (each(flip_rows), _flipped),
    "oblong pixels": (each(lambda one, k: setattr(one, "PixelSpacing", [1.0, 1.25])), _oblong),
    "several frames in a file": (enhanced, _as_it_is),
    **{name: (each(change), _as_it_is) for name, change in fault_pixels.SAME.items()},
    "padded": (each(fault_pixels.padded), _padded),
    "a slice is missing": (lambda slices: slices[:9] + slices[10:], _nothing),
    "two slices at one place": (differing, _nothing),
    "gantry tilt": (each(lambda one, k: moved(one, [0, 0.27 * k, 0])), _nothing),
    "uneven distances": (each(lambda one, k: moved(one, [0, 0, 0.7 * (k > 11)])), _nothing),
    "a slice moved aside": (each(lambda one, k: moved(one, [20 * (k == 7), 0, 0])), _nothing),
    "no positions": (each(lambda one, k: one.pop("ImagePositionPatient")), _nothing),
    "no orientation": (each(lambda one, k: one.pop("ImageOrientationPatient")), _nothing),
    "no pixel distance": (each(lambda one, k: one.pop("PixelSpacing")), _nothing),
    "a file cut short": (each(lambda one, k: None), _nothing),
    **{name: (each(change), _nothing) for name, change in fault_pixels.REFUSED.items()},
}
"""What spoils a series, and which volumes (none where it must be reported) it holds all the same."""
