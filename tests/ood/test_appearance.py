"""What is told of a scan without a network: each number moves with what it is named for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medswin.ood import appearance

SIZE = {"fov_mm": (36.0, 50.0, 36.0), "spacing_mm": (1.0, 1.0, 2.0)}


def scan(seed: int = 0) -> np.ndarray:
    """Smooth, with a tail of bright values."""
    smooth = gaussian_filter(np.random.default_rng(seed).normal(size=(36, 50, 36)), 2)
    return np.exp(3 * smooth / smooth.std() / 3).astype(np.float32)[None]


def told(image: np.ndarray) -> dict[str, float]:
    found = appearance.appearance(image, SIZE)
    channels = [str(i) for i in range(len(image))]
    return dict(zip(appearance.names(channels), found.tolist(), strict=True))


def test_sizes_come_as_they_are() -> None:
    found = told(scan())
    assert [found[f"voxel spacing {axis}, mm"] for axis in appearance.AXES] == [1.0, 1.0, 2.0]
    assert [found[f"field of view {axis}, mm"] for axis in appearance.AXES] == [36.0, 50.0, 36.0]


def test_noise_blur_and_inversion_are_told_apart() -> None:
    image = scan()
    plain = told(image)
    noisy = told(image + 0.3 * np.random.default_rng(1).normal(size=image.shape).astype(np.float32))
    blurred = told(gaussian_filter(image, (0, 2, 2, 2)))
    inverted = told(-image)
    assert noisy["noise"] > 3 * plain["noise"]
    assert blurred["sharpness"] < 0.8 * plain["sharpness"]
    assert inverted["skewness of the intensities"] == pytest.approx(-plain["skewness of the intensities"], rel=1e-3)
    assert inverted["intensity at 1 %"] == pytest.approx(-plain["intensity at 99 %"], rel=1e-3)
    assert inverted["noise"] == pytest.approx(plain["noise"], rel=1e-3)


def test_every_channel_is_told_of_by_its_name() -> None:
    image = np.concatenate([scan(), 2 * scan()])
    names = appearance.names(["T1", "T2"])
    assert len(names) == len(appearance.appearance(image, SIZE)) == 6 + 2 * 10
    assert "noise of T2" in names


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 1), (1, 60, 60)])
def test_thin_and_constant_scans_stay_finite(shape: tuple[int, ...]) -> None:
    for image in (np.zeros(shape, np.float32), np.random.default_rng(0).random(shape, np.float32)):
        assert np.isfinite(appearance.appearance(image[None], SIZE)).all()


def test_large_scans_are_looked_at_in_part() -> None:
    image = np.random.default_rng(0).normal(size=(1, 200, 200, 200)).astype(np.float32)
    found = told(image)
    assert found["intensity at 50 %"] == pytest.approx(0.0, abs=0.01)
    assert found["intensity at 90 %"] == pytest.approx(1.2816, abs=0.02)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 5), (61, 20, 33)])
@pytest.mark.parametrize(
    "kind", ["noise", "constant", "few values", "mostly air", "a ramp that repeats with the sample"]
)
def test_quantiles_are_those_of_numpy(shape, kind):
    rng = np.random.default_rng(0)
    values = {
        "noise": lambda: rng.normal(size=shape),
        "constant": lambda: np.ones(shape),
        "few values": lambda: rng.integers(0, 3, shape),
        "mostly air": lambda: np.where(rng.random(shape) < 0.6, -1.0, rng.normal(size=shape)),
        "a ramp that repeats with the sample": lambda: np.arange(np.prod(shape)).reshape(shape) % appearance.SAMPLED,
    }[kind]().astype(np.float32)
    shares = [0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0]
    expected = np.quantile(values.astype(np.float64), shares)
    np.testing.assert_allclose(appearance._quantiles(values, shares), expected, rtol=1e-12)
