"""Logits to another grid: flips and permutations are exact, ramps stay ramps, and outside is background."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_fakes import ORIENTATIONS, reoriented

from medswin.inference import resample
from medswin.inference.resample import OUTSIDE, to_grid

OBLIQUE = np.array([[1.9, -0.3, 0.1, -11.0], [0.35, 0.98, -0.2, 4.0], [-0.1, 0.25, 3.0, 20.0], [0.0, 0.0, 0.0, 1.0]])


def ramp(shape, affine):
    """Each voxel's position in mm, (3, X, Y, Z): linear in the voxel index, whatever the grid."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    return np.einsum("ij,jxyz->ixyz", affine[:3, :3], index) + affine[:3, 3].reshape(3, 1, 1, 1)


@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS)
def test_flips_and_permutations_are_exact(permutation, signs) -> None:
    rng = np.random.default_rng(0)
    here = rng.normal(size=(4, 5, 6)).astype(np.float32)
    there, affine = reoriented(here, OBLIQUE, permutation, signs)
    assert np.array_equal(to_grid(torch.from_numpy(here)[None], OBLIQUE, there.shape, affine)[0].numpy(), there)


def test_a_crop_is_cut_out_and_put_back_exactly() -> None:
    """A crop at (1, 2, 3), put back into the whole: background around it."""
    whole = torch.randn(2, 6, 7, 8)
    affine = OBLIQUE.copy()
    affine[:3, 3] = (OBLIQUE @ [1, 2, 3, 1])[:3]
    crop = to_grid(whole, OBLIQUE, (3, 4, 5), affine)
    assert torch.equal(crop, whole[:, 1:4, 2:6, 3:8])
    back = to_grid(crop, affine, (6, 7, 8), OBLIQUE)
    assert torch.equal(back[:, 1:4, 2:6, 3:8], crop)
    back[:, 1:4, 2:6, 3:8] = torch.tensor([OUTSIDE, 0.0])[:, None, None, None]
    assert torch.equal(back, torch.tensor([OUTSIDE, 0.0])[:, None, None, None].expand_as(back))


def test_grids_that_do_not_meet_give_background() -> None:
    far = np.diag([1.0, 1.0, 1.0, 1.0])
    far[0, 3] = 100.0
    assert to_grid(torch.ones(2, 3, 3, 3), np.eye(4), (2, 2, 2), far).argmax(0).eq(0).all()


@pytest.mark.parametrize("factor", [(0.5, 0.5, 0.5), (0.5, 1.0, 0.25), (2.0, 0.7, 1.3)])
def test_a_linear_ramp_at_another_spacing_is_still_the_ramp(factor) -> None:
    """Inside of the outermost voxel centres; beyond them the rim's value holds."""
    shape, scale = (9, 8, 7), np.diag([*factor, 1.0])
    wanted = tuple(int((n - 1) / f) + 1 for n, f in zip(shape, factor, strict=True))
    here = torch.from_numpy(ramp(shape, OBLIQUE))
    there = to_grid(here, OBLIQUE, wanted, OBLIQUE @ scale)
    torch.testing.assert_close(there, torch.from_numpy(ramp(wanted, OBLIQUE @ scale)), atol=1e-4, rtol=0)


def test_the_rim_holds_for_half_a_voxel_and_no_further() -> None:
    """Five voxels of 1 mm with logit 1 for foreground; at 0.25 mm from -1 mm on, -0.5 mm is the field's edge."""
    logits = torch.tensor([0.0, 1.0])[:, None, None, None].expand(2, 5, 5, 5)
    affine = np.diag([0.25, 1.0, 1.0, 1.0])
    affine[0, 3] = -1.0
    position = -1 + 0.25 * np.arange(26)
    inside = (position >= -0.5) & (position <= 4.5)
    foreground = to_grid(logits, np.eye(4), (26, 5, 5), affine)[1, :, 2, 2]
    np.testing.assert_allclose(foreground.numpy(), inside, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(angle=st.floats(-3, 3), spacing=st.tuples(*[st.floats(0.4, 4)] * 3), shift=st.tuples(*[st.floats(-50, 50)] * 3))
def test_world_positions_survive_any_pair_of_affines(angle, spacing, shift) -> None:
    """A ramp holds its own position: wherever the wanted grid lies inside, it must read its own position there."""
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn @ np.diag(spacing), shift
    shape = (6, 5, 7)
    middle = affine[:3, :3] @ ((np.array(shape) - 1) / 2) + affine[:3, 3]
    wanted = np.diag([0.2, 0.25, 0.3, 1.0])
    wanted[:3, 3] = middle - np.array([0.2, 0.25, 0.3])
    there = to_grid(torch.from_numpy(ramp(shape, affine)), affine, (3, 3, 3), wanted)
    np.testing.assert_allclose(there.numpy(), ramp((3, 3, 3), wanted), atol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_slabs_change_nothing(scale, monkeypatch) -> None:
    logits, affine = torch.randn(3, 6, 5, 4), np.diag([scale, scale, -scale, 1.0])
    affine[2, 3] = 3.0
    whole = to_grid(logits, np.eye(4), (9, 8, 6), affine)
    monkeypatch.setattr(resample, "CHUNK_VALUES", 700)
    torch.testing.assert_close(to_grid(logits, np.eye(4), (9, 8, 6), affine), whole)


def test_rounding_of_a_header_does_not_cost_exactness() -> None:
    """Affines are stored in float32: a grid that is off by that much is the same grid."""
    logits = torch.randn(2, 40, 40, 40)
    stored = OBLIQUE.astype(np.float32).astype(np.float64)
    assert torch.equal(to_grid(logits, OBLIQUE, (40, 40, 40), stored), logits)
