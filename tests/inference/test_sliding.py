"""WindowInferer against MONAI's SlidingWindowInferer, on networks whose answer depends on the place in the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.inferers import Inferer, SlidingWindowInferer
from torch import Tensor, nn

from medswin.errors import ConfigError, ShapeError
from medswin.inference import WindowInferer


def placed(x: Tensor) -> Tensor:
    """Two channels that depend on where in the window a voxel lies, and on all voxels of the window."""
    ramp = torch.linspace(0, 1, x[0, 0].numel()).reshape(x.shape[2:])
    return torch.cat([x[:, :1] * ramp, x.mean((1, 2, 3, 4), keepdim=True) + 0 * x[:, :1] + ramp**2], 1)


CASES = {
    "smaller than the window": ((5, 7, 6), {"roi_size": (8, 8, 8)}),
    "smaller along one axis, odd": ((5, 17, 13), {"roi_size": (8, 8, 8)}),
    "exactly the window": ((8, 6, 4), {"roi_size": (8, 6, 4)}),
    "non-cubic": ((19, 11, 9), {"roi_size": (8, 6, 4)}),
    "no overlap": ((19, 11, 9), {"roi_size": (8, 6, 4), "overlap": 0}),
    "overlap 0.25": ((19, 11, 9), {"roi_size": (8, 6, 4), "overlap": 0.25}),
    "overlap 0.625": ((19, 11, 9), {"roi_size": (8, 6, 4), "overlap": 0.625}),
    "overlap of all but a voxel": ((9, 7, 6), {"roi_size": (4, 3, 3), "overlap": 0.9}),
    "overlap per axis": ((19, 11, 9), {"roi_size": (8, 6, 4), "overlap": (0.5, 0, 0.25)}),
    "constant": ((19, 11, 9), {"roi_size": (8, 6, 4), "mode": "constant"}),
    "wide Gaussian": ((19, 11, 9), {"roi_size": (8, 6, 4), "sigma_scale": 0.5}),
    "narrow Gaussian, floored": ((19, 11, 9), {"roi_size": (8, 6, 4), "sigma_scale": 0.05}),
    "Gaussian per axis": ((19, 11, 9), {"roi_size": (8, 6, 4), "sigma_scale": (0.1, 0.2, 0.4)}),
    "one window a call": ((19, 11, 9), {"roi_size": (8, 6, 4), "sw_batch_size": 1}),
    "batches over scans": ((9, 7, 5), {"roi_size": (8, 6, 4), "sw_batch_size": 7}),
    "roi as a number": ((9, 12, 8), {"roi_size": 8}),
    "roi of the scan's size": ((9, 12, 8), {"roi_size": (-1, 8, None)}),
    "fill value": ((5, 7, 6), {"roi_size": (8, 8, 8), "cval": -3.0}),
    "reflect": ((5, 7, 6), {"roi_size": (8, 8, 8), "padding_mode": "reflect"}),
    "replicate": ((2, 7, 6), {"roi_size": (8, 8, 8), "padding_mode": "replicate"}),
    "circular": ((5, 7, 6), {"roi_size": (8, 8, 8), "padding_mode": "circular"}),
    "a thin scan": ((1, 33, 2), {"roi_size": (4, 8, 4)}),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_monai(case: str) -> None:
    shape, options = CASES[case]
    image = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    theirs = SlidingWindowInferer(**{"sw_batch_size": 4, "overlap": 0.5, "mode": "gaussian", **options})
    torch.testing.assert_close(WindowInferer(**options)(image, placed), theirs(image, placed), atol=1e-5, rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 14)] * 3),
    roi=st.tuples(*[st.integers(1, 9)] * 3),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 0.625, 0.8]),
)
def test_equals_monai_for_any_size(shape: tuple[int, ...], roi: tuple[int, ...], overlap: float) -> None:
    image = torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(1))
    theirs = SlidingWindowInferer(roi, 4, overlap, "gaussian")(image, placed)
    torch.testing.assert_close(WindowInferer(roi, overlap)(image, placed), theirs, atol=1e-5, rtol=1e-5)


def test_equals_monai_in_two_dimensions() -> None:
    image = torch.randn(1, 1, 11, 7)
    net = lambda x: x * torch.linspace(0, 1, x[0, 0].numel()).reshape(x.shape[2:])  # noqa: E731
    theirs = SlidingWindowInferer((4, 4), 4, 0.5, "gaussian")(image, net)
    torch.testing.assert_close(WindowInferer((4, 4))(image, net), theirs)


def test_equals_monai_with_a_convolution_and_arguments_for_it() -> None:
    torch.manual_seed(0)
    conv = nn.Conv3d(1, 2, 3, padding=1)
    image = torch.randn(1, 1, 13, 9, 10)
    net = lambda x, gain, shift=0.0: conv(x) * gain + shift  # noqa: E731
    with torch.inference_mode():
        theirs = SlidingWindowInferer((8, 8, 8), 4, 0.5, "gaussian")(image, net, 2.0, shift=1.0)
        ours = WindowInferer((8, 8, 8))(image, net, 2.0, shift=1.0)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


# The parts are clones: MONAI weights a network's outputs in place, so that parts that share memory get it twice.
@pytest.mark.parametrize(
    "wrap",
    [
        lambda y: (y, y[:, :1].clone()),
        lambda y: [y, y[:, :1].clone()],
        lambda y: {"b": y, "a": y[:, :1].clone()},
        lambda y: (y,),
    ],
    ids=["tuple", "list", "dict", "tuple of one"],
)
def test_outputs_of_several_parts_come_back_in_their_form(wrap: Callable[[Tensor], Any]) -> None:
    image = torch.randn(1, 1, 9, 7, 6)
    net = lambda x: wrap(placed(x))  # noqa: E731
    ours = WindowInferer((4, 4, 4))(image, net)
    theirs = SlidingWindowInferer((4, 4, 4), 4, 0.5, "gaussian")(image, net)
    torch.testing.assert_close(ours, theirs)
    assert type(ours) is type(theirs)


def test_a_metatensor_keeps_its_affine() -> None:
    affine = torch.diag(torch.tensor([2.0, 3.0, 4.0, 1.0], dtype=torch.float64))
    result = WindowInferer((4, 4, 4))(MetaTensor(torch.randn(1, 1, 9, 7, 6), affine=affine), placed)
    assert isinstance(result, MetaTensor)
    torch.testing.assert_close(result.affine, affine)


def test_half_precision_is_summed_in_full_precision() -> None:
    """With 1 everywhere the weighted mean is 1 again, whatever the weights; sums in fp16 would drift."""
    image = torch.ones(1, 1, 20, 20, 20, dtype=torch.float16)
    assert WindowInferer((8, 8, 8), 0.75)(image, lambda x: x).eq(1).all()
    assert WindowInferer((8, 8, 8), 0.75)(image, lambda x: x).dtype == torch.float16


def test_gradients_flow_through_windows() -> None:
    """Each voxel's output is a mean of its own values, so that the gradient of the sum is 1 everywhere."""
    image = torch.randn(1, 1, 9, 7, 6, requires_grad=True)
    WindowInferer((4, 4, 4))(image, lambda x: x).sum().backward()
    torch.testing.assert_close(image.grad, torch.ones_like(image))


