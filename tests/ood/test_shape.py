"""Form and place of structures, by boxes whose numbers are known."""

from __future__ import annotations

import numpy as np
import pytest

from medswin.ood import shape


def told(labels: np.ndarray, affine: np.ndarray, values: list[int]) -> dict[str, float]:
    found = shape.shape(labels.astype(np.uint8), affine, values)
    return dict(zip(shape.names([str(value) for value in values]), found.tolist(), strict=True))


def test_a_box_and_a_crumb() -> None:
    """10 x 4 x 4 voxels of 1 x 1 x 2 mm, and one voxel apart."""
    labels = np.zeros((20, 10, 10))
    labels[2:12, 3:7, 3:7] = 1
    labels[18, 1, 1] = 1
    found = told(labels, np.diag([1.0, 1.0, 2.0, 1.0]), [1])
    assert found["1: volume, ml"] == pytest.approx(161 * 2 / 1000)
    assert found["1: separate pieces"] == 2
    assert found["1: share of the largest piece"] == pytest.approx(160 / 161)


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([-1.0, 1.0, 1.0, 1.0])])
def test_elongation_and_offset_of_two_boxes(affine: np.ndarray) -> None:
    """Boxes 8 x 2 x 2 and 2 x 2 x 2 mm: moments (n^2) / 12 along an axis of n mm."""
    labels = np.zeros((20, 8, 8))
    labels[0:8, 0:2, 0:2] = 1
    labels[10:12, 0:2, 0:2] = 2
    found = told(labels, affine, [1, 2])
    assert found["1: elongation"] == pytest.approx(4.0)
    assert found["2: elongation"] == pytest.approx(1.0)
    middle = (3.5 * 32 + 10.5 * 8) / 40
    assert found["1: offset to the right, mm"] == pytest.approx((3.5 - middle) * affine[0, 0])
    assert found["2: offset to the front, mm"] == pytest.approx(0.0)


def test_what_is_not_there_is_zero() -> None:
    assert set(shape.shape(np.zeros((4, 4, 4), np.uint8), np.eye(4), [1, 2]).tolist()) == {0.0}


def test_an_oblique_grid_does_not_change_the_form() -> None:
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn, (5, -3, 40)
    labels = np.zeros((16, 12, 10))
    labels[3:13, 2:8, 4:7] = 1
    straight, oblique = told(labels, np.eye(4), [1]), told(labels, affine, [1])
    for name in ("1: volume, ml", "1: separate pieces", "1: elongation"):
        assert oblique[name] == pytest.approx(straight[name])


def test_moments_are_those_of_all_voxels() -> None:
    """A naive twin over the list of voxels, each a box of even density."""
    labels = (np.random.default_rng(1).random((9, 8, 7)) < 0.3).astype(np.uint8)
    affine = np.diag([0.7, 1.1, 2.5, 1.0])
    positions = np.argwhere(labels) * [0.7, 1.1, 2.5]
    moments = np.linalg.eigvalsh(np.cov(positions, rowvar=False, bias=True) + np.diag([0.7, 1.1, 2.5]) ** 2 / 12)
    found = told(labels, affine, [1])
    assert found["1: elongation"] == pytest.approx(np.sqrt(moments[-1] / moments[0]))
    middle = (np.array(labels.shape) - 1) / 2 * [0.7, 1.1, 2.5]
    offset = [found[f"1: offset {way}, mm"] for way in ("to the right", "to the front", "upwards")]
    np.testing.assert_allclose(offset, positions.mean(0) - middle)
