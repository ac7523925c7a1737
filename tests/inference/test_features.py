"""Features pooled in the same pass as the logits."""

from __future__ import annotations

import pytest
import torch
from inference_fakes import Threshold

from medswin.inference import WindowInferer
from medswin.ood import View


@pytest.mark.parametrize(("mirror_axes", "passes"), [((), 1), ((0,), 2), ((0, 1, 2), 8)])
def test_the_encoder_runs_once_per_window_and_mirrored_pass(mirror_axes: tuple[int, ...], passes: int) -> None:
    """A scan of 12 x 8 x 8 in windows of 8 with overlap 0.5 has 2 windows; two scans have 4."""
    network = Threshold()
    WindowInferer((8, 8, 8), mirror_axes=mirror_axes).with_features(torch.rand(2, 1, 12, 8, 8), network)
    assert sum(network.encoded) == 4 * passes
    assert sum(network.decoded) == 4 * passes


@pytest.mark.parametrize("mirror_axes", [(), (1, 2)])
def test_logits_are_those_of_the_plain_call(mirror_axes: tuple[int, ...]) -> None:
    image, network = torch.rand(2, 1, 11, 5, 9), Threshold()
    inferer = WindowInferer((8, 8, 8), mirror_axes=mirror_axes)
    torch.testing.assert_close(inferer.with_features(image, network)[0], inferer(image, network))


def test_padding_is_not_pooled() -> None:
    """Where cells and scan meet, the feature is the mean of the scan; padding with 100 must not move it."""
    image = torch.rand(1, 3, 4, 8, 2)
    inferer = WindowInferer((8, 8, 8), cval=100.0)
    feature = inferer.with_features(image, Threshold(3, cell=1))[1]
    torch.testing.assert_close(feature, image.mean((2, 3, 4)))


def test_a_cell_on_the_rim_counts_by_its_share() -> None:
    """A scan 3 3 3 in a window of 8 is ``0 0 3 3 3 0 0 0``: cells 0, 3, 1.5, 0 with shares 0, 1, 1/2, 0."""
    feature = WindowInferer((8, 2, 2)).with_features(torch.full((1, 1, 3, 2, 2), 3.0), Threshold())[1]
    torch.testing.assert_close(feature, torch.tensor([[(3 * 1 + 1.5 * 0.5) / 1.5]]))


def test_every_window_counts_by_its_cells() -> None:
    """Windows 0-3 and 1-4 of a scan 0 1 2 3 4: means 1.5 and 2.5, equally many cells each."""
    image = torch.arange(5.0).reshape(1, 1, 5, 1, 1)
    inferer = WindowInferer((4, 1, 1), overlap=0.75)
    feature = inferer.with_features(image, Threshold(cell=1))[1]
    torch.testing.assert_close(feature, torch.tensor([[2.0]]))


def test_scans_of_a_batch_do_not_mix() -> None:
    image = torch.stack([torch.zeros(1, 9, 8, 8), torch.ones(1, 9, 8, 8)])
    feature = WindowInferer((8, 8, 8), sw_batch_size=3).with_features(image, Threshold())[1]
    torch.testing.assert_close(feature, torch.tensor([[0.0], [1.0]]))


def test_mirroring_leaves_the_feature_alone() -> None:
    image, network = torch.rand(1, 1, 11, 5, 9), Threshold()
    plain = WindowInferer((8, 8, 8)).with_features(image, network)[1]
    assert torch.equal(WindowInferer((8, 8, 8), mirror_axes=(0, 1)).with_features(image, network)[1], plain)


def test_stages_are_pooled_one_after_the_other() -> None:
    """Stage 0 is the image itself; its pooled mean comes before that of the bottleneck."""
    image, network = torch.rand(1, 1, 8, 8, 8), Threshold()
    inferer = WindowInferer((8, 8, 8))
    alone = inferer.with_features(image, network)[1]
    both = inferer.with_features(image, network, view=View(stages=(0, -1)))[1]
    torch.testing.assert_close(both, torch.cat([image.mean((2, 3, 4)), alone], dim=1))


