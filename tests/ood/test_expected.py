"""Expected Dice: the line finds what is there, and the interval holds for new people."""

from __future__ import annotations

import numpy as np
import pytest

from medswin.errors import InputError
from medswin.ood import ExpectedDice
from medswin.ood.expected import interval, logit


def scans(rng: np.random.Generator, people: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Two scans a person; the Dice falls with the first number, the second says nothing."""
    owner = np.repeat(np.arange(people), 2)
    told = rng.normal(size=(2 * people, 2))
    own = 0.3 * rng.normal(size=people)[owner]
    dice = 1 / (1 + np.exp(-(2 - told[:, 0] + own + 0.2 * rng.normal(size=2 * people))))
    return told, dice, owner.tolist()


def test_nine_in_ten_new_people_lie_within() -> None:
    rng, inside, errors = np.random.default_rng(0), [], []
    for _ in range(60):
        told, dice, owners = scans(rng, 40)
        expected = ExpectedDice.fit(told, dice, owners, *scans(rng, 40))
        new, truth, _ = scans(rng, 10)
        for row, value in zip(new[::2], truth[::2], strict=True):
            middle, low, high = expected(row)
            inside.append(low <= value <= high)
            errors.append(abs(middle - value))
            assert 0 <= low <= middle <= high <= 1
    assert 0.86 < np.mean(inside) < 0.96
    assert np.mean(errors) < 0.06


def test_what_lies_far_outside_is_not_extrapolated() -> None:
    rng = np.random.default_rng(1)
    told, dice, owners = scans(rng, 40)
    expected = ExpectedDice.fit(told, dice, owners, *scans(rng, 40))
    assert expected([1e9, 0.0]) == expected([1e6, 0.0])
    assert expected([1e9, 0.0])[0] > 0.01


def test_the_interval_is_that_of_sorted_residuals() -> None:
    """39 people with residuals -19 to 19: the 2nd from below and the 2nd from above, as 0.05 * 40 = 2."""
    residuals = np.random.default_rng(0).permutation(np.arange(-19.0, 20.0))
    assert interval(residuals, range(39)) == (-18.0, 18.0)
    assert interval(np.repeat(residuals, 2), np.repeat(np.arange(39), 2).tolist()) == (-18.0, 18.0)


def test_two_scans_a_person_do_not_make_it_narrower_than_it_may_be() -> None:
    """20 people weigh 1/21 each: beyond either end may be 0.05 - 1/21, less than one scan of weight 1/42."""
    residuals = np.random.default_rng(3).normal(size=40)
    assert interval(residuals, [i // 2 for i in range(40)]) == (residuals.min(), residuals.max())


def test_a_person_weighs_one_however_many_scans() -> None:
    residuals = np.concatenate([np.arange(-19.0, 20.0), np.full(100, 50.0)])
    people = [*range(39), *[0] * 100]
    assert interval(residuals, people)[1] < 50.0


def test_perfect_and_hopeless_dice_stay_finite() -> None:
    assert np.isfinite(logit([0.0, 1.0])).all()


def test_too_few_people_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="3 people to learn from and 19 held out, got 2 and 18"):
        ExpectedDice.fit(*scans(rng, 2), *scans(rng, 18))


def test_save_and_load_give_the_same_bits() -> None:
    rng = np.random.default_rng(2)
    told, dice, owners = scans(rng, 20)
    expected = ExpectedDice.fit(told, dice, owners, *scans(rng, 20))
    again = ExpectedDice.from_parts(*expected.to_parts())
    assert again(told[0]) == expected(told[0])
