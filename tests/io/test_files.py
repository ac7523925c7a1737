"""Files are there whole, or as they were."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medswin.errors import InputError
from medswin.io import output_folder, read_json, replacing, replacing_folder, write_json, write_text
from medswin.io.files import parse_json, to_json


def test_the_temporary_name_is_beside_hidden_and_keeps_its_suffixes(tmp_path: Path) -> None:
    with replacing(tmp_path / "new" / "a.nii.gz") as temporary:
        temporary.write_text("x")
        assert temporary.parent == tmp_path / "new"
        assert temporary.name.startswith(".tmp-")
        assert temporary.name.endswith("a.nii.gz")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.nii.gz"]
    assert (tmp_path / "new" / "a.nii.gz").read_text() == "x"


def half(writing: AbstractContextManager[Path], error: Exception, name: str = "") -> None:
    """Begin to write a file, or one in a folder, and meet an error."""
    with writing as temporary:
        (temporary / name if name else temporary).write_text("half")
        raise error


FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_error_in_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(ZeroDivisionError):
        half(replacing(tmp_path / "a.txt"), ZeroDivisionError())
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "old"}


def test_a_full_disk_leaves_nothing_half_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(InputError, match=r"a\.txt: cannot be written \(No space left on device\)\. Repair: free space"):
        half(replacing(tmp_path / "a.txt"), FULL)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"a.txt": "old"}


def test_a_full_disk_leaves_the_old_folder(tmp_path: Path) -> None:
    with replacing_folder(tmp_path / "package") as temporary:
        (temporary / "one").write_text("one")
    with pytest.raises(InputError, match="No space left"):
        half(replacing_folder(tmp_path / "package"), FULL, "two")
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == ["package", "package/one"]


def test_a_place_under_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.txt", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "folder", "x")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_rights_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_text(tmp_path / "ours", "x")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_folder_is_replaced_as_one(tmp_path: Path) -> None:
    target = tmp_path / "package"
    for content in ("one", "two"):
        with replacing_folder(target) as temporary:
            (temporary / content).write_text(content)
        assert [p.name for p in target.iterdir()] == [content]
    assert [p.name for p in tmp_path.iterdir()] == ["package"]


def test_a_folder_whose_rename_fails_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "package"
    with replacing_folder(target) as temporary:
        (temporary / "one").write_text("one")
    rename = Path.rename

    def write_two(target: Path) -> None:
        with replacing_folder(target) as temporary:
            (temporary / "two").write_text("two")

    def failing(self: Path, to: Path) -> Path:
        if self.name.startswith(".tmp-") and (self / "two").exists():
            raise OSError(errno.EIO, "broken")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputError, match="broken"):
        write_two(target)
    assert [p.name for p in target.iterdir()] == ["one"]
    assert [p.name for p in tmp_path.iterdir()] == ["package"]


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    with pytest.raises(InputError, match="Not a directory"), replacing_folder(tmp_path / "a"):
        pytest.fail("the block must not run")
    assert (tmp_path / "a").read_text() == "x"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, to have a process to kill")
def test_a_kill_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    child = os.fork()
    if child == 0:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert (tmp_path / "a.txt").read_text() == "old"
    assert all(p.name.startswith(".tmp-") for p in tmp_path.iterdir() if p.name != "a.txt")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_json_comes_back_as_it_went(values: dict) -> None:
    assert parse_json(to_json(values).encode(), "here") == values


def test_numpy_and_tuples_become_plain(tmp_path: Path) -> None:
    write_json(
        tmp_path / "a.json", {"a": np.float32(0.5), "b": np.arange(3), "c": (1, np.int64(2)), "d": np.bool_(True)}
    )
    assert read_json(tmp_path / "a.json") == {"a": 0.5, "b": [0, 1, 2], "c": [1, 2], "d": True}


@pytest.mark.parametrize("value", [float("nan"), np.inf, np.array([np.nan]), {1, 2}, Path("x")])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path: Path, value: object) -> None:
    with pytest.raises(InputError, match=r"a\.json: cannot be put into JSON"):
        write_json(tmp_path / "a.json", {"value": value})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b'{"a": 1', "is not JSON"),
        (b"", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "holds a JSON list"),
    ],
)
def test_damaged_json_is_named(tmp_path: Path, content: bytes, rule: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=rule) as caught:
        read_json(tmp_path / "a.json")
    assert "a.json: " in str(caught.value)
    assert "Repair: " in str(caught.value)


def test_missing_json_is_named_and_a_byte_order_mark_is_no_matter(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.json: no such file"):
        read_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": "ä"}).encode())
    assert read_json(tmp_path / "b.json") == {"a": "ä"}


def test_an_output_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    assert output_folder(tmp_path / "a" / "b") == output_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_an_output_folder_that_cannot_be_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    for name, why in {"file": "it is a file", "file/out": "Not a directory"}.items():
        with pytest.raises(InputError, match=rf"no results can be written here \({why}\)\. Repair: choose another"):
            output_folder(tmp_path / name)

    def full(path: Path, content: bytes) -> int:
        path.touch()
        raise FULL

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        output_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
