"""Boxes: text to spans, spans to voxels, in any orientation."""

from __future__ import annotations

import numpy as np
import pytest
from inference_fakes import ORIENTATIONS, reoriented

from medswin.errors import InputError
from medswin.inference import Box
from medswin.inference.box import cropped
from medswin.io.scan import Scan

IMAGE = np.random.default_rng(0).random((10, 12, 14))


def test_voxels_exclude_their_end() -> None:
    assert Box.parse("1:4, 2:5 ,0:14").slices(Scan.from_array(IMAGE, np.eye(4))) == np.s_[1:4, 2:5, 0:14]


def test_an_end_left_out_is_that_of_the_scan() -> None:
    assert Box.parse(":4,2:,:").slices(Scan.from_array(IMAGE, np.eye(4))) == np.s_[0:4, 2:12, 0:14]
    assert Box.parse(":3.5,5:,:mm").slices(Scan.from_array(IMAGE, np.eye(4))) == np.s_[0:4, 5:12, 0:14]


def test_what_reaches_beyond_the_scan_is_cut_off() -> None:
    assert Box.parse("8:99,-50:3,0:2mm").slices(Scan.from_array(IMAGE, np.eye(4))) == np.s_[8:10, 0:4, 0:3]


@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS)
def test_a_box_in_mm_holds_the_same_places_however_the_scan_is_stored(permutation, signs) -> None:
    """Voxel centres lie at 2 i - 9.5, i - 20 and 1.5 i + 3 mm; those within the box are i = 2..5, 3..7 and 0..4."""
    affine = np.diag([2.0, 1.0, 1.5, 1.0])
    affine[:3, 3] = (-9.5, -20, 3)
    scan = Scan.from_array(*reoriented(IMAGE, affine, permutation, signs))
    part = cropped(scan, Box.parse("-6:1,-17.0:-12.5,0:10.4mm").slices(scan))
    expected, _ = reoriented(IMAGE[2:6, 3:8, 0:5], np.eye(4), permutation, signs)
    np.testing.assert_array_equal(part.image[0].numpy(), expected.astype(np.float32))
    corners = np.array([part.grid.affine @ [*corner, 1] for corner in ((0, 0, 0), np.array(part.shape) - 1)])
    assert corners[:, :3].min(0).tolist() == [-5.5, -17, 3]
    assert corners[:, :3].max(0).tolist() == [0.5, -13, 9]


def test_a_crop_keeps_its_place_in_the_world() -> None:
    affine = np.array([[1.9, -0.3, 0.1, -11.0], [0.35, 0.98, -0.2, 4.0], [-0.1, 0.25, 3.0, 20.0], [0, 0, 0, 1.0]])
    scan = Scan.from_array(IMAGE, affine)
    part = cropped(scan, Box.parse("2:6,3:8,1:5").slices(scan))
    np.testing.assert_allclose(part.grid.affine @ [1, 1, 1, 1], affine @ [3, 4, 2, 1])
    assert part.image[0, 1, 1, 1] == scan.image[0, 3, 4, 2]


@pytest.mark.parametrize("text", ["", "1:2", "a:b,1:2,3:4", "1:2,3:4,5:6cm", "1;2,3:4,5:6", "1:2,3:4,5:6,7:8"])
def test_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"cannot be read as a box.*x0:x1,y0:y1,z0:z1"):
        Box.parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5:2,0:4,0:4", "end must lie above its start"),
        ("3:3,0:4,0:4mm", "end must lie above its start"),
        ("-2:4,0:4,0:4", "whole numbers from 0"),
        ("0.5:4,0:4,0:4", "whole numbers from 0"),
    ],
)
def test_impossible_spans_are_refused(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Box.parse(text)


@pytest.mark.parametrize(
    ("text", "extent"), [("50:60,0:4,0:4", "0:10,0:12,0:14"), ("50:60,0:4,0:4mm", "-0:10,-0:12,-0:14mm")]
)
def test_a_box_beside_the_scan_is_refused_and_the_extent_told(text: str, extent: str) -> None:
    with pytest.raises(InputError, match=f"head: the box .* holds less than two voxels.*the scan is {extent}"):
        Box.parse(text).slices(Scan.from_array(IMAGE, np.eye(4), case="head"))


def test_a_box_of_nothing_but_background_is_refused() -> None:
    image = np.zeros((9, 9, 9))
    image[0] = 1
    scan = Scan.from_array(image, np.eye(4), case="head")
    with pytest.raises(InputError, match="head, box: every voxel is 0"):
        cropped(scan, Box.parse("3:6,3:6,3:6").slices(scan))
