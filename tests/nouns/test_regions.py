"""Regions: a label map cut into them and painted again is itself, or they are refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medswin.errors import ConfigError
from medswin.labels import LabelSet
from medswin.regions import Region, Regions

TUMOUR = LabelSet.from_names(["oedema", "core", "enhancing"])
ROWS = [
    {"of": ["oedema", "core", "enhancing"], "paints": "oedema", "threshold": 0.4},
    {"of": ["core", "enhancing"], "paints": "core", "threshold": 0.5},
    {"of": ["enhancing"], "paints": "enhancing", "threshold": 0.9},
]


def test_rows_come_back_as_they_were() -> None:
    regions = Regions.from_json(ROWS, TUMOUR)
    assert regions.to_json() == ROWS
    assert regions.regions == (Region((1, 2, 3), 1, 0.4), Region((2, 3), 2, 0.5), Region((3,), 3, 0.9))
    assert next(iter(Regions.from_json([{"of": ["a"], "paints": "a"}], LabelSet.from_names(["a"])))).threshold == 0.5


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (ROWS[::-1], "core is drawn as oedema"),
        (ROWS[:2], "enhancing is drawn as core"),
        (ROWS[1:], "oedema is in no region"),
        ([*ROWS, {**ROWS[0], "paints": "core"}], "oedema is drawn as core"),
        ([{**ROWS[0], "threshold": 1.0}, *ROWS[1:]], "between 0 and 1, got 1.0"),
        ([{**ROWS[0], "colour": "red"}, *ROWS[1:]], "got .*'colour': 'red'"),
        (
            [{**ROWS[0], "paints": "necrosis"}, *ROWS[1:]],
            "called 'necrosis'.*use oedema, core, enhancing",
        ),
        ([{"of": ["oedema"]}, *ROWS[1:]], r"got {'of': \['oedema'\]}"),
        ("oedema", "got o"),
    ],
)
def test_regions_that_lose_a_structure_are_refused(rows, words) -> None:
    with pytest.raises(ConfigError, match=words):
        Regions.from_json(rows, TUMOUR)


regions = st.lists(
    st.tuples(st.sets(st.integers(1, 3), min_size=1).map(sorted).map(tuple), st.integers(1, 3)), min_size=1, max_size=5
)


@given(regions)
def test_what_is_taken_paints_every_label_map_again_and_what_is_refused_does_not(found) -> None:
    """A map with all structures: painting each region's structures in order, in numpy, tells which should be taken."""
    label_map = np.arange(4)
    painted = np.zeros(4, dtype=int)
    for of, paints in found:
        painted[np.isin(label_map, of)] = paints
    cut = tuple(Region(of, paints) for of, paints in found)
    if np.array_equal(painted, label_map):
        assert len(Regions(cut, TUMOUR)) == len(found)
    else:
        with pytest.raises(ConfigError, match=r"is drawn as|is in no region"):
            Regions(cut, TUMOUR)
