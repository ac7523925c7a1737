"""NIfTI files (and a MetaImage, an NRRD) with one fault each, and the volume that they hold nevertheless."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from fault_slices import Affine, Volumes
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

Made = tuple[bytes, Volumes]
"""What is written, and the volume (to LPS mm) that must come of it; none where it must be reported."""

Make = Callable[[NDArray[np.uint16], Affine], Made]
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def plant(
    folder: Path, fault: str, image: NDArray[np.uint16], affine: Affine, rng: np.random.Generator
) -> tuple[Path, Volumes]:
    """Write a file beside ``folder``, spoilt; gives its path, and the volume that must come of it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if fault in OTHERS:
        path = folder.with_name(f"{folder.name}{fault}")
        SimpleITK.WriteImage(_itk(image, affine), str(path), useCompression=True)
        return path, ((image.astype(np.float32), affine),)
    path = folder.with_name(f"{folder.name}.nii.gz")
    content, becomes = MADE[fault](image, affine)
    path.write_bytes(content)
    return path, becomes


def _itk(image: NDArray[np.uint16], affine: Affine) -> Any:
    made = SimpleITK.GetImageFromArray(image.T)
    made.SetDirection(affine[:3, :3].ravel())
    made.SetOrigin(affine[:3, 3])
    return made


def _file(stored: NDArray[Any], affine: Affine, **fields: Any) -> bytes:
    """A NIfTI-1 file with sform and qform, but for the fields of its header that are told."""
    header = Nifti1Header(endianness="<>"[stored.dtype.byteorder == ">"])
    header.set_data_dtype(stored.dtype)
    header.set_data_shape(stored.shape)
    header.set_sform(LPS @ affine, 1)
    header.set_qform(LPS @ affine, 1)
    header["magic"], header["vox_offset"], header["scl_slope"], header["scl_inter"] = b"n+1", 352, 1, 0
    for name, value in fields.items():
        header[name] = value
    return gzip.compress(header.binaryblock + bytes(4) + stored.tobytes(order="F"), 1, mtime=0)


def _same(change: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray, **fields: Any) -> Make:
    """Stored in another way, with the same values."""
    return lambda image, affine: (_file(change(image), affine, **fields), ((image.astype(np.float32), affine),))


def _refused(change: Callable[[NDArray[Any]], NDArray[Any]] = np.asarray, **fields: Any) -> Make:
    return lambda image, affine: (_file(change(image), affine, **fields), ())


def _scaled(image: NDArray[np.uint16], affine: Affine) -> Made:
    stored = (image // 8 - 100).clip(-128, 127).astype(np.int8)
    values = stored.astype(np.float32) * 8 + 800
    return _file(stored, affine, scl_slope=8, scl_inter=800), ((values, affine),)


def _mirrored(image: NDArray[np.uint16], affine: Affine) -> Made:
    """The first axis runs the other way, which makes the determinant negative."""
    turn = np.diag([-1.0, 1.0, 1.0, 1.0])
    turn[0, 3] = image.shape[0] - 1
    return _file(image[::-1], affine @ turn), ((image.astype(np.float32), affine),)


def _disagreeing(image: NDArray[np.uint16], affine: Affine) -> Made:
    """The qform lies 5 mm aside; the sform counts."""
    aside = (LPS @ affine)[:3, 3] + 5
    moved = dict(zip(("qoffset_x", "qoffset_y", "qoffset_z"), aside, strict=True))
    return _file(image, affine, **moved), ((image.astype(np.float32), affine),)


def _nowhere(image: NDArray[np.uint16], affine: Affine) -> Made:
    """Neither form: the centre is at 0, and the first axis runs to the left."""
    plain = np.diag([1.0, -1.0, 1.0, 1.0])
    plain[:3, 3] = np.array([-1, 1, -1]) * (np.array(image.shape) - 1) / 2
    return _file(image, affine, sform_code=0, qform_code=0), ((image.astype(np.float32), plain),)


def _cut(image: NDArray[np.uint16], affine: Affine) -> Made:
    content = _file(image, affine)
    return content[: len(content) * 2 // 3], ()


def _holed(image: NDArray[Any]) -> NDArray[Any]:
    return np.where(image > 900, np.nan, image).astype(np.float32)


MADE: dict[str, Make] = {
    "float64": _same(lambda image: image.astype(np.float64)),
    "big-endian NIfTI": _same(lambda image: image.astype(">i2")),
    "signed bytes with a scale": _scaled,
    "a scale of zero": _same(scl_slope=0, scl_inter=7),
    "a scale that is none": _same(scl_slope=np.nan),
    "4D of one frame": _same(lambda image: image[..., None]),
    "a negative determinant": _mirrored,
    "qform alone": _same(sform_code=0),
    "sform and qform disagree": _disagreeing,
    "neither sform nor qform": _nowhere,
    "a spacing of zero": _refused(pixdim=[1, 1, 0, 1, 1, 1, 1, 1]),
    "an affine that is flat": _refused(srow_z=[0, 0, 0, 0]),
    "a NIfTI cut short": _cut,
    "values that are no number": _refused(_holed),
    "one slice": _refused(lambda image: image[..., :1]),
    "complex numbers": _refused(lambda image: image.astype(np.complex64)),
    "an empty file": lambda image, affine: (b"", ()),
    "no NIfTI at all": lambda image, affine: (b"no image" * 99, ()),
}
OTHERS = (".mha", ".nrrd")
FAULTS = (*MADE, *OTHERS)
