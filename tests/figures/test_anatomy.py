"""Which way is up: planes drawn by hand, and one picture from all 48 ways to store a scan."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from nibabel.orientations import apply_orientation, inv_ornt_aff

from medswin.errors import InputError
from medswin.figures import PLANES, Pose, bounding_box, key_image, largest_slice
from medswin.labels import LabelSet

AXIAL, CORONAL, SAGITTAL = PLANES
ORIENTATIONS = [
    np.column_stack([order, flips]) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)
]


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        a, b = [i for i in range(3) if i != axis]
        step = np.eye(3)
        step[a, a] = step[b, b] = np.cos(angle)
        step[a, b], step[b, a] = -np.sin(angle), np.sin(angle)
        turn = step @ turn
    return turn


def affine_of(spacing: tuple[float, float, float], degrees: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = rotation(degrees) @ np.diag(spacing)
    affine[:3, 3] = (-20.0, 7.5, 30.0)
    return affine


def patient() -> tuple[np.ndarray, np.ndarray]:
    """A scan without any symmetry, and one structure in the patient's left, anterior, superior corner."""
    image = np.random.default_rng(3).normal(100, 20, (9, 12, 5))
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[1:3, 8:11, 3] = 1
    return image, labels


def test_axial_pictures_have_the_patients_left_on_the_right_and_anterior_up() -> None:
    volume = np.zeros((2, 2, 1), dtype="U2")
    volume[0, 1, 0], volume[1, 1, 0] = "LA", "RA"
    volume[0, 0, 0], volume[1, 0, 0] = "LP", "RP"
    assert AXIAL.cut(volume, 0).tolist() == [["RA", "LA"], ["RP", "LP"]]
    assert AXIAL.edges == ("R", "L", "A", "P")


def test_coronal_pictures_have_the_patients_left_on_the_right_and_superior_up() -> None:
    volume = np.zeros((2, 1, 2), dtype="U2")
    volume[0, 0, 1], volume[1, 0, 1] = "LS", "RS"
    volume[0, 0, 0], volume[1, 0, 0] = "LI", "RI"
    assert CORONAL.cut(volume, 0).tolist() == [["RS", "LS"], ["RI", "LI"]]
    assert CORONAL.edges == ("R", "L", "S", "I")


def test_sagittal_pictures_have_anterior_on_the_left_and_superior_up() -> None:
    volume = np.zeros((1, 2, 2), dtype="U2")
    volume[0, 0, 1], volume[0, 1, 1] = "PS", "AS"
    volume[0, 0, 0], volume[0, 1, 0] = "PI", "AI"
    assert SAGITTAL.cut(volume, 0).tolist() == [["AS", "PS"], ["AI", "PI"]]
    assert SAGITTAL.edges == ("A", "P", "S", "I")


@pytest.mark.parametrize("degrees", [(0, 0, 0), (10, -14, 8)], ids=["straight", "oblique"])
def test_the_picture_does_not_depend_on_how_the_scan_is_stored(degrees: tuple[float, float, float]) -> None:
    image, labels = patient()
    affine = affine_of((1.0, 1.0, 3.0), degrees)
    names = LabelSet.from_names(["marker"])
    expected = key_image(image, labels, affine, names, structure="marker", panel_px=60)
    for orientation in ORIENTATIONS:
        stored = np.ascontiguousarray(apply_orientation(image, orientation))
        stored_labels = np.ascontiguousarray(apply_orientation(labels, orientation))
        stored_affine = affine @ inv_ornt_aff(orientation, image.shape)
        seen = key_image(stored, stored_labels, stored_affine, names, structure="marker", panel_px=60)
        assert seen.slices == expected.slices
        assert np.array_equal(seen.pixels, expected.pixels)


def test_a_turned_scan_keeps_its_positions() -> None:
    image, _ = patient()
    affine = affine_of((1.0, 2.0, 3.0), (10, -14, 8))
    stored = np.diag([-1.0, 1.0, 1.0, 1.0])
    stored[0, 3] = image.shape[0] - 1
    pose = Pose.of(image.shape, affine @ stored)
    assert np.allclose(pose.affine, affine)
    assert pose.spacing_mm == pytest.approx((1.0, 2.0, 3.0))
    assert np.array_equal(pose.turn(image[::-1]), image)


def test_captions_give_the_position_in_mm_and_count_slices_from_one() -> None:
    pose = Pose.of((9, 12, 5), affine_of((1.0, 2.0, 3.0)))
    assert pose.caption(AXIAL, 0) == "Axial, z = 30.0 mm, slice 1/5"
    assert pose.caption(CORONAL, 2) == "Coronal, y = 11.5 mm, slice 3/12"
    assert pose.caption(SAGITTAL, 8) == "Sagittal, x = -12.0 mm, slice 9/9"
    assert pose.note == ""


def test_a_position_that_rounds_to_zero_has_no_sign() -> None:
    affine = np.eye(4)
    affine[2, 3] = -0.04
    assert Pose.of((1, 1, 1), affine).caption(AXIAL, 0) == "Axial, z = 0.0 mm, slice 1/1"


def test_an_oblique_scan_says_so_and_gives_the_position_of_the_slices_middle() -> None:
    affine = affine_of((1.0, 1.0, 1.0), (20, 0, 0))
    pose = Pose.of((5, 9, 7), affine)
    assert pose.note == "oblique (20 deg), nearest axes"
    middle = affine @ np.array([2, 4, 6, 1])
    assert pose.origin_mm[2] + 6 * pose.step_mm[2] == pytest.approx(middle[2])


def test_rounding_in_a_header_is_not_called_oblique() -> None:
    assert Pose.of((5, 9, 7), affine_of((1.0, 1.0, 1.0), (0.5, 0, 0))).note == ""


def test_an_unknown_orientation_gives_no_sides_and_no_positions() -> None:
    pose = Pose.of((9, 12, 5), np.eye(4), known=False)
    assert [pose.edges(plane) for plane in PLANES] == [("?", "?", "?", "?")] * 3
    assert pose.caption(AXIAL, 1) == "Across axis 3, slice 2/5"
    assert pose.note == "orientation not stored: sides unknown"


@pytest.mark.parametrize("affine", [np.zeros((4, 4)), np.diag([1.0, 1.0, 0.0, 1.0]), np.full((4, 4), np.nan)])
def test_an_affine_without_three_axes_is_refused(affine: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"finite \(4, 4\) affine with three axes"):
        Pose.of((2, 2, 2), affine)


@pytest.mark.parametrize("shape", [(2, 2), (2, 0, 2), (1, 2, 2, 2)])
def test_a_grid_that_cannot_be_drawn_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\(X, Y, Z\) volume"):
        Pose.of(shape, np.eye(4))


def test_the_largest_slice_is_the_middle_one_of_equals() -> None:
    mask = np.zeros((4, 4, 7), dtype=bool)
    mask[1, 1, 1] = True
    mask[:2, :2, 3:6] = True
    assert largest_slice(mask, 2) == 4
    assert largest_slice(np.zeros((4, 4, 7), dtype=bool), 2) == 3


def test_the_bounding_box_has_its_margin_in_mm_and_stays_inside() -> None:
    mask = np.zeros((10, 10, 10), dtype=bool)
    mask[4, 1, 5:7] = True
    assert bounding_box(mask, (1.0, 1.0, 2.0), 3.0) == (slice(1, 8), slice(0, 5), slice(3, 9))
    assert bounding_box(np.zeros((2, 3, 4), dtype=bool), (1, 1, 1), 3.0) == (slice(0, 2), slice(0, 3), slice(0, 4))
