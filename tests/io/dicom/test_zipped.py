"""Zips: the same series as in the folder that was zipped; whatever could do harm is refused."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from traps import assert_in_place

from medswin.errors import InputError
from medswin.io.dicom import find_series, read_series, unpacked, zipped


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """``pack({name: content})`` -> zip."""

    def write(files: dict[str, bytes], **how: int) -> Path:
        path = tmp_path / "scans.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **how) as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
        return path

    return write


def refused(path: Path, said: str, within: Path) -> str:
    with pytest.raises(InputError, match=said) as error, unpacked(path, within):
        pass
    assert list(within.iterdir()) == []
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return str(error.value)


@pytest.fixture
def within(tmp_path: Path) -> Path:
    folder = tmp_path / "within"
    folder.mkdir()
    return folder


def test_a_zip_gives_the_same_series(slices: list, write: Callable, truth, pack: Callable, within: Path) -> None:
    folder = write(slices)
    path = pack({f"study/series/{file.name}": file.read_bytes() for file in folder.iterdir()})
    with unpacked(path, within) as inside:
        assert [part.stat().st_mode & 0o777 for part in within.iterdir()] == [0o700]
        (series,) = find_series(inside, b"key").series
        assert series.id == find_series(folder, b"key").series[0].id
        assert_in_place(read_series(series), truth)
    assert list(within.iterdir()) == []


def test_it_is_a_zip_by_its_content(pack: Callable, within: Path) -> None:
    path = pack({"a": b"1"}).rename(within.parent / "scans.dcm")
    with unpacked(path, within) as folder:
        assert (folder / "a").read_bytes() == b"1"


def test_a_zip_that_nobody_opened_is_told(pack: Callable) -> None:
    with pytest.raises(InputError, match=r"is a zip\. Repair: .*unpacked"):
        find_series(pack({"a": b"1"}), b"key")


def test_anything_else_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"no zip")
    for path in (tmp_path, tmp_path / "file.zip", tmp_path / "nowhere"):
        with unpacked(path) as same:
            assert same == path


def test_an_error_inside_removes_the_folder(pack: Callable, within: Path) -> None:
    with pytest.raises(KeyError), unpacked(pack({"a": b"1"}), within):
        raise KeyError
    assert list(within.iterdir()) == []


def test_what_file_managers_add_is_left_out(pack: Callable, within: Path) -> None:
    with unpacked(pack({"__MACOSX/._a": b"1", ".DS_Store": b"1", "b/c": b"2"}), within) as folder:
        assert [path.name for path in folder.rglob("*") if path.is_file()] == ["c"]


def test_backslashes_part_folders(pack: Callable, within: Path) -> None:
    """As old programs of Windows write them, folders of their own among them."""
    with unpacked(pack({"study\\": b"", "study\\001.dcm": b"1", "study\\__MACOSX\\x": b"2"}), within) as folder:
        assert [path.relative_to(folder).as_posix() for path in folder.rglob("*")] == ["study", "study/001.dcm"]


@pytest.mark.parametrize(
    "name",
    [
        "../Muster",
        "a/../../Muster",
        "/etc/Muster",
        "..\\Muster",
        "a\\..\\..\\Muster",
        "C:/Muster",
        "C:\\Muster",
        "\\Muster",
        "a/..",
        "\\\\host\\Muster",
    ],
)
def test_names_that_lead_out_are_refused(pack: Callable, within: Path, name: str, tmp_path: Path) -> None:
    text = refused(pack({"good": b"1", name: b"2"}), "a name in the zip leads out of it", within)
    assert "Muster" not in text
    assert [path for path in tmp_path.rglob("*") if "Muster" in path.name] == []


def test_a_link_is_no_link_once_unpacked(tmp_path: Path, within: Path) -> None:
    path, link = tmp_path / "scans.zip", zipfile.ZipInfo("link")
    link.external_attr, link.create_system = 0o120777 << 16, 3
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with unpacked(path, within) as folder:
        assert (folder / "link").is_file()
        assert not (folder / "link").is_symlink()


def test_two_files_of_one_name_are_refused(pack: Callable, within: Path) -> None:
    path = pack({"a": b"1"})
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a", b"2")
    refused(path, "two files in the zip have one name", within)


def test_a_file_where_a_folder_should_be_is_refused(pack: Callable, within: Path) -> None:
    refused(pack({"a": b"1", "a/b": b"2"}), "one name|cannot be unpacked", within)


def test_a_bomb_is_refused_before_it_is_unpacked(pack: Callable, within: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipped, "SMALL", 10**6)
    refused(pack({f"{i}": bytes(10**6) for i in range(5)}), "GiB, .* times its size; at most 64 GiB and 200", within)


def test_much_of_nothing_in_a_small_zip_is_fine(pack: Callable, within: Path) -> None:
    with unpacked(pack({"a": bytes(10**6)}), within) as folder:
        assert (folder / "a").stat().st_size == 10**6


def test_a_zip_that_lies_about_a_size_unpacks_no_more(pack: Callable, within: Path) -> None:
    path = pack({"a": bytes(10**6)})
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(mark) + at, 10)
    path.write_bytes(bytes(content))
    refused(path, "the zip is damaged", within)


@pytest.mark.parametrize(("limit", "value"), [("MAX_FILES", 2), ("MAX_BYTES", 2)])
def test_limits(pack: Callable, within: Path, limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipped, limit, value)
    refused(pack({"a": b"1", "b": b"2", "c": b"3"}), "at most", within)


def test_a_disk_that_is_too_small_is_told_before(pack: Callable, within: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("Usage", (), {"free": 1})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    refused(pack({"a": b"12"}), "the disk has .* GiB left", within)


def test_a_folder_that_is_not_there_is_told(pack: Callable, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be unpacked into"), unpacked(pack({"a": b"1"}), tmp_path / "nowhere"):
        pass


def test_an_encrypted_zip_is_refused(pack: Callable, within: Path) -> None:
    path = pack({"a": b"1"})
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    path.write_bytes(bytes(content))
    refused(path, "the zip is encrypted", within)


@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_zip_that_is_cut_short_is_refused(pack: Callable, within: Path, kept: float) -> None:
    path = pack({f"{i}": bytes(range(256)) * 10 for i in range(5)})
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    refused(path, "the zip is damaged", within)


def test_a_damaged_member_is_refused(pack: Callable, within: Path) -> None:
    path = pack({"Muster": bytes(range(256)) * 10})
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(bytes(content))
    assert "Muster" not in refused(path, "the zip is damaged", within)


def test_a_dicom_file_that_begins_like_a_zip_is_none(tmp_path: Path) -> None:
    path, out = tmp_path / "file", io.BytesIO()
    out.write(b"PK\x03\x04".ljust(128, b"\0") + b"DICM")
    path.write_bytes(out.getvalue())
    with unpacked(path) as same:
        assert same == path
