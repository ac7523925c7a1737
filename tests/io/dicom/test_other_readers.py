"""Voxels lie where dcm2niix and SimpleITK put them, with the value that they read, on series that they get right."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
import traps
from multiframe import enhanced
from pydicom import uid
from test_compression import compress
from traps import Truth, assert_in_place, by_simpleitk

from medswin.io.dicom import find_series, read_series

REAL = ("ct_body_jpeg2000", "mr_hippocrop_a", "mr_hippocrop_b", "mr_t1post_oblique")
Reader = Callable[[Path], Truth]


def by_dcm2niix(folder: Path, out: Path) -> Truth:
    """What it writes, which must be one file: told to merge, it does not split a series where the exposure varies."""
    out.mkdir()
    words = ["dcm2niix", "-z", "n", "-b", "n", "-m", "y", "-f", "%s", "-o", out, folder]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    (written,) = out.glob("*.nii")
    image = nibabel.load(written)
    return Truth(image.get_fdata(dtype=np.float32), image.affine)


def by_series(folder: Path) -> Truth:
    """What SimpleITK makes of the only series."""
    (name,) = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    return by_simpleitk(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), name))


@pytest.fixture
def dcm2niix(tmp_path: Path) -> Reader:
    if shutil.which("dcm2niix") is None:
        pytest.skip("dcm2niix is not installed (apt-get install dcm2niix)")
    return lambda folder: by_dcm2niix(folder, tmp_path / "nifti")


@pytest.fixture(params=["dcm2niix", "SimpleITK"])
def other(request: pytest.FixtureRequest) -> Reader:
    """One of the two; the test is skipped without it."""
    reader: Reader = by_series if request.param == "SimpleITK" else request.getfixturevalue("dcm2niix")
    return reader


@pytest.mark.parametrize("name", REAL)
def test_real_series(data_dir: Path, other: Reader, name: str) -> None:
    folder = data_dir / "dicom" / name
    (series,) = find_series(folder, b"key").series
    assert_in_place(read_series(series), other(folder))


SIDES = ("L", "R", "P", "A", "S", "I")
"""To which side of the patient the normals may point, but for a tilt."""


def facing(side: str) -> np.ndarray:
    """(3, 3) unit vectors along a row, along a column and across slices that face a side, tilted about two axes."""
    normal = dict(zip(SIDES, [s * e for e in np.eye(3) for s in (1, -1)], strict=True))[side]
    row = np.roll(normal, 1)
    straight = np.vstack([row, np.cross(normal, row), normal])
    (c, s), (d, t) = ((np.cos(angle), np.sin(angle)) for angle in np.radians((17, -11)))
    about_x, about_z = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]), np.array([[d, -t, 0], [t, d, 0], [0, 0, 1]])
    return straight @ (about_z @ about_x).T


def turned(slices: list[Any], side: str) -> list[Any]:
    """The series with the patient turned about, so that its slices are double-oblique."""
    turn = facing(side).T @ traps.axes_of(slices[0])
    for d in slices:
        axes = traps.axes_of(d)[:2] @ turn.T
        d.ImageOrientationPatient = [f"{value:.12f}" for value in axes.ravel()]
        d.ImagePositionPatient = [f"{value:.9f}" for value in turn @ np.array(d.ImagePositionPatient, float)]
    return slices


@pytest.mark.parametrize("side", SIDES)
def test_double_oblique_series(slices: list[Any], write: Callable[..., Path], other: Reader, side: str) -> None:
    folder = write(turned(slices, side))
    (series,) = find_series(folder, b"key").series
    truth = other(folder)
    assert SIDES.index(nibabel.aff2axcodes(truth.affine)[2]) // 2 == SIDES.index(side) // 2
    assert_in_place(read_series(series), truth)


SAME = {
    "flipped rows": traps.flipped_rows,
    "oblong pixels": traps.oblong,
    "signed pixels": traps.signed,
    "big-endian": lambda d, i: big_endian(d),
    "RLE": lambda d, i: compress(d, uid.RLELossless),
    "JPEG 2000": lambda d, i: compress(d, uid.JPEG2000Lossless),
    "JPEG lossless": lambda d, i: compress(d, uid.JPEGLosslessSV1),
    "JPEG-LS": lambda d, i: compress(d, uid.JPEGLSLossless),
}


def big_endian(d: Any) -> None:
    d.file_meta.TransferSyntaxUID = uid.ExplicitVRBigEndian
    d.PixelData = np.frombuffer(d.PixelData, "<u2").byteswap().tobytes()


@pytest.mark.parametrize("stored", SAME)
def test_oblique_series_stored_in_other_ways(
    slices: list[Any], write: Callable[..., Path], other: Reader, stored: str, request: pytest.FixtureRequest
) -> None:
    if stored == "JPEG-LS" and "dcm2niix" in request.node.name:
        pytest.skip("Debian's dcm2niix has no JPEG-LS")
    for i, d in enumerate(turned(slices, "P")):
        SAME[stored](d, i)
    folder = write(slices)
    (series,) = find_series(folder, b"key").series
    assert_in_place(read_series(series), other(folder))


@pytest.mark.parametrize("side", "RI")
def test_oblique_frames_of_one_file(slices: list[Any], write: Callable[..., Path], dcm2niix: Reader, side: str) -> None:
    """In no order, which SimpleITK does not mend."""
    folder = write([enhanced(turned(slices, side))])
    (series,) = find_series(folder, b"key").series
    assert_in_place(read_series(series), dcm2niix(folder))
