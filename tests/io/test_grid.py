"""Grids: what an affine says about sizes and sides."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from medswin.errors import InputError
from medswin.io import Grid

SHAPE = (4, 5, 6)


def turned(degrees: float) -> np.ndarray:
    """A rotation about the S axis."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def affine_of(axes: tuple[int, ...], signs: tuple[int, ...], sides: tuple[float, ...], tilt: float) -> np.ndarray:
    """Array axis i runs along RAS axis axes[i], in steps of signs[i] * sides[i], all tilted."""
    matrix = np.eye(4)
    matrix[:3, :3] = 0
    for i in range(3):
        matrix[axes[i], i] = signs[i] * sides[i]
    matrix[:3, :3] = turned(tilt) @ matrix[:3, :3]
    matrix[:3, 3] = (-10, 20, 30)
    return matrix


@pytest.mark.parametrize("tilt", [0, 20, -44])
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
@pytest.mark.parametrize("axes", list(permutations(range(3))))
def test_sizes_follow_the_closest_body_axes(axes: tuple[int, ...], signs: tuple[int, ...], tilt: float) -> None:
    sides = (0.5, 1.0, 3.0)
    grid = Grid.checked(SHAPE, affine_of(axes, signs, sides, tilt))
    assert grid.voxel_mm == pytest.approx(sides)
    where = [axes.index(body) for body in range(3)]
    assert grid.ras_axes == tuple(where)
    assert grid.spacing_mm == pytest.approx([sides[i] for i in where])
    assert grid.fov_mm == pytest.approx([SHAPE[i] * sides[i] for i in where])


def test_apart_is_the_farthest_corner() -> None:
    grid = Grid.checked(SHAPE, np.eye(4))
    moved = np.eye(4)
    moved[:3, 3] = (3, 4, 0)
    assert grid.apart_mm(moved) == 5.0
    assert grid.apart_mm(np.diag([1, 1, 2, 1])) == 5.0  # the last of 6 slices lies at 10 mm, not 5
    assert grid.apart_mm(np.eye(4)) == 0.0


def test_a_tenth_of_a_voxel_is_the_same_place_and_more_is_not() -> None:
    grid = Grid.checked(SHAPE, np.diag([2.0, 2.0, 0.5, 1.0]))
    for shift, same in ((0.049, True), (0.051, False)):
        moved = grid.affine.copy()
        moved[0, 3] += shift
        assert grid.same_place(moved) is same
        assert (grid.difference(Grid(SHAPE, moved)) == "") is same


def test_differences_are_said_in_numbers() -> None:
    grid = Grid.checked(SHAPE, np.eye(4))
    assert grid.difference(Grid((4, 5, 7), np.eye(4))) == "its shape is 4 x 5 x 7, not 4 x 5 x 6"
    flipped = np.diag([-1.0, 1, 1, 1])
    assert "up to 6 mm away" in grid.difference(Grid(SHAPE, flipped))


@pytest.mark.parametrize(
    ("affine", "rule"),
    [
        (np.diag([1.0, 0, 1, 1]), r"its voxel spacing is 1 x 0 x 1 mm"),
        (np.diag([1.0, np.nan, 1, 1]), "finite"),
        (np.diag([1.0, np.inf, 1, 1]), "finite"),
        (np.eye(3), "4 x 4"),
        (np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "singular"),
        (np.array([[1, 0, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1.0]]), "singular"),
        (np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1.0]]), "last row"),
    ],
)
def test_unusable_affines_are_refused(affine: np.ndarray, rule: str) -> None:
    with pytest.raises(InputError, match=rule) as caught:
        Grid.checked(SHAPE, affine, "scan.nii")
    assert str(caught.value).startswith("scan.nii: ")
