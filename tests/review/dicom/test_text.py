"""Text as DICOM takes it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medswin.review.dicom.text import different, line


@given(st.text(max_size=200), st.integers(8, 64))
def test_a_line_fits_and_holds_nothing_that_parts_or_controls(text: str, most: int) -> None:
    told = line(text, most)
    assert len(told.encode()) <= most
    assert "\\" not in told
    assert not any(unicodedata.category(one)[0] == "C" for one in told)
    assert told == told.strip()


@given(st.lists(st.text(st.sampled_from("ab\\\0 "), max_size=5), max_size=12))
def test_names_are_told_apart_and_none_is_empty(names: list[str]) -> None:
    told = different(names, 12)
    assert len(set(told)) == len(names)
    assert all(0 < len(one) <= 12 for one in told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\r\n b", "a b"),
        ("x\\y", "x/y"),
        ("\u202eabc", "abc"),
        ("\ud800", "?"),
        ("ü" * 70, "ü" * 30 + "..."),
        ("a" + "ü" * 32, "a" + "ü" * 30 + "..."),
    ],
)
def test_examples(text: str, told: str) -> None:
    assert line(text) == told
