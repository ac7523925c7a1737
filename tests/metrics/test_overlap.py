"""Dice on masks small enough to count by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medswin.errors import ShapeError
from medswin.metrics import dice

NOTHING = [[0, 0, 0, 0]] * 2


@pytest.mark.parametrize(
    ("pred", "label", "expected"),
    [
        ([[1, 1, 0, 0], [0, 0, 0, 0]], [[0, 1, 1, 0], [0, 0, 0, 0]], 2 * 1 / 4),
        ([[1, 1, 0, 0], [1, 1, 0, 0]], [[1, 1, 0, 0], [0, 0, 0, 0]], 2 * 2 / 6),
        ([[1, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 1], [0, 0, 0, 0]], 0.0),
        ([[0, 3, 0, 0], [0, 2, 0, 0]], [[0, 1, 0, 0], [0, 1, 0, 0]], 1.0),
        (NOTHING, [[0, 0, 0, 1], [0, 0, 0, 0]], 0.0),
        ([[0, 0, 0, 1], [0, 0, 0, 0]], NOTHING, 0.0),
        (NOTHING, NOTHING, 1.0),
    ],
)
def test_pictures(pred: list[list[int]], label: list[list[int]], expected: float) -> None:
    assert dice(pred, label) == expected


masks = arrays(bool, (3, 3, 2), elements=st.booleans())


@given(masks, masks)
def test_equals_sets_of_voxels(pred: np.ndarray, label: np.ndarray) -> None:
    p, y = (set(map(tuple, np.argwhere(mask).tolist())) for mask in (pred, label))
    expected = 2 * len(p & y) / (len(p) + len(y)) if p or y else 1.0
    assert dice(pred, label) == dice(label, pred) == expected


def test_small_integers_do_not_overflow() -> None:
    assert dice(np.ones((20, 20), np.uint8), np.ones((20, 20), np.uint8)) == 1.0


def test_masks_of_two_shapes() -> None:
    with pytest.raises(ShapeError, match=r"\(2, 4\).*\(4, 2\)"):
        dice(np.zeros((2, 4)), np.zeros((4, 2)))
