"""Tilted slices: refused, or on request resampled onto a straight grid that holds the same anatomy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import SimpleITK
import traps
from traps import Truth, axes_of, move, set_pixels, step_mm

from medswin.errors import InputError
from medswin.io import Scan
from medswin.io.dicom import find_series, read_series
from medswin.io.dicom.tilt import straightened


def test_a_picture() -> None:
    """Slices that slide by half a column each: a step of 1 becomes 2, with the mean between."""
    image = np.zeros((3, 2, 3), dtype=np.float32)
    image[1] = 8
    affine = np.eye(4)
    affine[0, 2] = 0.5
    straight, placed = straightened(image, affine, "case")
    np.testing.assert_array_equal(straight[:, 0].T, [[0, 8, 0, 0], [0, 4, 4, 0], [0, 0, 8, 0]])
    np.testing.assert_array_equal(straight[:, 1], straight[:, 0])
    np.testing.assert_array_equal(placed, np.eye(4))


def test_a_tilt_to_the_other_side_moves_the_origin() -> None:
    image = np.zeros((2, 3, 3), dtype=np.float32)
    image[:, 1] = 5
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[1, 2] = -2  # one row a slice
    straight, placed = straightened(image, affine, "case")
    np.testing.assert_array_equal(straight[0].T, [[0, 0, 0, 5, 0], [0, 0, 5, 0, 0], [0, 5, 0, 0, 0]])
    np.testing.assert_array_equal(placed[:3, 3], [0, -4, 0])
    np.testing.assert_array_equal(placed[:3, :3], np.diag([1, 2, 3]))


def ramp(d: Any, i: int) -> None:
    """Values that grow along all axes of the body, as exactly as whole numbers can, seen by a tilted slice."""
    move(d, 1, np.tan(np.radians(15)) * step_mm(d) * i)
    axes, (down, across) = axes_of(d), (float(value) for value in d.PixelSpacing)
    column, row = np.meshgrid(np.arange(d.Columns), np.arange(d.Rows))
    offset = column[..., None] * across * axes[0] + row[..., None] * down * axes[1]
    place = np.array(d.ImagePositionPatient, float) + offset
    d.PixelRepresentation, d.BitsStored, d.HighBit, d.RescaleSlope, d.RescaleIntercept = 1, 16, 15, 1, 0
    set_pixels(d, np.rint(5 * place @ (1.0, 2.0, 3.0)).astype(np.int16))


def test_each_voxel_of_the_straight_grid_shows_what_is_there(plant: Callable) -> None:
    """A ramp is its own linear interpolation."""
    (series,) = find_series(plant(ramp), b"key").series
    scan = read_series(series, resample_tilt=True)
    image, affine = scan.image.as_tensor().numpy()[0], np.asarray(scan.image.affine)
    index = np.indices(image.shape).reshape(3, -1)
    left, posterior, superior = np.diag([-1, -1, 1]) @ (affine @ [*index, np.ones(index.shape[1])])[:3]
    expected = 5 * (left + 2 * posterior + 3 * superior)
    inside = image.ravel() != image.min()
    assert inside.mean() > 0.65
    assert np.abs(image.ravel() - expected)[inside].max() < 1.01
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-4)


def test_real_anatomy_as_simpleitk_resamples_it(plant: Callable, truth: Truth) -> None:
    (series,) = find_series(plant(traps.tilted), b"key").series
    scan = read_series(series, resample_tilt=True)
    first, last = (series.slices[i].place for i in (0, -1))
    expected, inside = by_simpleitk(truth, (last.origin_mm - first.origin_mm) / 11, scan)
    ours = scan.image.as_tensor().numpy()[0]
    assert inside.mean() > 0.65
    assert np.abs(ours - expected)[inside].max() < 0.01 * np.ptp(truth.voxels)
    assert (ours[~inside] == truth.voxels.min()).all()


def by_simpleitk(truth: Truth, step_lps: np.ndarray, scan: Scan) -> tuple[np.ndarray, np.ndarray]:
    """The tilted stack sampled at the voxels of a scan, by an affine transform (its images have no shear); and where

    a voxel lies between centres of the stack's voxels.
    """
    lps = np.diag([-1, -1, 1, 1])
    tilted = lps @ truth.affine
    tilted[:3, 2] = step_lps
    moving = SimpleITK.GetImageFromArray(truth.voxels.transpose(2, 1, 0).astype(np.float64))
    fixed = SimpleITK.Image(*scan.shape, SimpleITK.sitkFloat64)
    to_moving = np.linalg.inv(tilted) @ lps @ np.asarray(scan.image.affine)  # index to index
    transform = SimpleITK.AffineTransform(to_moving[:3, :3].ravel().tolist(), to_moving[:3, 3].tolist())
    moved = SimpleITK.Resample(moving, fixed, transform, SimpleITK.sitkLinear, float("nan"))
    there = np.einsum("ij,jxyz->ixyz", to_moving[:3, :3], np.indices(scan.shape)) + to_moving[:3, 3, None, None, None]
    ends = np.array(truth.voxels.shape)[:, None, None, None] - 1
    room = np.array([0.05, 1e-3, 1e-3])[:, None, None, None]  # a drift along rows so small is left as it is
    inside = ((there > -room) & (there < ends + room)).all(axis=0)
    return SimpleITK.GetArrayFromImage(moved).transpose(2, 1, 0), inside


def test_it_is_told_with_the_degrees(plant: Callable) -> None:
    (series,) = find_series(plant(traps.tilted), b"key").series
    with pytest.raises(InputError, match=r"tilted by 15\.0 degrees.*resample_tilt=True"):
        read_series(series)
    (finding,) = [f for f in read_series(series, resample_tilt=True).findings if f.code == "gantry-tilt"]
    assert finding.grade == "warn"
    assert "tilted by 15.0 degrees" in finding.message
    assert "resampled" in finding.message


def test_straight_slices_stay_as_they_are(plant: Callable, truth: Truth) -> None:
    (series,) = find_series(plant(lambda d, i: None), b"key").series
    scan = read_series(series, resample_tilt=True)
    traps.assert_in_place(scan, truth)
    assert "gantry-tilt" not in {finding.code for finding in scan.findings}


def test_what_is_no_gantry_is_refused_even_then(plant: Callable) -> None:
    (series,) = find_series(plant(lambda d, i: move(d, 0, 2 * step_mm(d) * i)), b"key").series
    with pytest.raises(InputError, match=r"tilted by 63\.4 degrees"):
        read_series(series, resample_tilt=True)
