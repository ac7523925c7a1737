"""Outlines: read back by a filler of polygons of our own, which knows nothing of how they were made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from studies import COLUMNS, PIXEL_MM, ROWS, SLICES, Study, as_frames, make_case, make_study, picture, validate

from medswin.review.dicom.contours import area, outlines


def filled(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Which pixel centres lie within an odd number of rings (row, column): a scanline from the left, edge by edge."""
    inside = np.zeros(shape, dtype=bool)
    for row in range(shape[0]):
        for ring in rings:
            for (r0, c0), (r1, c1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                if (r0 > row) != (r1 > row):
                    crossing = c0 + (row - r0) / (r1 - r0) * (c1 - c0)
                    inside[row] ^= np.arange(shape[1]) > crossing
    return inside


def read_back(dataset: Any, study: Study) -> np.ndarray:
    """The label map that the contours of a structure set enclose, each in the plane in which its points lie."""
    labels = np.zeros((COLUMNS, ROWS, SLICES), dtype=np.uint8)
    origins = np.array([d.ImagePositionPatient for d in study.slices], dtype=float)
    normal = np.cross(*study.axes)
    for roi in dataset.ROIContourSequence:
        rings: dict[int, list[np.ndarray]] = {}
        for contour in roi.ContourSequence:
            points = np.array(contour.ContourData, dtype=float).reshape(-1, 3)
            assert (contour.ContourGeometricType, contour.NumberOfContourPoints) == ("CLOSED_PLANAR", len(points))
            depth = np.abs((points[:, None] - origins) @ normal)
            (k,) = set(depth.argmin(axis=1).tolist())
            assert depth[:, k].max() < 2e-3
            along, down = ((points - origins[k]) @ study.axes.T / PIXEL_MM).T
            rings.setdefault(k, []).append(np.stack([down, along], axis=1))
        for k, found in rings.items():
            labels[..., k][filled(found, (ROWS, COLUMNS)).T] = roi.ReferencedROINumber
    return labels


@pytest.mark.parametrize("enhanced", [False, True])
def test_an_independent_reader_finds_each_voxel(
    study: Study, tmp_path: Path, exported: Callable, enhanced: bool
) -> None:
    scan = as_frames(study, tmp_path / "enhanced") if enhanced else study.folder
    done = exported(make_case(tmp_path / "predicted", scan), "rtstruct")
    np.testing.assert_array_equal(read_back(pydicom.dcmread(done.files[0]), study), picture())
    validate(done.files[0])


def test_contours_name_their_slice_and_fit_into_their_fields(case: Path, study: Study, dataset: Callable) -> None:
    made = dataset(case, "rtstruct")
    position = {d.SOPInstanceUID: np.array(d.ImagePositionPatient, dtype=float) for d in study.slices}
    normal = np.cross(*study.axes)
    for roi in made.ROIContourSequence:
        for contour in roi.ContourSequence:
            origin = position[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
            first = np.array(contour.ContourData[:3], dtype=float)
            assert abs((first - origin) @ normal) < 2e-3
            assert all(len(str(value)) <= 16 for value in contour.ContourData)
            assert all(len(str(value).partition(".")[2]) <= 3 for value in contour.ContourData)
    assert [roi.ROIName for roi in made.StructureSetROISequence] == ["left cap", "stripe"]
    assert [list(roi.ROIDisplayColor) for roi in made.ROIContourSequence] == [[230, 159, 0], [86, 180, 233]]
    assert {roi.ROIGenerationAlgorithm for roi in made.StructureSetROISequence} == {"AUTOMATIC"}
    assert made.SeriesDescription.startswith("RESEARCH USE ONLY")


def test_structures_that_outlines_show_badly_are_warned_of(case: Path, exported: Callable) -> None:
    """A cap of 46 voxels in few pieces, and a stripe that loses half of each slice's 8 voxels."""
    (cap, stripe) = exported(case, "rtstruct").notes
    assert "the outlines of left cap enclose" in cap
    said = "the outlines of stripe enclose 6.2 % less area than its voxels, as it is thin or in small pieces"
    assert said in stripe


def test_crumbs_and_holes_are_called_what_they_are(study: Study, tmp_path: Path, exported: Callable) -> None:
    """Squares of 2 x 2 voxels lose an eighth; a plate with 6 holes gains (6 - 1) / 2 of its 94 voxels a slice."""
    labels = np.zeros((COLUMNS, ROWS, SLICES), dtype=np.uint8)
    for x in (1, 4, 7):
        labels[x : x + 2, 1:3, 0] = 2
    labels[2:12, 1:11, 4] = 1
    labels[3:12:3, 3:9:4, 4] = 0
    (plate, crumbs) = exported(make_case(tmp_path / "predicted", study.folder, labels), "rtstruct").notes
    assert "enclose 2.7 % more area than its voxels, as it has many small holes" in plate
    assert "enclose 12.5 % less area than its voxels, as it is thin or in small pieces" in crumbs


def test_where_nothing_was_found_there_is_nothing_to_outline(study: Study, tmp_path: Path, exported: Callable) -> None:
    (reason,) = exported(make_case(tmp_path / "predicted", study.folder, 0 * picture()), "rtstruct").failed
    assert "nothing was found" in reason


def test_a_long_outline_is_written_whole(tmp_path: Path, dataset: Callable) -> None:
    """The points of one contour take more than the 64 KiB that a field with an explicit type has."""
    from medswin.review.dicom import rtstruct
    from medswin.review.dicom.reference import Slice

    class Reference:
        axes, pixel_mm, slices = np.eye(3)[:2], (1.0, 1.0), (Slice("1.2", "1.3", None, (0.0, 0.0, 0.0)),)

    angle = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    ring = 200 * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    item = rtstruct._contour(1, 0, ring, Reference())
    path = tmp_path / "item.dcm"
    pydicom.dcmwrite(path, item, implicit_vr=True, little_endian=True, force_encoding=True)
    back = np.array(pydicom.dcmread(path, force=True).ContourData, dtype=float).reshape(-1, 3)
    np.testing.assert_allclose(back[:, :2], ring[:, ::-1], atol=5.1e-4)


def test_a_square_with_a_hole_in_numbers() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[1:8, 1:8], mask[4, 4] = True, False
    rings = outlines(mask)
    assert len(rings) == 2
    assert sorted(map(len, rings)) == [4, 8]  # the hole's diamond, the square with its corners cut
    assert area(rings) == pytest.approx(49 - 4 / 8 - 1 / 2)
    np.testing.assert_array_equal(filled(rings, mask.shape), mask)


@pytest.mark.parametrize("radius", [6, 12, 40])
def test_compact_structures_keep_their_area(radius: int) -> None:
    y, x = np.ogrid[-50:51, -50:51]
    disc = x**2 + y**2 <= radius**2
    assert abs(area(outlines(disc)) / disc.sum() - 1) < 0.01


def test_any_mask_is_found_again() -> None:
    rng = np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9):
        mask = rng.random((17, 23)) < share
        np.testing.assert_array_equal(filled(outlines(mask), mask.shape), mask)


def test_an_empty_mask_has_no_outline() -> None:
    assert outlines(np.zeros((3, 3), dtype=bool)) == []


def test_real_oblique_series_take_seconds(data_dir: Path, tmp_path: Path, exported: Callable) -> None:
    """Voxel by voxel, on 22 slices of a double-oblique scan."""
    z, y, x = np.ogrid[:22, :512, :512]
    ball = ((x - 250) / 120) ** 2 + ((y - 260) / 150) ** 2 + ((z - 11) / 8) ** 2 < 1
    labels = np.ascontiguousarray(ball.T).astype(np.uint8)
    done = exported(make_case(tmp_path / "predicted", data_dir / "dicom" / "mr_t1post_oblique", labels), "rtstruct")
    assert (done.failed, done.notes) == ((), ())
    validate(done.files[0])


def test_a_scan_far_out_is_refused(tmp_path: Path, exported: Callable) -> None:
    flat = make_study(tmp_path / "flat", ImagePositionPatient=lambda k: [2e8, 0.0, 2.5 * k])
    (reason,) = exported(make_case(tmp_path / "predicted", flat.folder), "rtstruct").failed
    assert "too far out to be outlined" in reason
