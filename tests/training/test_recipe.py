"""The schedule of learning rates and the budget."""

import pytest

from medswin.errors import ConfigError
from medswin.training import Recipe


def test_warms_up_then_falls_as_a_cosine():
    recipe = Recipe((8, 8, 8), learning_rate=2.0, warmup=0.2)
    assert recipe.rate(0.1) == pytest.approx(1.0)
    assert recipe.rate(0.2) == pytest.approx(2.0)
    assert recipe.rate(0.6) == pytest.approx(1.0)
    assert recipe.rate(1.0) == pytest.approx(0.0)


def test_whichever_comes_first_ends_the_run():
    recipe = Recipe((8, 8, 8), max_steps=100, max_minutes=10)
    assert recipe.progress(50, 1.0) == 0.5
    assert recipe.progress(50, 8.0) == 0.8
    assert recipe.progress(100, 0.0) == 1.0
    assert recipe.progress(1, 99.0) == 1.0


def test_stopping_early_does_not_change_the_schedule():
    assert Recipe((8, 8, 8), max_steps=100, stop_at_step=20).progress(20, 0) == 0.2


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"max_steps": 0},
        {"max_minutes": -1},
        {"warmup": 1.0},
        {"precision": "fp8"},
        {"stop_at_step": 0},
        {"workers": -1},
        {"freeze_steps": -1},
    ],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ConfigError, match=f"training.{next(iter(wrong))}"):
        Recipe((8, 8, 8), **wrong)
