"""Detectors of the network's outputs: which number they read, and that it is their score."""

from __future__ import annotations

import numpy as np
import pytest

from medswin.errors import ConfigError
from medswin.ood import build
from medswin.ood.view import check_output


@pytest.mark.parametrize(
    ("name", "params", "read"),
    [
        ("msp", {}, "msp@1"),
        ("msp", {"temperature": 2.5}, "msp@2.5"),
        ("energy", {"temperature": 10}, "energy@10"),
        ("entropy", {}, "entropy"),
        ("disagreement", {}, "disagreement"),
    ],
)
def test_they_read_one_number_that_the_pass_knows_and_give_it_as_it_is(name: str, params: dict, read: str) -> None:
    detector = build(name, **params)
    assert detector.reads == (read,)
    check_output(read)
    column = np.array([[0.3], [-2.0], [7.0]])
    np.testing.assert_array_equal(detector.fit(column).score(column), column[:, 0])


def test_a_temperature_is_above_zero() -> None:
    for temperature in (0, -1.0):
        with pytest.raises(ConfigError, match="above 0"):
            build("msp", temperature=temperature).reads  # noqa: B018
