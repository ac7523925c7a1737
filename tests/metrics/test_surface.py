"""Surface distances beside closed forms, a naive twin and MONAI's."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.surface_dice import compute_surface_dice

from medswin.errors import InputError, ShapeError
from medswin.metrics import hd95_mm, nsd

MM = (1.0, 1.0, 1.0)


def cube(start: tuple[int, int, int], side: int = 4, size: int = 12) -> np.ndarray:
    mask = np.zeros((size, size, size), bool)
    mask[tuple(slice(s, s + side) for s in start)] = True
    return mask


def test_the_same_cube() -> None:
    assert (nsd(cube((3, 3, 3)), cube((3, 3, 3)), MM), hd95_mm(cube((3, 3, 3)), cube((3, 3, 3)), MM)) == (1.0, 0.0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cubes_one_voxel_apart(axis: int) -> None:
    # 56 surface voxels each; only the 16 of the leading face, and the 4 in the middle of the trailing one that lie
    # inside the other cube, are off its surface, all by one voxel.
    spacing = [0.5, 0.5, 0.5]
    spacing[axis] = 2.5
    shifted = cube(tuple(3 + (a == axis) for a in range(3)))  # type: ignore[arg-type]
    assert hd95_mm(cube((3, 3, 3)), shifted, MM) == 1.0
    assert nsd(cube((3, 3, 3)), shifted, MM) == 1.0
    # Off by 2.5 mm along the axis; the 4 inner ones are nearer to the sides, 1 voxel of 0.5 mm away.
    assert hd95_mm(cube((3, 3, 3)), shifted, spacing) == 2.5
    assert nsd(cube((3, 3, 3)), shifted, spacing) == 1 - 16 / 56
    assert nsd(cube((3, 3, 3)), shifted, spacing, tolerance_mm=2.5) == 1.0


@pytest.mark.parametrize("gap", [1, 3, 5])
def test_two_voxels(gap: int) -> None:
    a, b = cube((0, 4, 5), side=1), cube((gap, 4, 5), side=1)
    assert hd95_mm(a, b, (1.5, 9.0, 9.0)) == 1.5 * gap
    assert nsd(a, b, (1.5, 9.0, 9.0)) == 0.0


def test_a_far_speck_counts_in_its_own_direction_only() -> None:
    # 19 voxels in a row are the same; a 20th of the prediction lies 10 mm off. The 95 % quantile of 19 zeros and a 10
    # sits at place 18.05 of 0..19: 0.5 mm.
    label = np.zeros((20, 1, 31), bool)
    label[:19, 0, 0] = True
    pred = label.copy()
    pred[0, 0, 10] = True
    assert hd95_mm(pred, label, MM) == pytest.approx(0.5)
    assert nsd(pred, label, MM) == 38 / 39


def test_a_mask_at_the_edge_of_the_field_has_its_surface_there() -> None:
    full = np.ones((3, 3, 3), bool)
    core = cube((1, 1, 1), side=1, size=3)
    # 26 of 27 voxels are surface, all of them at most sqrt(3) from the core, and the core 1 from them.
    assert hd95_mm(full, core, MM) == pytest.approx(math.sqrt(3))
    assert nsd(full, core, MM) == (6 + 1) / (26 + 1)


def test_rounding_of_the_spacing_does_not_cost_the_tolerance() -> None:
    spacing = (1.0000001, 1.0000001, 1.0000001)
    assert nsd(cube((3, 3, 3)), cube((4, 3, 3)), spacing) == 1.0
    assert nsd(cube((3, 3, 3)), cube((4, 3, 3)), (1.001, 1.0, 1.0)) < 1.0


def test_empty_masks_are_counted() -> None:
    nothing, something, spacing = np.zeros((3, 4, 12), bool), np.ones((3, 4, 12), bool), (1.0, 1.0, 1.0)
    assert (nsd(nothing, nothing, spacing), hd95_mm(nothing, nothing, spacing)) == (1.0, 0.0)
    for a, b in ((nothing, something), (something, nothing)):
        assert nsd(a, b, spacing) == 0.0
        assert hd95_mm(a, b, spacing) == 13.0  # 3, 4, 12: a Pythagorean quadruple
    assert hd95_mm(nothing, something, (2.0, 2.0, 2.0)) == 26.0


def naive(pred: np.ndarray, label: np.ndarray, spacing: tuple[float, ...], tolerance: float) -> tuple[float, float]:
    """Every surface voxel against every other, found neighbour by neighbour."""

    def surface(mask: np.ndarray) -> np.ndarray:
        padded = np.pad(mask, 1)
        found = []
        for x, y, z in product(*map(range, mask.shape)):
            around = [(0, 1, 1), (2, 1, 1), (1, 0, 1), (1, 2, 1), (1, 1, 0), (1, 1, 2)]
            if mask[x, y, z] and not all(padded[x + i, y + j, z + k] for i, j, k in around):
                found.append((x, y, z))
        return np.array(found) * spacing

    p, y = surface(pred), surface(label)
    table = np.linalg.norm(p[:, None] - y[None], axis=-1)
    there, back = table.min(axis=1), table.min(axis=0)
    within = (there <= tolerance).sum() + (back <= tolerance).sum()
    return within / (len(p) + len(y)), max(np.percentile(there, 95), np.percentile(back, 95))


blobs = arrays(bool, (5, 4, 3), elements=st.booleans()).filter(lambda mask: mask.any())


@settings(max_examples=60, deadline=None)
@given(blobs, blobs, st.sampled_from([MM, (0.7, 1.3, 3.0)]), st.sampled_from([0.5, 1.0, 2.0]))
def test_equals_the_naive_twin(
    pred: np.ndarray, label: np.ndarray, spacing: tuple[float, float, float], tolerance: float
) -> None:
    expected = naive(pred, label, spacing, tolerance)
    assert nsd(pred, label, spacing, tolerance) == pytest.approx(expected[0], abs=1e-12)
    assert hd95_mm(pred, label, spacing) == pytest.approx(expected[1], abs=1e-9)
    assert nsd(label, pred, spacing, tolerance) == nsd(pred, label, spacing, tolerance)
    assert hd95_mm(label, pred, spacing) == hd95_mm(pred, label, spacing)


def test_equals_monai() -> None:
    rng, spacing = np.random.default_rng(0), (0.7, 1.3, 2.0)
    for _ in range(3):
        pred, label = (rng.random((9, 8, 7)) > 0.6 for _ in range(2))
        p, y = torch.from_numpy(pred)[None, None], torch.from_numpy(label)[None, None]
        options = {"include_background": True, "spacing": spacing}
        assert nsd(pred, label, spacing) == pytest.approx(compute_surface_dice(p, y, [1.0], **options).item(), abs=1e-6)
        theirs = compute_hausdorff_distance(p, y, percentile=95, **options).item()
        assert hd95_mm(pred, label, spacing) == pytest.approx(theirs, abs=1e-5)


def test_what_cannot_be_measured_is_refused() -> None:
    mask = cube((3, 3, 3))
    with pytest.raises(ShapeError, match="3D"):
        nsd(mask[0], mask[0], MM)
    with pytest.raises(ShapeError, match="cannot be compared"):
        hd95_mm(mask, mask[:5], MM)
    for spacing in ((1.0, 1.0), (1.0, 0.0, 1.0), (1.0, math.nan, 1.0)):
        with pytest.raises(InputError, match="three positive sizes"):
            hd95_mm(mask, mask, spacing)
    with pytest.raises(InputError, match="tolerance"):
        nsd(mask, mask, MM, tolerance_mm=-1.0)
