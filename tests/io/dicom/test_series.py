"""Series as they are found in a tree: read as SimpleITK reads them, told in words, with what was left out."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK
from traps import ROOT, assert_in_place, axes_of, by_simpleitk, move, set_pixels

from medswin.errors import InputError
from medswin.io.dicom import deflated, find_series, read_series

SERIES = {
    "mr_hippocrop_a": "MR, 32 slices of 35 x 51, 1 x 1 x 1 mm, axial",
    "mr_hippocrop_b": "MR, 40 slices of 34 x 50, 1 x 1 x 1 mm, axial",
    "mr_t1post_oblique": "MR, 22 slices of 512 x 512, 0.43 x 0.43 x 6.5 mm, axial",
    "ct_body_jpeg2000": "CT, 20 slices of 512 x 512, 0.977 x 0.977 x 2 mm, axial",
}


@pytest.mark.parametrize("name", SERIES)
def test_real_series_are_read_as_simpleitk_reads_them(data_dir: Path, name: str) -> None:
    (series,) = find_series(data_dir / "dicom" / name, b"key").series
    scan = read_series(series)
    truth = by_simpleitk(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(data_dir / "dicom" / name)))
    np.testing.assert_array_equal(scan.image.as_tensor().numpy()[0], truth.voxels)
    np.testing.assert_allclose(scan.image.affine, truth.affine, atol=1e-4)


def test_a_tree_of_series_gives_each_one(data_dir: Path) -> None:
    found = find_series(data_dir / "dicom", b"1").series
    assert sorted(series.summary for series in found) == sorted(SERIES.values())
    again = find_series(data_dir / "dicom", b"2").series
    assert not {series.id for series in found} & {series.id for series in again}


@pytest.mark.parametrize(
    ("row", "column", "plane"),
    [
        ([1, 0, 0], [0, 1, 0], "axial"),
        ([1, 0, 0], [0, 0, -1], "coronal"),
        ([0, 1, 0], [0, 0, -1], "sagittal"),
        ([1, 0, 0], [0, 0.8, -0.6], "axial"),
        ([1, 0, 0], [0, 0.7071, -0.7071], "oblique"),
    ],
)
def test_planes(ct: list, write: Callable, row: list, column: list, plane: str) -> None:
    for i, d in enumerate(ct):
        d.ImageOrientationPatient = [*row, *column]
        move(d, 2, 3 * i)
    assert {series.plane for series in find_series(write(ct), b"key").series} == {plane}


def test_a_series_without_places_is_told_as_such(ct: list, write: Callable) -> None:
    for d in ct:
        del d.ImagePositionPatient
    (series,) = find_series(write(ct), b"key").series
    assert (series.spacing_mm, series.plane) == (None, "unknown")
    assert series.summary == "CT, 12 slices of 80 x 96, spacing unknown, unknown"


@pytest.mark.parametrize(
    ("signed", "vr", "written"), [(0, "US", 40), (1, "SS", -2000), (1, "US", 63536), (0, "US", 4136)]
)
def test_padding_takes_the_lowest_value_and_is_told(
    ct: list, write: Callable, signed: int, vr: str, written: int
) -> None:
    """However its sign and the bits beyond those stored are written."""
    hidden = np.zeros((96, 80, 12), dtype=bool)
    hidden[3:9, 5:60, 2:11] = True
    for i, d in enumerate(ct):
        stored = np.clip(d.pixel_array.astype(np.int16), 3, 39)
        stored[hidden[..., i]] = -2000 if signed else 40
        d.BitsStored = 16 if signed else 12
        d.HighBit, d.PixelRepresentation, d.RescaleIntercept = d.BitsStored - 1, signed, 0
        set_pixels(d, stored)
        d.add_new("PixelPaddingValue", vr, written)
    (series,) = find_series(write(ct), b"key").series
    scan = read_series(series)
    image = scan.image.as_tensor().numpy()[0]
    assert (image.min(), image.max()) == (3, 39)
    assert (image[hidden.transpose(1, 0, 2)] == 3).all()
    (padding,) = [finding for finding in scan.findings if finding.code == "padding"]
    assert padding.message.startswith(f"{hidden.sum()} voxels are padding")


def test_a_range_of_padding(ct: list, write: Callable) -> None:
    for d in ct:
        stored = np.clip(d.pixel_array, 100, 200)
        stored[:2] = [[10], [20]]
        set_pixels(d, stored)
        d.RescaleIntercept = 0
        d.add_new("PixelPaddingValue", "US", 20)
        d.add_new("PixelPaddingRangeLimit", "US", 10)
    (series,) = find_series(write(ct), b"key").series
    assert read_series(series).image.min() == 100


def test_a_ct_that_gives_no_slope_is_told(ct: list, write: Callable) -> None:
    for d in ct:
        del d.RescaleSlope, d.RescaleIntercept
    (series,) = find_series(write(ct), b"key").series
    assert "no-rescale" in {finding.code for finding in read_series(series).findings}


def test_a_damaged_file_beside_the_slices_is_told(ct: list, write: Callable) -> None:
    del ct[11].Rows
    (series,) = find_series(write(ct), b"key").series
    assert len(series.slices) == 11
    assert "damaged-files" in {finding.code for finding in read_series(series).findings}


def test_lone_slices_are_counted_and_kept_out(ct: list, write: Callable) -> None:
    ct[0].SeriesInstanceUID = f"{ROOT}55"
    tree = find_series(write(ct), b"key")
    assert [len(series.slices) for series in tree.series] == [11]
    assert tree.passed_over == {"lone slices": 1}


def test_slices_turned_in_their_plane_are_of_another_series(slices: list, write: Callable, truth: Any) -> None:
    for d in slices[9:]:
        axes = axes_of(d)
        d.ImageOrientationPatient = [*axes[1], *-axes[0]]
    series = max(find_series(write(slices), b"key").series, key=lambda one: len(one.slices))
    assert len(series.slices) == 9
    assert_in_place(read_series(series), truth, whole=False)


def test_a_tree_without_series_says_what_is_there(ct: list, write: Callable, tmp_path: Path) -> None:
    for i, d in enumerate(ct):
        d.NumberOfFrames = 2
        d.Modality = "CT" if i else "XX"
    with pytest.raises(InputError, match="11 multi-frame, 1 of another modality"):
        find_series(write(ct), b"key")
    with pytest.raises(InputError, match="no files"):
        find_series(write([], "empty"), b"key")


def test_a_file_that_deflates_to_too_much_is_passed_over(
    ct: list, write: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others of its kind are read."""
    (series,) = find_series(write(ct), b"key").series
    expected = read_series(series)
    for d in ct:
        d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    folder = write(ct, "deflated")
    (series,) = find_series(folder, b"key").series
    np.testing.assert_array_equal(read_series(series).image, expected.image)
    bomb = series.files[3].read_bytes()[:400] + zlib.compress(bytes(10**6), wbits=-15)
    end = 144 + int.from_bytes(bomb[140:144], "little")
    series.files[3].write_bytes(bomb[:end] + zlib.compress(bytes(10**6), wbits=-15))
    monkeypatch.setattr(deflated, "MAX_BYTES", 10**5)
    assert find_series(folder, b"key").passed_over == {"too large once inflated": 1}


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_links_that_lead_nowhere_or_in_circles_do_no_harm(ct: list, write: Callable) -> None:
    folder = write(ct)
    (folder / "nowhere").symlink_to(folder / "gone")
    (folder / "circle").symlink_to(folder)
    (series,) = find_series(folder, b"key").series
    assert len(series.slices) == 12
