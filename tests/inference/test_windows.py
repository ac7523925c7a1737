"""Tiling and weights, drawn by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medswin.errors import ShapeError
from medswin.inference.windows import Tiling, importance, window_starts


@pytest.mark.parametrize(
    ("size", "roi", "overlap", "starts"),
    [
        (8, 8, 0.5, [0]),
        (9, 8, 0.5, [0, 1]),  # the last window is moved back inside
        (16, 8, 0.0, [0, 8]),
        (16, 8, 0.5, [0, 4, 8]),
        (17, 8, 0.5, [0, 4, 8, 9]),
        (7, 3, 0.9, [0, 1, 2, 3, 4]),  # a step is never below one voxel
        (10, 4, 0.25, [0, 3, 6]),
    ],
)
def test_starts(size: int, roi: int, overlap: float, starts: list[int]) -> None:
    assert window_starts(size, roi, overlap) == starts


@given(st.integers(1, 60), st.integers(1, 20), st.floats(0, 0.95))
def test_windows_cover_an_axis_and_stay_on_it(size: int, roi: int, overlap: float) -> None:
    size = max(size, roi)
    starts = window_starts(size, roi, overlap)
    covered = {voxel for start in starts for voxel in range(start, start + roi)}
    assert covered == set(range(size))
    assert starts == sorted(set(starts))


def test_gaussian_weights_are_the_closed_form_and_floored() -> None:
    weights = importance((4, 1, 3), "gaussian", 0.125)
    along = [math.exp(-(d**2) / (2 * 0.5**2)) for d in (-1.5, -0.5, 0.5, 1.5)]
    across = math.exp(-1 / (2 * 0.375**2))
    expected = torch.tensor([[[max(a * b, 1e-3) for b in (across, 1.0, across)]] for a in along])
    torch.testing.assert_close(weights, expected)


def test_constant_weights_are_one() -> None:
    assert torch.equal(importance((2, 3), "constant", 0.125), torch.ones(2, 3))


def test_a_small_scan_is_padded_on_both_sides_the_odd_voxel_after() -> None:
    tiling = Tiling.plan((5, 9, 4), (8, 8, 4), 0.5)
    assert tiling.pads == ((1, 2), (0, 0), (0, 0))
    assert tiling.padded == (8, 9, 4)
    assert tiling.scan == (slice(1, 6), slice(0, 9), slice(0, 4))
    assert tiling.starts == ((0, 0, 0), (0, 1, 0))


def test_roi_falls_back_to_the_scan() -> None:
    assert Tiling.plan((5, 9, 4), (-1, None, 8), 0.5).roi == (5, 9, 8)


def test_shares_of_a_window_that_is_larger_than_the_scan() -> None:
    """A scan of 3 voxels in a window of 8: ``..###...`` cut into four cells of two voxels, ``.. ## #. ..``."""
    tiling = Tiling.plan((3,), (8,), 0.5)
    assert tiling.shares((0,), (4,), (1,))[0].tolist() == [[0.0], [1.0], [0.5], [0.0]]


def test_shares_of_parts() -> None:
    """A scan of 8 voxels in two parts; the second window, voxels 2 to 5, has cells of two: ``aa bb`` in ``1122``."""
    tiling = Tiling.plan((8,), (4,), 0.5)
    assert tiling.shares((2,), (2,), (2,))[0].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert tiling.shares((3,), (1,), (2,))[0].tolist() == [[0.25, 0.75]]


def test_an_empty_scan_is_refused() -> None:
    with pytest.raises(ShapeError, match="no voxels"):
        Tiling.plan((5, 0, 4), 8, 0.5)
