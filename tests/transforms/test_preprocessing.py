"""Preprocessing: one orientation, one spacing, one scale; and the same again from its JSON."""

import itertools

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from medswin.errors import ConfigError
from medswin.transforms import Preprocessing

ALL_48 = [
    (order, flips) for order in itertools.permutations(range(3)) for flips in itertools.product((1, -1), repeat=3)
]


def stored(array_XYZ, affine, order, flips):
    """The same scan, its axes stored in another order and direction."""
    moved = np.transpose(array_XYZ, order)[tuple(slice(None, None, f) for f in flips)]
    turn = np.zeros((4, 4))
    turn[3, 3] = 1
    for new, (old, flip) in enumerate(zip(order, flips, strict=True)):
        turn[old, new] = flip
        turn[old, 3] = array_XYZ.shape[old] - 1 if flip < 0 else 0
    return MetaTensor(torch.from_numpy(np.ascontiguousarray(moved[None])), affine=torch.from_numpy(affine @ turn))


@pytest.mark.parametrize(("order", "flips"), ALL_48)
def test_however_it_is_stored_the_network_sees_the_same(order, flips):
    rng = np.random.default_rng(0)
    array = rng.normal(size=(5, 6, 7)).astype(np.float32)
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = (-10, 20, 30)
    prepare = Preprocessing((1.0, 1.0, 1.5))
    expected = prepare(MetaTensor(torch.from_numpy(array[None]), affine=torch.from_numpy(affine)))
    found = prepare(stored(array, affine, order, flips))
    torch.testing.assert_close(found.as_tensor(), expected.as_tensor(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.affine, expected.affine, atol=1e-6)


def test_a_scan_on_the_grid_is_not_resampled():
    image = MetaTensor(torch.arange(24.0).reshape(1, 2, 3, 4), affine=torch.eye(4, dtype=torch.float64) * 1.0005)
    label = Preprocessing((1.0, 1.0, 1.0)).label(image)
    assert torch.equal(label.as_tensor(), image.as_tensor())


def test_resampling_keeps_places_and_a_label_keeps_its_values():
    label = torch.zeros(1, 8, 8, 8)
    label[0, 2:4, 4:6, 2:6] = 2
    fine = Preprocessing((0.5, 1.0, 1.0)).label(MetaTensor(label, affine=torch.eye(4, dtype=torch.float64)))
    assert set(fine.unique().tolist()) == {0, 2}
    inside = np.argwhere(fine.numpy()[0] > 0)
    middle = nib.affines.apply_affine(np.asarray(fine.affine), inside).mean(0)
    np.testing.assert_allclose(middle, (2.5, 4.5, 3.5), atol=0.3)


def test_zscore_clips_then_scales_each_channel():
    torch.manual_seed(0)
    channels = torch.randn(2, 10, 10, 10) * torch.tensor([3.0, 1e5]).reshape(2, 1, 1, 1)
    channels[0, 0, 0, 0] = 1e9
    scaled = Preprocessing()(MetaTensor(channels, affine=torch.eye(4, dtype=torch.float64)))
    np.testing.assert_allclose(scaled.mean((1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(scaled.numpy().std((1, 2, 3)), 1, atol=1e-2)
    assert scaled.max() < 4


def test_window_is_closed_form():
    ct = MetaTensor(torch.tensor([-1000.0, -175.0, 37.5, 250.0, 3000.0]).reshape(1, 5, 1, 1), affine=torch.eye(4))
    scaled = Preprocessing(intensity={"name": "window", "low": -175, "high": 250})(ct)
    assert scaled.flatten().tolist() == [0, 0, 0.5, 1, 1]


def test_its_json_makes_it_again():
    prepare = Preprocessing((1.0, 2.0, 3.0), {"name": "window", "low": 0.0, "high": 1.0})
    assert Preprocessing.from_json(prepare.to_json()).to_json() == prepare.to_json()


@pytest.mark.parametrize(
    "wrong",
    [
        {"spacing_mm": (1.0, 0.0, 1.0)},
        {"spacing_mm": (1.0, 1.0)},
        {"intensity": "histogram"},
        {"intensity": {"name": "zscore", "low": 1}},
    ],
)
def test_what_cannot_be_is_refused(wrong):
    with pytest.raises(ConfigError):
        Preprocessing(**wrong)
