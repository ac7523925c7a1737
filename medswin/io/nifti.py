"""NIfTI files: scans and label maps, in and out."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import ArrayLike, NDArray

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.files import write_bytes
from medswin.io.geometry import base_affine, geometry
from medswin.io.grid import Grid, checked_affine, sizes
from medswin.io.header import BYTES_LEFT_OVER, SMALL_MAP, Header, check_ratio, opened, read_header, read_voxels
from medswin.io.scan import Scan

SUFFIXES = (".nii.gz", ".nii")
IMAGE_FOLDERS = ("imagesTr", "imagesTs", "images")
"""Where data sets in the Decathlon's and nnU-Net's layout keep their scans."""

_LONGEST = 32767  # NIfTI-1 counts an axis in 16 bits
_SLAB = 16  # slices that are scaled at once
_COUNTED = 1e-3  # a label stored with a scale may miss its whole number by this much
_NO_SCALE = Finding(
    "scale-unreadable",
    "warn",
    "The header's scale (scl_slope) is no finite number; the intensities were taken as they are stored.",
    "check the intensities in a viewer, and correct the header",
)


def case_name(path: Path | str) -> str:
    """The name of a file without its folder and without ``.nii`` or ``.nii.gz`` (or its last suffix, if another)."""
    path = Path(path)
    suffix = next((s for s in SUFFIXES if path.name.lower().endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(suffix)] or path.name


def find_scans(path: Path | str, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """The file, or what is named like a NIfTI file directly in the folder, sorted by name; hidden ones are left out.

    What has such a name and is none, such as a link to nothing or a folder, is kept: reading it says what is wrong.

    Args:
        path: of a file, or a folder.
        suffixes: the endings that are looked for, in lower case.

    Raises:
        InputError: if there is no such path, or no file of these endings in the folder.
    """
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError("no such file or folder", where=path, repair="check the path")
    found = named_like_scans(path, suffixes)
    if not found:
        folders = [path / name for name in IMAGE_FOLDERS if (path / name).is_dir()]
        inside = [folder for folder in folders if named_like_scans(folder, suffixes)]
        repair = f"name {' or '.join(map(str, inside))}" if inside else "name a folder that holds scans"
        *others, last = sorted(suffixes, key=len)
        raise InputError(f"no {', '.join(others)} or {last} file in this folder", where=path, repair=repair)
    return sorted(found)


def read_nifti(path: Path | str) -> Scan:
    """Read a scan: (X, Y, Z), or (X, Y, Z, C) whose last axis becomes the channels; scales are applied.

    The findings tell of a header without orientation, of parts of it that disagree or cannot be, and of bytes after the
    voxels. A scale of 0 means none, by the standard.

    Raises:
        InputError: for a file that is missing, damaged, cut short or not NIfTI, that is not 3D, not real, not finite
            or the same everywhere, that `check_ratio` refuses, or whose header gives no usable spacing or affine.
    """
    path = Path(path)
    stored, header, grid, findings = _read(path)
    return Scan.checked(case_name(path), _channels_first(stored, header), grid, findings, path)


def read_grid(path: Path | str) -> Grid:
    """Shape and affine of a NIfTI file, from its header alone; see `read_nifti` for the errors."""
    path = Path(path)
    with opened(path) as stream:
        return geometry(read_header(stream, path), path)[0]


def read_labels(
    path: Path | str, *, like: Scan | Grid | None = None, values: Iterable[int] | None = None
) -> NDArray[np.uint8]:
    """Read a label map, (X, Y, Z) uint8. One that is 0 everywhere is fine.

    Args:
        path: of the file.
        like: the scan or grid whose shape and affine it must have.
        values: the values that may occur; any from 0 to 255 where None.

    Raises:
        InputError: for a file that `read_nifti` refuses (but for its intensities), with channels, with values that are
            not whole numbers from 0 to 255 or are not among ``values``, or that does not lie on the grid of ``like``.
    """
    path = Path(path)
    grid = None if like is None else like.grid if isinstance(like, Scan) else like
    stored, header, *_ = _read(path, small=SMALL_MAP, check=partial(_check_map, like=grid, path=path))
    labels = _whole(stored * np.float64(header.slope) + header.inter if header.scaled else stored, path)
    _check_values(labels, values, path)
    return labels


def write_labels(path: Path | str, labels_XYZ: ArrayLike, affine: ArrayLike, *, oriented: bool = True) -> None:
    """Write a label map as uint8 NIfTI-1, whole or not at all, with no text in its header.

    Args:
        path: ends in ``.nii.gz`` or ``.nii``.
        labels_XYZ: whole numbers from 0 to 255.
        affine: (4, 4) voxel index -> RAS+ mm, stored in float32 as sform and qform of code 1; a sheared one, which no
            qform can hold, as sform alone.
        oriented: False for a scan without orientation: its labels then have none either (see `geometry`), unless the
            affine is not the one that such a file implies.

    Raises:
        InputError: for another shape, other values, an unusable affine or name, or a place that cannot be written to.
    """
    labels = np.asarray(labels_XYZ)
    if labels.ndim != 3 or labels.dtype.kind not in "biuf":
        raise InputError(
            f"{labels.dtype} of {sizes(labels.shape)} is no label map", where=path, repair="give (X, Y, Z)"
        )
    _write(Path(path), _whole(labels, path), affine, oriented)


def write_image(path: Path | str, array: ArrayLike, affine: ArrayLike, *, oriented: bool = True) -> None:
    """Write an image as float32 NIfTI-1: (X, Y, Z), or (C, X, Y, Z) stored with the channels last.

    ``oriented`` is as in `write_labels`.

    Raises:
        InputError: for another number of axes, an unusable affine or name, or a place that cannot be written to.
    """
    image = np.asarray(array, dtype=np.float32)
    if image.ndim not in (3, 4):
        raise InputError(f"an array of {sizes(image.shape)} is no image", where=path, repair="give (X, Y, Z)")
    _write(Path(path), np.moveaxis(image, 0, -1) if image.ndim == 4 else image, affine, oriented)


def _check_map(header: Header, grid: Grid, *, like: Grid | None, path: Path) -> None:
    """Refuse, before its voxels are unpacked, what is no label map or lies elsewhere."""
    if len(header.shape) != 3:
        raise InputError(
            f"is a 4D image of {sizes(header.shape)}, a label map is 3D", where=path, repair="save one volume"
        )
    difference = like.difference(grid) if like is not None else ""
    if difference:
        raise InputError(
            f"does not lie on the grid of its image: {difference}",
            where=path,
            repair="resample it onto the image with nearest neighbour, or check that the two belong together",
        )


def named_like_scans(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """What is named like a NIfTI file directly in a folder, or ends otherwise as told; hidden ones are left out."""
    endings = tuple(suffixes)
    return [p for p in folder.iterdir() if p.name.lower().endswith(endings) and not p.name.startswith(".")]


def _read(
    path: Path, *, small: int | None = None, check: Callable[[Header, Grid], None] | None = None
) -> tuple[NDArray[Any], Header, Grid, tuple[Finding, ...]]:
    with opened(path) as stream:
        header = read_header(stream, path)
        grid, findings = geometry(header, path)
        if check is not None:
            check(header, grid)
        if isinstance(stream, gzip.GzipFile):
            check_ratio(math.prod(header.shape) * header.dtype.itemsize, path, path, small)
        stored, extra = read_voxels(stream, header, path)
    if extra:
        findings += (BYTES_LEFT_OVER,)
    if not math.isfinite(header.raw["scl_slope"]):
        findings += (_NO_SCALE,)
    return stored, header, grid, findings


def _channels_first(stored: NDArray[Any], header: Header) -> NDArray[np.float32]:
    """(X, Y, Z) or (X, Y, Z, C) as stored -> (C, X, Y, Z) scaled; slab by slab, as float64 takes much memory."""
    volumes = np.moveaxis(stored if stored.ndim == 4 else stored[..., None], -1, 0)
    image = np.empty(volumes.shape, dtype=np.float32)
    slope, inter = np.float64(header.slope), np.float64(header.inter)
    with np.errstate(over="ignore", invalid="ignore"):
        for out, volume in zip(image, volumes, strict=True):
            for z in range(0, volume.shape[2], _SLAB):
                slab = volume[..., z : z + _SLAB]
                out[..., z : z + _SLAB] = slab * slope + inter if header.scaled else slab
    return image


def _whole(values: NDArray[Any], where: object) -> NDArray[np.uint8]:
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            off = ~(np.abs(values - np.rint(values)) <= _COUNTED)  # NaN and infinity too
        if off.any():
            raise InputError(
                f"{int(off.sum())} voxels are not whole numbers, for example {values[off][0]:g}",
                where=where,
                repair="resample label maps with nearest neighbour",
            )
        values = np.rint(values)
    if values.size and (values.min() < 0 or values.max() > 255):
        low, high = values.min(), values.max()
        raise InputError(
            f"its values are {low:g} to {high:g}, labels are 0 to 255", where=where, repair="renumber them"
        )
    return values.astype(np.uint8)


def _check_values(labels: NDArray[np.uint8], values: Iterable[int] | None, path: Path) -> None:
    if values is None:
        return
    allowed, found = sorted(set(values)), np.flatnonzero(np.bincount(labels.ravel(order="K")))
    foreign = [int(value) for value in found if value not in allowed]
    if foreign:
        raise InputError(
            f"holds the values {', '.join(map(str, foreign))}, which are none of {', '.join(map(str, allowed))}",
            where=path,
            repair="renumber the labels, or name them all in the data set or config",
        )


def _write(path: Path, array: NDArray[Any], affine: ArrayLike, oriented: bool) -> None:
    matrix = checked_affine(affine, path)
    if not path.name.lower().endswith(SUFFIXES):
        raise InputError("the name of a NIfTI file ends in .nii.gz or .nii", where=path, repair="add .nii.gz")
    if not 1 <= min(array.shape) <= max(array.shape) <= _LONGEST:
        raise InputError(f"NIfTI cannot hold {sizes(array.shape)} voxels", where=path, repair="crop the array")
    content = _image(array, matrix, oriented).to_bytes()
    # mtime 0 and no file name inside: the same labels give the same bytes, and nothing tells whose they are.
    write_bytes(path, gzip.compress(content, 6, mtime=0) if path.name.lower().endswith(".gz") else content)


def _image(array: NDArray[Any], affine: NDArray[np.float64], oriented: bool) -> Any:
    grid = Grid.checked(array.shape[:3], affine)
    image = nibabel.Nifti1Image(array, affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    told = oriented or not grid.same_place(base_affine(grid.shape, np.array(grid.voxel_mm)))
    image.set_sform(affine, code=int(told))
    image.set_qform(affine, code=int(told))
    if not grid.same_place(image.header.get_qform()):
        image.set_qform(None, code=0)
    return image