def test_mirroring_is_the_mean_over_all_sets_of_axes() -> None:
    """Twin: eight passes written out over a scan that is one window."""
    image = torch.randn(1, 1, 4, 5, 6)
    flips = [(), (2,), (3,), (4,), (2, 3), (2, 4), (3, 4), (2, 3, 4)]
    expected = torch.stack([placed(image.flip(f)).flip(f) for f in flips]).mean(0)
    ours = WindowInferer((4, 5, 6), mirror_axes=(0, 1, 2))(image, placed)
    torch.testing.assert_close(ours, expected)


def test_mirroring_one_axis_makes_the_answer_equivariant_to_it() -> None:
    inferer = WindowInferer((4, 4, 4), mirror_axes=(1,))
    image = torch.randn(1, 1, 8, 8, 8)
    torch.testing.assert_close(inferer(image.flip(3), placed).flip(3), inferer(image, placed))


def test_monai_arguments_that_ask_for_nothing_are_accepted() -> None:
    options = {
        "progress": False,
        "cache_roi_weight_map": True,
        "cpu_thresh": None,
        "buffer_steps": None,
        "buffer_dim": -1,
    }
    inferer = WindowInferer((4, 4, 4), with_coord=False, sw_device="cpu", device="cpu", **options)
    assert isinstance(inferer, Inferer)
    image = torch.randn(1, 1, 5, 5, 5)
    torch.testing.assert_close(inferer(image, lambda x: x, device="cpu", buffer_steps=None), image)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overlap": 1.0}, "overlap must be at least 0 and below 1, got 1.0"),
        ({"overlap": (0.5, -0.1, 0)}, "overlap"),
        ({"mode": "median"}, "mode must be one of"),
        ({"padding_mode": "wrap"}, "padding_mode must be one of"),
        ({"sw_batch_size": 0}, "sw_batch_size must be at least 1"),
        ({"mirror_axes": (0, 3)}, "mirror_axes"),
        ({"mirror_axes": (1, 1)}, "mirror_axes"),
        ({"sigma_scale": 0.0}, "sigma_scale must be positive"),
        ({"progress": True}, "progress=True is MONAI's"),
        ({"with_coord": True}, "with_coord=True is MONAI's"),
        ({"overlaps": 0.5}, "no argument 'overlaps'"),
    ],
)
def test_wrong_settings_are_refused(options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        WindowInferer((4, 4, 4), **options)


def test_a_network_that_changes_the_size_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"answers a window of \(4, 4, 4\) voxels with an output of shape"):
        WindowInferer((4, 4, 4))(torch.zeros(1, 1, 8, 8, 8), lambda x: x[..., ::2])


def test_a_scan_too_thin_to_reflect_is_refused_with_the_repair() -> None:
    with pytest.raises(ShapeError, match="replicate"):
        WindowInferer((8, 8, 8), padding_mode="reflect")(torch.zeros(1, 1, 2, 8, 8), lambda x: x)


def test_wrong_number_of_axes_is_refused() -> None:
    with pytest.raises(ShapeError, match="3 values for 2 spatial axes"):
        WindowInferer((4, 4, 4))(torch.zeros(1, 1, 8, 8), lambda x: x)
