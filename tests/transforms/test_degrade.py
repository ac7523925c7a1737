"""Degradations: each does what it is called, harder with strength, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medswin.errors import ConfigError
from medswin.transforms.degrade import DEGRADATIONS, STRENGTHS, degrade


def scan() -> np.ndarray:
    rng = np.random.default_rng(0)
    return (1000 * gaussian_filter(rng.normal(size=(24, 28, 20)), 1.5) + 300).astype(np.float32)


@pytest.mark.parametrize("name", sorted(DEGRADATIONS))
def test_the_stronger_the_farther_and_nothing_else_is_drawn_twice(name: str) -> None:
    image = scan()
    before = image.copy()
    made = [degrade(image, name, strength, seed=3) for strength in STRENGTHS]
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(made[2], degrade(image, name, 3, seed=3))
    assert all(one.shape == image.shape and one.dtype == np.float32 and np.isfinite(one).all() for one in made)
    away = [np.abs(one - image).mean() for one in made]
    assert 0 < away[0] < away[4]


def test_inversion_of_full_strength_turns_the_contrast() -> None:
    image = scan()
    assert np.corrcoef(image.ravel(), degrade(image, "inversion", 5).ravel())[0, 1] == pytest.approx(-1)


def test_thick_slices_vary_along_one_axis_only_as_slowly_as_a_line() -> None:
    """Within a slice of 2 voxels interpolated back, second differences vanish but at the slices' middles."""
    image = scan()
    thick = degrade(image, "thick slices", 5, seed=1)
    rough = [np.abs(np.diff(thick, 2, axis)).mean() / np.abs(np.diff(image, 2, axis)).mean() for axis in range(3)]
    assert min(rough) < 0.3
    assert sorted(rough)[1] > 1.2 * min(rough)


def test_a_spike_is_one_wave() -> None:
    image = scan()
    spectrum = np.abs(np.fft.rfftn(degrade(image, "spike", 5) - image))
    assert np.sort(spectrum.ravel())[-1] ** 2 > 0.9 * (spectrum**2).sum() / 2


def test_noise_has_no_bias_and_grows() -> None:
    image = scan()
    spread = [float((degrade(image, "noise", s) - image).std()) for s in (1, 5)]
    assert spread[1] / spread[0] == pytest.approx(0.35 / 0.03, rel=0.1)


@pytest.mark.parametrize("shape", [(3, 30, 30), (2, 2, 2), (1, 8, 9)])
def test_thin_scans_are_degraded_too(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(0).random(shape, np.float32)
    for name in DEGRADATIONS:
        for strength in STRENGTHS:
            assert degrade(image, name, strength).shape == shape


@pytest.mark.parametrize(("name", "strength"), [("rust", 1), ("noise", 0), ("noise", 6)])
def test_what_is_not_known_is_refused(name: str, strength: int) -> None:
    with pytest.raises(ConfigError, match="strength 1 to 5"):
        degrade(scan(), name, strength)
