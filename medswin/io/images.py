"""Images in any format that is read: found by their names, and read."""

from __future__ import annotations

from pathlib import Path

from medswin.io.grid import Grid
from medswin.io.itk import read_itk, read_itk_grid
from medswin.io.itk_fields import SUFFIXES as ITK_SUFFIXES
from medswin.io.nifti import SUFFIXES, find_scans, named_like_scans, read_grid, read_nifti
from medswin.io.scan import Scan

IMAGE_SUFFIXES = (*SUFFIXES, *ITK_SUFFIXES)
"""Endings of the names of files that `read_image` reads, in lower case."""


def read_image(path: Path | str) -> Scan:
    """Read a scan from MetaImage (``.mha``, ``.mhd``), NRRD (``.nrrd``, ``.nhdr``) or NIfTI, which is all the rest.

    See `medswin.io.nifti.read_nifti` and `medswin.io.itk.read_itk` for what is noticed and what is refused.

    Raises:
        InputError: for a file that cannot be used.
    """
    path = Path(path)
    return read_itk(path) if path.suffix.lower() in ITK_SUFFIXES else read_nifti(path)


def read_image_grid(path: Path | str) -> Grid:
    """Shape and affine of a scan, from its header alone; see `read_image` for the errors."""
    path = Path(path)
    return read_itk_grid(path) if path.suffix.lower() in ITK_SUFFIXES else read_grid(path)


def find_images(path: Path | str) -> list[Path]:
    """`medswin.io.nifti.find_scans` for all of `IMAGE_SUFFIXES`."""
    return find_scans(path, IMAGE_SUFFIXES)


def has_images(folder: Path | str) -> bool:
    """Whether anything directly in the folder is named like an image."""
    return bool(named_like_scans(Path(folder), IMAGE_SUFFIXES))
