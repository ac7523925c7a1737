"""Eigen-CAM: where a network looks, against a naive twin and pictures that can be told beforehand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from inference_fakes import Threshold, threshold_model
from torch import Tensor
from torch.nn import functional as F

from medswin.inference import Predictor
from medswin.inference.cam import eigen_cam
from medswin.io import Scan

BLOCK = (slice(6, 10), slice(4, 8), slice(8, 12))


class Channels(Threshold):
    """Its bottleneck are four mixtures of the image and its square, in cells; a whole scan fits into one window."""

    def __init__(self, cell: int = 1, sign: float = 1.0) -> None:
        super().__init__(cell=cell)
        self.encoder = SimpleNamespace(strides=[(1, 1, 1), (cell, cell, cell)], channels=(1, 4))
        self.sign = sign

    def encode(self, x_BCDHW: Tensor) -> list[Tensor]:
        self.encoded.append(len(x_BCDHW))
        return [x_BCDHW, self.sign * F.avg_pool3d(channels(x_BCDHW), self.cell)]


def channels(x_BCDHW: Tensor) -> Tensor:
    return torch.cat([x_BCDHW, 2 * x_BCDHW**2, 0.05 - 0.5 * x_BCDHW, 0.3 * x_BCDHW], 1)


def scan(size: tuple[int, int, int] = (16, 16, 16)) -> np.ndarray:
    """A dim scan with a bright block."""
    image = np.random.default_rng(0).uniform(0.0, 0.2, size).astype(np.float32)
    image[BLOCK] += 0.7
    return image


def heat(image: np.ndarray, affine: np.ndarray | None = None, **of_network: float) -> np.ndarray:
    window = {"roi_size": [16, 16, 16], "overlap": 0.5, "mode": "gaussian", "mirror_axes": []}
    model = replace(threshold_model(window=window), network=Channels(**of_network))  # type: ignore[arg-type]
    predictor = Predictor(model)
    return eigen_cam(predictor, predictor.prepare(Scan.from_array(image, np.eye(4) if affine is None else affine)))


def naive(image: np.ndarray) -> np.ndarray:
    """Each cell's part along the direction that a power iteration on the channels' products finds, cell by cell."""
    cells = channels(torch.from_numpy(image)[None, None].double())[0].reshape(4, -1).T.numpy()
    products = sum(np.outer(cell, cell) for cell in cells)
    direction = np.ones(4)
    for _ in range(500):
        direction = products @ direction
        direction /= np.sqrt((direction**2).sum())
    strength = np.array([sum(a * b for a, b in zip(cell, direction, strict=True)) for cell in cells])
    strength = strength if strength.sum() > 0 else -strength
    return ((strength - strength.min()) / (strength.max() - strength.min())).reshape(image.shape)


def test_it_is_the_projection_on_the_first_singular_vector() -> None:
    """With cells of one voxel nothing is interpolated."""
    image = scan()
    np.testing.assert_allclose(heat(image), naive(image), atol=1e-5)


@pytest.mark.parametrize("cell", [1, 2, 4])
def test_the_bright_block_is_where_it_looks(cell: int) -> None:
    found = heat(scan(), cell=cell)
    assert found.shape == (16, 16, 16)
    inside = np.zeros(found.shape, bool)
    inside[BLOCK] = True
    assert inside[np.unravel_index(found.argmax(), found.shape)]
    assert found[inside].mean() > 0.5 > 0.2 > found[~inside].mean()
    assert found.min() >= 0
    assert found.max() <= 1


def test_a_network_of_turned_signs_looks_at_the_same() -> None:
    """A singular vector may point either way."""
    np.testing.assert_allclose(heat(scan(), sign=-1.0), heat(scan()), atol=1e-6)


def test_the_map_lies_on_the_scan_as_it_is_stored() -> None:
    """Stored the other way round along x and with y and z exchanged, the block is found where it was put."""
    affine = np.array([[-1.0, 0, 0, 15], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    stored = np.ascontiguousarray(np.flip(scan(), 0).transpose(0, 2, 1))
    there = np.flip(heat(stored, affine), 0).transpose(0, 2, 1)
    np.testing.assert_allclose(there, heat(scan()), atol=1e-5)


def test_a_network_that_tells_nothing_gives_an_empty_map() -> None:
    assert (heat(scan(), sign=0.0) == 0).all()