def test_a_grid_keeps_places_apart() -> None:
    """Values 0 to 7 along an axis in windows of 4: halves are 1.5 and 5.5, whatever windows see of them."""
    image = torch.arange(8.0).reshape(1, 1, 8, 1, 1)
    for overlap in (0.0, 0.5, 0.75):
        inferer = WindowInferer((4, 1, 1), overlap=overlap)
        feature = inferer.with_features(image, Threshold(cell=1), view=View(grid=(2, 1, 1)))[1]
        assert feature.shape == (1, 2)
        torch.testing.assert_close(feature.sum(), torch.tensor(7.0))
        assert feature[0, 0] < 2.5 < 4.5 < feature[0, 1]
    torch.testing.assert_close(feature.new_tensor([1.5, 5.5]), _halves(image))


def _halves(image: torch.Tensor) -> torch.Tensor:
    view = View(grid=(2, 1, 1))
    return WindowInferer((4, 1, 1), overlap=0.0).with_features(image, Threshold(cell=1), view=view)[1][0]


def test_a_cell_on_a_border_of_the_grid_counts_for_both_sides() -> None:
    """Three cells of two voxels, 1 2 4, in two parts of three voxels: (1 + 2 / 2) / 1.5 and (2 / 2 + 4) / 1.5."""
    image = torch.tensor([1.0, 1, 2, 2, 4, 4]).reshape(1, 1, 6, 1, 1).expand(1, 1, 6, 2, 2)
    feature = WindowInferer((6, 2, 2)).with_features(image, Threshold(), view=View(grid=(2, 1, 1)))[1]
    torch.testing.assert_close(feature, torch.tensor([[2 / 1.5, 5 / 1.5]]))


def test_average_pooling_over_the_grid_is_that_of_torch() -> None:
    image = torch.rand(1, 2, 8, 8, 8)
    inferer, network = WindowInferer((8, 8, 8)), Threshold(2)
    plain = inferer.with_features(image, network, view=View(grid=(4, 4, 4)))[1].reshape(1, 2, 4, 4, 4)
    for flat, kernel in ((False, 2), (True, (2, 2, 1))):
        view = View(grid=(4, 4, 4), kernel=2, stride=1, flat=flat)
        pooled = inferer.with_features(image, network, view=view)[1]
        assert pooled.shape == (1, 2 * view.cells)
        torch.testing.assert_close(pooled, torch.nn.functional.avg_pool3d(plain, kernel, 1).flatten(1))


def test_scans_of_all_sizes_give_rows_of_one_length() -> None:
    view = View(stages=(0, -1), grid=(2, 3, 2), kernel=2)
    shapes = {
        WindowInferer((8, 8, 8)).with_features(torch.rand(1, 1, *size), Threshold(), view=view)[1].shape
        for size in ((5, 9, 4), (20, 8, 11), (8, 8, 8))
    }
    assert shapes == {(1, 2 * 1 * 2 * 1)}


def test_air_does_not_count_with_foreground() -> None:
    """Half of the scan is air: the mean over all is far from the body's, that over the body is near to it."""
    image = torch.zeros(1, 1, 32, 8, 8)
    image[:, :, 16:] = 10.0
    inferer = WindowInferer((8, 8, 8), overlap=0.0)
    weighed = inferer.with_features(image, Threshold(), view=View(foreground=True))[1]
    assert 7.9 < float(weighed) < 10.0  # the body's neighbours count too
    parts = inferer.with_features(image, Threshold(), view=View(foreground=True, grid=(4, 1, 1)))[1]
    torch.testing.assert_close(parts[0, 2:], torch.tensor([10.0, 10.0]))
    torch.testing.assert_close(parts[0, 0], weighed[0, 0])  # air alone: the mean over the scan
