"""Label maps put back onto a grid, whichever way their axes run."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medswin.errors import InputError
from medswin.io.grid import Grid
from medswin.review.placing import placed

LABELS = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
TURNED = np.array([[0.8, -0.54, 0.0, 10], [0.6, 0.72, 0.0, -7], [0.0, 0.0, 2.5, 3], [0, 0, 0, 1]])
GRID = Grid.checked(LABELS.shape, TURNED)


def stored(order: tuple[int, ...], flips: tuple[bool, ...]) -> tuple[np.ndarray, np.ndarray]:
    """`LABELS` with its axes in another order and direction, and the affine that then holds."""
    across = np.zeros((4, 4))
    across[3, 3] = 1
    for axis, (of, flip) in enumerate(zip(order, flips, strict=True)):
        across[of, axis] = -1 if flip else 1
        across[of, 3] = LABELS.shape[of] - 1 if flip else 0
    turned = LABELS.transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    return turned, TURNED @ across


@pytest.mark.parametrize("order", permutations(range(3)))
@pytest.mark.parametrize("flips", product([False, True], repeat=3))
def test_each_order_and_direction_comes_back(order: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    turned, affine = stored(order, flips)
    np.testing.assert_array_equal(placed(turned, affine, GRID, "map"), LABELS)


@settings(max_examples=30, deadline=None)
@given(st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 3)), st.permutations(range(3)))
def test_a_part_goes_where_it_was(first: tuple[int, ...], order: list[int]) -> None:
    turned, affine = stored(tuple(order), (False, True, False))
    where = [range(n)[:: -1 if flip else 1] for n, flip in zip(turned.shape, (False, True, False), strict=True)]
    start = [list(where[axis]).index(first[of]) for axis, of in enumerate(order)]
    part = turned[tuple(slice(begin, begin + 1) for begin in start)]
    moved = affine.copy()
    moved[:3, 3] += affine[:3, :3] @ start
    wanted = np.zeros_like(LABELS)
    wanted[first] = LABELS[first]
    np.testing.assert_array_equal(placed(part, moved, GRID, "map"), wanted)


@pytest.mark.parametrize("change", ["moved", "scaled", "turned", "sheared"])
def test_other_voxels_are_refused(change: str) -> None:
    affine = TURNED.copy()
    if change == "moved":
        affine[0, 3] += 0.002
    if change == "scaled":
        affine[:3, 0] *= 1.002
    if change == "turned":
        affine[:3, :3] = np.diag([1, 0.9, 2.5])
    if change == "sheared":
        affine[:3, 2] += affine[:3, 0]
    with pytest.raises(InputError, match="its voxels are not those of its case"):
        placed(LABELS, affine, GRID, "map")


def test_what_reaches_outside_is_refused() -> None:
    affine = TURNED.copy()
    affine[:3, 3] += TURNED[:3, 1]
    with pytest.raises(InputError, match="reaches outside the grid"):
        placed(LABELS, affine, GRID, "map")
