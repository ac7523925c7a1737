"""One byte a voxel, spent where readers look."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medswin.figures import Window
from medswin.review.levels import encode, levels_for, windows_for

CT = np.array([-1024.0, -700.0, 0.0, 40.0, 300.0, 3000.0])


def test_levels_are_dense_where_a_window_looks() -> None:
    """Of 1.25 shares of levels, one lies evenly in 0 to 100, and a quarter over 0 to 1000: 1.02 in the window."""
    levels = levels_for(np.array([0.0, 1000.0]), [Window(0.0, 100.0, "low")])
    inside = np.count_nonzero(levels <= 100.0)
    assert inside == pytest.approx(256 * 1.025 / 1.25, abs=2)
    assert np.allclose(np.diff(levels[: inside - 1]), 100 / inside, rtol=0.02)


def test_levels_reach_from_the_smallest_to_the_largest_intensity_and_rise() -> None:
    for windows in ([], windows_for(CT, "CT"), [Window(-9e3, -5e3, "beyond"), Window(0.0, 1e6, "wide")]):
        levels = levels_for(CT, windows)
        assert (levels.dtype, len(levels), levels[0], levels[-1]) == (np.float32, 256, -1024.0, 3000.0)
        assert (np.diff(levels) > 0).all()


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=3, max_side=6), elements=st.floats(-1e4, 1e4, width=32)))
def test_the_nearest_level_is_taken(image: np.ndarray) -> None:
    levels = levels_for(image, windows_for(image))
    codes = encode(image, levels)
    nearest = np.abs(image[..., None].astype(float) - levels.astype(float)).min(axis=-1)
    taken = np.abs(image.astype(float) - levels[codes].astype(float))
    assert np.allclose(taken, nearest, atol=1e-3)


def test_nan_is_shown_black_and_beyond_the_table_its_ends() -> None:
    levels = np.linspace(0, 255, 256, dtype=np.float32)
    assert encode(np.array([[np.nan, -5.0, 300.0, 7.4]]), levels).tolist() == [[0, 0, 255, 7]]


def test_a_constant_image_has_levels_all_the_same() -> None:
    levels = levels_for(np.full((2, 2), 7.0), windows_for(np.full((2, 2), 7.0)))
    assert (np.diff(levels) > 0).all()
    assert encode(np.full((2, 2), 7.0), levels).tolist() == [[0, 0], [0, 0]]


def test_a_ct_has_the_usual_windows_and_soft_tissue_first() -> None:
    windows = windows_for(CT, "CT")
    assert [window.name for window in windows][:4] == ["soft tissue", "lung", "bone", "brain"]
    assert (windows[0].low, windows[0].high) == (-160.0, 240.0)
    crop = windows_for(np.array([300.0, 900.0]), "CT")  # nothing of the brain is in it
    assert [window.name for window in crop] == ["bone", "0.5 to 99.5 percentile"]


def test_other_scans_begin_with_percentiles_and_an_own_window_comes_before() -> None:
    image = np.arange(1001.0)
    names = [window.name for window in windows_for(image, "MR")]
    assert names == ["0.5 to 99.5 percentile", "dark detail", "bright detail", "whole range"]
    own = Window(1.0, 2.0, "mine")
    assert windows_for(image, own=own)[0] == own
    assert windows_for(CT, "CT", own)[0] == own


def test_an_image_without_a_number_has_a_window() -> None:
    assert len(windows_for(np.array([np.nan]))) == 1
