"""Splits: nobody on two sides, and the same split when asked again."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from medswin.errors import ConfigError
from medswin.training.split import PARTS, Split, keep_split, make_split


@given(
    st.dictionaries(st.text("abc", min_size=1, max_size=4), st.sampled_from("PQRSTUVW"), min_size=1), st.integers(0, 99)
)
def test_every_case_once_and_every_person_on_one_side(people, seed):
    assume(len(set(people.values())) >= 4)
    split = make_split(people, validation=0.25, calibration=0.25, seed=seed)
    assert sorted(case for part in PARTS for case in getattr(split, part)) == sorted(people)
    sides = [{people[case] for case in getattr(split, part)} for part in PARTS]
    assert not (sides[0] & sides[1])
    assert not (sides[0] & sides[2])
    assert not (sides[1] & sides[2])
    assert split.validation
    assert split.training


def test_a_person_on_two_sides_is_refused():
    with pytest.raises(ConfigError, match=r"person P is in training and in validation"):
        Split(("a",), ("b",), (), {"a": "P", "b": "P"})


def test_the_written_split_is_kept_and_guarded(tmp_path):
    people = {f"case_{i}": str(i // 2) for i in range(20)}
    first = keep_split(tmp_path / "splits.json", people, 0.2, 0.3, seed=1)
    assert keep_split(tmp_path / "splits.json", people, 0.2, 0.3, seed=2) == first
    with pytest.raises(ConfigError, match=r"splits.json: it was made for other cases"):
        keep_split(tmp_path / "splits.json", {**people, "new": "new"}, 0.2, 0.3, seed=1)


def test_too_few_people_are_refused():
    with pytest.raises(ConfigError, match="2 people cannot be split"):
        make_split({"a": "1", "b": "2"}, 0.5, 0.5, seed=0)


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 8, 13, 101])
def test_the_shares_that_a_refusal_names_work(count):
    people = {str(i): str(i) for i in range(count)}
    with pytest.raises(ConfigError) as caught:
        make_split(people, 0.9, 0.9, seed=0)
    shares = [float(share) for share in re.findall(r"data\.\w+=([\d.]+)", caught.value.repair)]
    split = make_split(people, *shares, seed=0)
    assert len(split.training) >= (3 if split.calibration else 1)
    assert bool(split.calibration) == (count > 4)


def test_one_person_cannot_be_split_at_all():
    with pytest.raises(ConfigError, match=r"Repair: give cases of more people$"):
        make_split({"a": "1", "b": "1"}, 0.5, 0.5, seed=0)
