"""What every registered detector must do, and what a new one gets tested by its registry line alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from medswin.errors import ConfigError, InputError, PackageError, ShapeError
from medswin.ood import DETECTORS, OODDetector, build

pytestmark = pytest.mark.parametrize("name", sorted(DETECTORS))


def features(n: int = 40, width: int = 6, seed: int = 0) -> np.ndarray:
    """Rows scattered about (3, 3, ..., 3), so that their direction is usual too."""
    return 3.0 + np.random.default_rng(seed).normal(size=(n, width))


def test_constructor_only_keeps_its_arguments(name: str) -> None:
    detector = build(name)
    assert vars(detector) == detector.params
    assert json.loads(json.dumps(detector.params)) == detector.params


def test_what_is_learned_ends_in_an_underscore(name: str) -> None:
    detector = build(name)
    before = set(vars(detector))
    detector.fit(features())
    learned = set(vars(detector)) - before
    assert {"width_", *detector.saved} <= learned
    assert all(attribute.endswith("_") for attribute in learned)
    assert detector.params == build(name).params


def test_fit_returns_the_detector_and_score_one_float64_per_scan(name: str) -> None:
    detector = build(name)
    assert detector.fit(features()) is detector
    scores = detector.score(features(7, seed=1))
    assert scores.shape == (7,)
    assert scores.dtype == np.float64
    assert detector.score(np.zeros((0, 6))).shape == (0,)


@pytest.mark.parametrize("direction", [np.eye(6)[0], -np.eye(6)[5], np.array([1, -1, 1, -1, 1, -1]), -np.ones(6)])
def test_the_farther_the_more_unusual(name: str, direction: np.ndarray) -> None:
    detector = build(name).fit(features())
    if not detector.unbounded:
        pytest.skip("a score of outputs, or one within an embedding, has a greatest value")
    usual = detector.score(features(20, seed=1)).max()
    near, far = detector.score(3.0 + np.outer([12.0, 120.0], direction))
    assert usual < near < far


def test_refit_forgets(name: str) -> None:
    rows = features(10, width=4, seed=3)
    detector = build(name).fit(features())
    detector.leftover_ = 1  # type: ignore[attr-defined]
    detector.fit(rows)
    assert not hasattr(detector, "leftover_")
    np.testing.assert_array_equal(detector.score(rows), build(name).fit(rows).score(rows))


def test_save_and_load_give_the_same_bits(name: str, tmp_path: Path) -> None:
    detector, new = build(name).fit(features()), features(15, seed=2)
    params, arrays = detector.state()
    save_file({key: torch.from_numpy(np.array(value)) for key, value in arrays.items()}, tmp_path / "ood.safetensors")
    loaded = {key: tensor.numpy() for key, tensor in load_file(tmp_path / "ood.safetensors").items()}
    again = type(detector).from_state(json.loads(json.dumps(params)), loaded)
    assert again.score(new).tobytes() == detector.score(new).tobytes()
    assert set(vars(again)) == set(vars(detector))


def test_a_state_with_a_part_missing_is_refused(name: str) -> None:
    detector = build(name).fit(features())
    params, arrays = detector.state()
    for key in arrays:
        with pytest.raises(PackageError, match=key):
            type(detector).from_state(params, {k: v for k, v in arrays.items() if k != key})


def test_another_width_is_refused_with_both_numbers(name: str) -> None:
    detector = build(name).fit(features())
    with pytest.raises(ShapeError, match=r"6 features per scan, got 5"):
        detector.score(features(width=5))


@pytest.mark.parametrize("shape", [(6,), (4, 0), (2, 3, 2)])
def test_features_must_be_a_table(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match="scans, features"):
        build(name).fit(np.zeros(shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused(name: str, bad: float) -> None:
    rows = features()
    detector = build(name).fit(rows)
    rows[3, 2] = bad
    with pytest.raises(InputError, match="1 of 40 scans"):
        detector.score(rows)
    with pytest.raises(InputError, match="1 of 40 scans"):
        build(name).fit(rows)


@pytest.mark.parametrize("n", [0, 1])
def test_nothing_is_learned_from_fewer_than_two_scans(name: str, n: int) -> None:
    with pytest.raises(InputError, match=f"at least 2 scans, got {n}"):
        build(name).fit(features(n))


def test_two_scans_are_enough(name: str) -> None:
    scores = build(name).fit(features(2)).score(features(5, seed=1))
    assert np.isfinite(scores).all()


def test_scoring_before_fitting_says_what_to_do(name: str) -> None:
    for action in (lambda: build(name).score(features()), lambda: build(name).state()):
        with pytest.raises(InputError, match="call fit first"):
            action()


def test_the_same_numbers_give_the_same_bits(name: str) -> None:
    rows, new = features(), features(9, seed=4)
    first = build(name).fit(rows).score(new)
    assert build(name).fit(rows.copy()).score(new).tobytes() == first.tobytes()
    assert build(name).fit(torch.from_numpy(rows)).score(torch.from_numpy(new)).tobytes() == first.tobytes()


def test_single_precision_input_is_worked_on_in_double(name: str) -> None:
    rows, new = features().astype(np.float32), features(9, seed=4).astype(np.float32)
    double = build(name).fit(rows.astype(np.float64)).score(new.astype(np.float64))
    assert build(name).fit(rows).score(torch.from_numpy(new)).tobytes() == double.tobytes()


def test_input_is_left_as_it_was(name: str) -> None:
    rows = features()
    build(name).fit(rows).score(rows)
    np.testing.assert_array_equal(rows, features())


def test_the_order_of_training_scans_does_not_matter(name: str) -> None:
    rows, new = features(), features(9, seed=4)
    turned = build(name).fit(rows[::-1]).score(new)
    np.testing.assert_allclose(turned, build(name).fit(rows).score(new), rtol=1e-9)


def test_more_features_than_scans_stay_finite(name: str) -> None:
    detector: OODDetector = build(name).fit(features(12, width=50))
    scores = detector.score(features(8, width=50, seed=1))
    assert np.isfinite(scores).all()
    assert (scores > 0).all()


def test_an_unknown_parameter_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match="'bogus'"):
        build(name, bogus=1)
