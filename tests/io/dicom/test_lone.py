"""Slices alone: a series that fell apart into them has failed, whatever is missing of it; others are left out."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import generate_uid

from medswin.errors import InputError
from medswin.io.sources import Sources, find_sources


def alone(slices: list[Any], *tags: str) -> list[Any]:
    """Copies that each name another patient, study or series."""
    found = [copy.deepcopy(one) for one in slices]
    for i, one in enumerate(found):
        for tag in tags:
            setattr(one, tag, generate_uid() if tag.endswith("UID") else f"canary{i}")
    return found


def sources(path: Path) -> Sources:
    return find_sources(path, path.parent / "out", ["CT"], [], may_be_none=True)


UIDS = ("StudyInstanceUID", "SeriesInstanceUID")


@pytest.mark.parametrize("tags", [["PatientID"], ["StudyInstanceUID"], UIDS], ids=str)
@pytest.mark.parametrize("lost", [slice(5, 6), slice(3, 8, 4), slice(0, 0)], ids=["one", "two", "none"])
@pytest.mark.parametrize("twice", [0, 1])
def test_a_torn_series_has_failed_whatever_is_missing_or_there_twice(
    ct: list, write: Callable, tags: list[str], lost: slice, twice: int
) -> None:
    del ct[lost]
    found = sources(write(alone([*ct, *ct[2 : 2 + twice]], *tags)))
    ((name, error),) = found.failed
    assert (found.cases, found.left_out) == ((), ())
    assert error.what.startswith(
        f"its {len(ct) + twice} slices are no volume, as they name {len(ct) + twice} {tags[0]}"
    )
    assert len(found.origins[name]["files"]) == len(ct) + twice


def test_a_torn_series_at_uneven_places_has_failed(ct: list, write: Callable) -> None:
    for i, one in enumerate(ct):
        one.ImagePositionPatient[2] += 0.3 * i**1.5
    assert len(sources(write(alone(ct, "StudyInstanceUID"))).failed) == 1


def test_two_torn_series_in_one_folder(ct: list, write: Callable) -> None:
    """At the same places they are told as one; at others, in other words or in another direction each by itself."""
    same = sources(write(alone([*ct, *ct], *UIDS), "same"))
    assert [error.what[:14] for _, error in same.failed] == ["its 24 slices "]
    other = copy.deepcopy(ct)
    for one in other:
        one.SeriesDescription = "lung"
        one.ImagePositionPatient[2] += 0.7
    turned = copy.deepcopy(ct)
    for one in turned:
        one.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
        one.ImagePositionPatient = [one.ImagePositionPatient[2], 0, 0]
    two = sources(write(alone([*ct, *other, *turned], *UIDS), "two"))
    assert [error.what[:14] for _, error in two.failed] == ["its 12 slices "] * 3
    assert (two.left_out, len(two.origins)) == ((), 3)


def test_parts_of_one_torn_series_have_names_of_their_own(ct: list, write: Callable) -> None:
    late = copy.deepcopy(ct)
    for one in ct:
        one.TemporalPositionIdentifier = 1
    for one in late:
        one.TemporalPositionIdentifier = 2
    names = sorted(name for name, _ in sources(write(alone([*ct, *late], "StudyInstanceUID"))).failed)
    assert [name[-2:] for name in names] == ["-1", "-2"]


def test_real_single_slices_and_localisers_are_left_out(ct: list, write: Callable) -> None:
    """Also where each file has other identifiers."""
    few = [ct[i] for i in (0, 1, 4, 11)]
    for one, place in zip(few, (0.0, 12.4, 101.7, 155.2), strict=True):
        one.ImagePositionPatient[2] = place
    found = sources(write(alone(few, "PatientID", *UIDS), "few"))
    assert (found.failed, len(found.left_out)) == ((), 4)
    for one, axes in zip(ct[6:9], ([1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1]), strict=True):
        one.ImageOrientationPatient = axes
    for tags in (["StudyInstanceUID"], UIDS, ["PatientID", *UIDS]):
        found = sources(write(alone(ct[6:9], *tags), f"scout{len(tags)}"))
        assert (found.failed, len(found.left_out) > 0) == ((), True)


def listed(folder: Path) -> Sources:
    table = folder.with_name("cases.csv")
    table.write_text(f"case,image\nx,{folder.name}\n")
    return sources(table)


def reason(found: Sources) -> str:
    """Of the only case, which has failed."""
    ((case, error),) = found.failed
    assert (found.cases, case) == ((), "x")
    return str(error)


def test_a_row_of_a_table_fails_where_slices_of_its_folder_would_be_lost(ct: list, write: Callable) -> None:
    ends = write([*ct[:-2], *alone(ct[-2:], "PatientID", "StudyInstanceUID")], "ends")
    said = "x: the folder for CT is not one whole series: "
    assert reason(listed(ends)).startswith(f"{said}2 x a slice alone, which is no volume. Repair: export the series")
    torn = write(alone(ct, "StudyInstanceUID"), "torn")
    assert reason(listed(torn)).startswith(f"{said}its 12 slices are no volume, as they name 12 StudyInstanceUIDs, as")
    assert reason(listed(torn)).endswith("make it anonymous again with one identifier for all its slices")
    damaged = write(ct, "damaged")
    for path in sorted(damaged.iterdir())[-3:]:
        path.write_bytes(path.read_bytes()[:450])
    assert reason(listed(damaged)).startswith(f"{said}3 DICOM file(s) in it are damaged, slices or whole series may be")
    whole = listed(write(ct, "whole"))
    assert ([one.case for one in whole.cases], whole.failed) == (["x"], ())


def test_errors_of_a_row_begin_with_its_name(ct: list, write: Callable, tmp_path: Path) -> None:
    del ct[5]
    (one,) = listed(write(ct, "gap")).cases
    with pytest.raises(InputError, match=r"^x: its slices lie"):
        one.read()
    (tmp_path / "cases.csv").write_text("case,a,b\ny,gap,whole\n")
    write(ct[:5], "whole")
    (two,) = find_sources(tmp_path / "cases.csv", tmp_path / "out", ["a", "b"], []).cases
    with pytest.raises(InputError, match=r"^y, a: its slices lie"):
        two.read()
