"""Which names of earlier runs stand for nothing any more."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from medswin.errors import InputError
from medswin.io.superseded import FOLDER, results, set_aside, superseded

A, B = "0123456789ab", "cdef01234567"
OLD = {"files": ["t/1"]}


@pytest.mark.parametrize(
    ("name", "now", "others"),
    [
        (f"series-{A}", {f"series-{A}-1": {}, f"series-{A}-2": {}}, f"series-{A}-1, series-{A}-2"),
        (f"series-{A}-2", {f"series-{A}": {}}, f"series-{A}"),
        (f"series-{A}-1", {f"series-{A}-{i:02}": {} for i in range(1, 11)}, f"series-{A}-01, series-{A}-02, "),
        (f"slice-{A}", {f"series-{A}": {}}, f"series-{A}"),
        (f"slice-{A}-07", {f"slices-{A}": {}}, f"slices-{A}"),
        (f"series-{A}", {f"series-{B}": {"files": ["t/0", "t/1"]}}, f"series-{B}"),  # named by its first file
        (f"files-{A}", {f"series-{B}": {"files": ["t/1/a"]}}, f"series-{B}"),  # a folder that was mended
        (f"series-{A}", {f"series-{A}": {}}, ""),
        (f"series-{A}", {f"series-{A}": {}, f"series-{A}-1": {}}, ""),
        (f"series-{A}", {f"series-{B}": {"files": ["t/2"]}}, ""),
        (f"series-{A}", {"scan": OLD}, ""),
        ("scan", {f"series-{A}": OLD, "scan-1": OLD}, ""),
        (f"study-{A}", {f"series-{A}": OLD}, ""),
    ],
)
def test_a_name_is_superseded_by_those_of_its_series(name: str, now: dict, others: str) -> None:
    found = superseded([name], {name: OLD}, now)
    assert list(found) == ([name] if others else [])
    assert found.get(name, "").startswith(f"superseded by {others}" if others else "")


def test_results_are_set_aside_whole_or_in_part(tmp_path: Path) -> None:
    for name in ("a.json", "a.nii.gz", "b.nii.gz", ".tmp-c.nii.gz", "summary.csv"):
        (tmp_path / name).write_text(name)
    assert results(tmp_path) == {"a", "b"}
    moved = [set_aside(tmp_path, case) for case in ("a", "b", "c")]
    assert moved == [["a.nii.gz", "a.json"], ["b.nii.gz"], []]
    assert results(tmp_path) == set()
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == ["a.json", "a.nii.gz", "b.nii.gz"]
    (tmp_path / "a.json").write_text("newer")
    set_aside(tmp_path, "a")
    assert (tmp_path / FOLDER / "a.json").read_text() == "newer"


def test_review_packets_are_all_kept(tmp_path: Path) -> None:
    for answer in ("first", "second"):
        (tmp_path / "review" / "a").mkdir(parents=True)
        for name in ("review.html", "answer.json"):
            (tmp_path / "review" / "a" / name).write_text(answer)
        assert set_aside(tmp_path, "a") == ["review/a"]
    assert not (tmp_path / "review" / "a").exists()
    kept = sorted((tmp_path / FOLDER / "review").glob("a.*/answer.json"))
    assert [path.read_text() for path in kept] == ["first", "second"]


def test_what_cannot_be_moved_stays(tmp_path: Path) -> None:
    for name in ("a.json", "a.nii.gz", ".private"):
        (tmp_path / name).write_text(name)
    with pytest.raises(InputError, match="cannot be written"):
        set_aside(tmp_path, "a")
    assert (tmp_path / "a.nii.gz").read_text() == "a.nii.gz"


def test_results_are_moved_to_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(one: object, other: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    for name in ("a.json", "a.nii.gz"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "replace", rename)
    set_aside(tmp_path, "a")
    assert {path.name: path.read_text() for path in (tmp_path / FOLDER).iterdir()} == {
        "a.json": "a.json", "a.nii.gz": "a.nii.gz",
    }  # fmt: skip


def test_a_kill_in_between_leaves_the_case_file_to_tell_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(file: Path, to: Path) -> None:
        file.replace(to)
        raise KeyboardInterrupt

    for name in ("a.json", "a.nii.gz"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(shutil, "move", killed)
    with pytest.raises(KeyboardInterrupt):
        set_aside(tmp_path, "a")
    assert sorted(path.name for path in tmp_path.glob("a*")) == ["a.json"]
