"""Before the network: a scan is read, checked, cut to the box and put on the network's grid."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from monai.data import MetaTensor

from medswin.errors import InputError
from medswin.inference.box import Box, Slices, cropped
from medswin.inference.compute import check_fits
from medswin.inference.model import Model
from medswin.io.nifti import read_nifti
from medswin.io.scan import Scan


@dataclass(frozen=True, eq=False)
class Prepared:
    """A scan that waits for the network.

    Attributes:
        scan: as it was read, but without its intensities: only its grid and findings are needed from here on.
        box: the part to look at; None for all.
        slices: the box on the scan's array.
        looked_at: this part of the scan, without its intensities.
        image: (C, X, Y, Z) on the network's grid.
        sha256: of the file; None where no path was given.
        seconds: that this took.
    """

    scan: Scan
    box: Box | None
    slices: Slices | None
    looked_at: Scan
    image: MetaTensor
    sha256: str | None
    seconds: float


def prepare(model: Model, image: Any, box: str | Box | None = None) -> Prepared:
    """Read and preprocess one scan for a model.

    Args:
        model: whose channels, spacing and intensities count.
        image: path of a NIfTI file, a `Scan`, or an array (C, X, Y, Z) or (X, Y, Z); a `MetaTensor` brings its affine.
        box: see `Box.parse`.

    Raises:
        InputError: for a scan that cannot be read or used, another number of channels than the model's, or a box that
            does not lie in the scan.
    """
    started = time.perf_counter()
    scan = _as_scan(image)
    part = Box.parse(box) if isinstance(box, str) else box
    slices = None if part is None else part.slices(scan)
    looked_at = scan if slices is None else cropped(scan, slices)
    _check(looked_at, model)
    on_grid = model.preprocessing(looked_at.image)
    sha256 = file_sha256(Path(image)) if isinstance(image, str | Path) else None
    return Prepared(_hollow(scan), part, slices, _hollow(looked_at), on_grid, sha256, time.perf_counter() - started)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _as_scan(image: Any) -> Scan:
    if isinstance(image, Scan):
        return image
    return read_nifti(image) if isinstance(image, str | Path) else Scan.from_array(image)


def _hollow(scan: Scan) -> Scan:
    """The scan on its grid with zeros that take no memory."""
    zeros = torch.zeros(()).expand(scan.image.shape)
    return replace(scan, image=MetaTensor(zeros, affine=scan.image.affine))


def _check(scan: Scan, model: Model) -> None:
    names, channels = model.channels, len(scan.image)
    if channels != len(names):
        one = ", save one time point if it is a series of them" if channels > len(names) else ""
        raise InputError(
            f"the scan has {channels} channels, model {model.name} takes {len(names)} ({', '.join(names)})",
            where=scan.path or scan.case,
            repair=f"give a scan with these channels, in this order{one}, or use another model",
        )
    check_fits(scan, model.preprocessing.spacing_mm)
