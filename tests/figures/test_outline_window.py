"""Outlines drawn by hand, and grey windows in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medswin.errors import InputError
from medswin.figures import Window, auto_window, outline, to_gray
from medswin.figures.canvas import fold, nice_length_mm, text_width
from medswin.figures.outline import paint_outlines
from medswin.labels import Label, LabelSet


def drawn(*rows: str) -> np.ndarray:
    return np.array([[letter == "#" for letter in row] for row in rows])


def test_an_outline_is_the_rim_inside_the_structure() -> None:
    mask = drawn(".......", ".#####.", ".#####.", ".#####.", ".#####.", ".#####.", ".......")
    rim = drawn(".......", ".#####.", ".#...#.", ".#...#.", ".#...#.", ".#####.", ".......")
    wide = drawn(".......", ".#####.", ".#####.", ".##.##.", ".#####.", ".#####.", ".......")
    assert np.array_equal(outline(mask), rim)
    assert np.array_equal(outline(mask, 2), wide)


def test_a_structure_that_leaves_the_picture_stays_open_there() -> None:
    mask = drawn("###..", "###..", "###..", ".....")
    assert np.array_equal(outline(mask), drawn("..#..", "..#..", "###..", "....."))


def test_one_voxel_is_its_own_outline() -> None:
    mask = drawn("...", ".#.", "...")
    assert np.array_equal(outline(mask), mask)


@given(arrays(bool, (6, 7)))
def test_an_outline_never_leaves_the_structure_and_touches_the_outside(mask: np.ndarray) -> None:
    rim = outline(mask)
    assert not (rim & ~mask).any()
    for row, column in np.argwhere(mask):
        beside = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        outside = any(0 <= r < 6 and 0 <= c < 7 and not mask[r, c] for r, c in beside)
        assert rim[row, column] == outside


def painted(color: int = 200, size: int = 90, count: int = 3) -> np.ndarray:
    """Squares of 60 pixels on even tissue, each of another structure, all in one colour."""
    labels = np.zeros((size, count * size), dtype=np.uint8)
    for i in range(count):
        labels[15:75, i * size + 15 : i * size + 75] = i + 1
    pixels = np.full((*labels.shape, 3), 128, dtype=np.uint8)
    same = LabelSet(tuple(Label(i + 1, str(i), (color,) * 3) for i in range(count)))
    paint_outlines(pixels, labels, same)
    return np.stack([pixels[:, i * size : (i + 1) * size, 0] for i in range(count)])


def test_outlines_have_a_dark_rim_and_leave_all_else_as_it_is() -> None:
    solid = painted()[0]
    assert solid[45, 12:20].tolist() == [128, 128, 0, 200, 200, 128, 128, 128]
    square = np.pad(np.ones((60, 60), dtype=bool), 15)
    rim = outline(~square) | outline(square, 2)
    assert (solid[~rim] == 128).all()


def test_structures_are_told_apart_without_colours() -> None:
    """Along each side, whichever way it runs, a solid outline has no gap, a dashed and a dotted one several."""
    for line in ((slice(None), 15, slice(20, 70)), (slice(None), slice(20, 70), 15)):
        shown = painted()[line] == 200
        counts = [int(np.count_nonzero(np.diff(one.astype(int)) == 1)) for one in shown]
        assert shown[0].all()
        assert 2 <= counts[1] <= 4
        assert 6 <= counts[2] <= 8


def test_diagonal_outlines_are_dashed_too() -> None:
    rows, columns = np.indices((120, 120))
    for mask in (rows + columns > 120, rows > columns):
        pixels = np.zeros((120, 120, 3), dtype=np.uint8)
        paint_outlines(pixels, 2 * mask.astype(np.uint8), LabelSet.from_names(["a", "b"]))
        shown = pixels.any(axis=2).sum() / outline(mask, 2).sum()
        assert 0.5 < shown < 0.7


def test_gray_values_run_from_black_to_white_over_the_window() -> None:
    image = np.array([-5.0, 0.0, 5.0, 10.0, 99.0, np.nan, np.inf, -np.inf])
    assert to_gray(image, Window(0.0, 10.0, "test")).tolist() == [0, 0, 128, 255, 255, 0, 255, 0]


def test_the_automatic_window_leaves_out_extremes_and_names_itself() -> None:
    image = np.arange(1001.0)
    image[1000] = np.nan
    window = auto_window(image)
    assert (window.low, window.high) == pytest.approx((4.995, 994.005))
    assert str(window) == "0.5 to 99.5 percentile, 4.995 to 994"


@pytest.mark.parametrize("value", [7.0, np.nan, -1e20])
def test_a_constant_image_is_black(value: float) -> None:
    image = np.full((3, 3, 3), value)
    assert to_gray(image, auto_window(image)).max() == 0


def test_a_few_bright_voxels_on_nothing_still_show() -> None:
    image = np.zeros(10_000)
    image[0] = 50.0
    window = auto_window(image)
    assert str(window) == "minimum to maximum, 0 to 50"
    assert to_gray(image, window).max() == 255


def test_a_window_upside_down_is_refused() -> None:
    with pytest.raises(InputError, match="low < high"):
        Window(5.0, 5.0, "flat")


@pytest.mark.parametrize(("field", "length"), [(30, 10), (29, 5), (150, 50), (233, 50), (351, 100), (6, 2), (0.9, 0.2)])
def test_scale_bars_have_round_lengths_of_at_most_a_third_of_the_field(field: float, length: float) -> None:
    assert nice_length_mm(field) == pytest.approx(length)


@given(st.floats(0.01, 5000))
def test_scale_bars_are_never_tiny(field: float) -> None:
    assert field / 3 / 2.5 * 0.999 <= nice_length_mm(field) <= field / 3 * 1.001


def test_long_lines_are_folded_between_words() -> None:
    lines = fold("one two three four", text_width("one two"))
    assert lines == ["one two", "three", "four"]
