"""Cases of one person stay together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medswin.errors import ConfigError, InputError, MedswinError
from medswin.io import people


def test_each_case_its_own_person() -> None:
    assert people(["a", "b"], {"by": "case"}) == {"a": "a", "b": "b"}


def test_pairs_of_numbers() -> None:
    found = people(["hippocampus_001", "hippocampus_002", "hippocampus_003", "hippocampus_010"], {"by": "pairs"})
    assert found == {
        "hippocampus_001": "hippocampus_pair1",
        "hippocampus_002": "hippocampus_pair1",
        "hippocampus_003": "hippocampus_pair2",
        "hippocampus_010": "hippocampus_pair5",
    }
    assert people(["t1_7_left", "t1_8_left", "t2_7"], {"by": "pairs"}) == {
        "t1_7_left": "t1_pair4", "t1_8_left": "t1_pair4", "t2_7": "t2_pair4"
    }  # fmt: skip


@given(st.integers(1, 10**6))
def test_the_two_of_a_pair_and_nobody_else(k: int) -> None:
    names = [f"case_{number:03d}" for number in (2 * k - 2, 2 * k - 1, 2 * k, 2 * k + 1)]
    before, first, second, after = people(names, {"by": "pairs"}).values()
    assert first == second
    assert len({before, first, after}) == 3


def test_patterns() -> None:
    rule = {"by": "pattern", "pattern": r"^(sub-\d+)_"}
    assert people(["sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1"], rule) == {
        "sub-1_ses-1": "sub-1", "sub-1_ses-2": "sub-1", "sub-2_ses-1": "sub-2"
    }  # fmt: skip


def test_tables(tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    table.write_bytes("\ufeffcase,person,age\r\na,Ä,70\r\nb,Ä,71\r\nunused,C,5\r\n".encode())
    assert people(["b", "a"], {"by": "table", "file": str(table)}) == {"a": "Ä", "b": "Ä"}


@pytest.mark.parametrize(
    ("rule", "error", "words"),
    [
        ({}, ConfigError, "no rule is called ''"),
        ({"by": "name"}, ConfigError, "use one of: case, pairs, pattern, table"),
        ({"by": "pattern"}, ConfigError, "takes by, pattern, got by"),
        ({"by": "case", "pattern": "x"}, ConfigError, "takes by, got by, pattern"),
        ({"by": "pattern", "pattern": "("}, ConfigError, "no regular expression"),
        ({"by": "pattern", "pattern": "x"}, ConfigError, "has 0 groups"),
        ({"by": "pattern", "pattern": "(x)(y)"}, ConfigError, "has 2 groups"),
        ({"by": "pattern", "pattern": "^(x)"}, InputError, "a: does not match"),
        ({"by": "pattern", "pattern": "(b*)"}, InputError, "a: does not match"),
        ({"by": "pairs"}, InputError, "a: its name has no number"),
        ({"by": "table", "file": "nowhere.csv"}, InputError, "nowhere.csv: no such file"),
    ],
)
def test_rules_that_cannot_be_followed(rule: dict[str, str], error: type[MedswinError], words: str) -> None:
    with pytest.raises(error) as caught:
        people(["a"], rule)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"case,person\nb,B\n", "1 cases are not in it, for example a"),
        (b"case,person\na,A\na,B\n", "a is of A and of B"),
        (b"name,person\na,A\n", "name the columns case,person"),
        (b"case,person\na,\n", "each row needs a case and a person"),
        (b"\xff\xfe\x00", "is no CSV table"),
        (b"", "1 cases are not in it"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "people.csv").write_bytes(content)
    with pytest.raises(InputError, match=r"people\.csv: ") as caught:
        people(["a"], {"by": "table", "file": str(tmp_path / "people.csv")})
    assert words in str(caught.value)
