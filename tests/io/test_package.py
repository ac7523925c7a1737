"""Model packages: what is written comes back, and what is not whole is refused."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medswin.errors import InputError, PackageError
from medswin.io import FORMAT_VERSION, list_zoo, package, read_package, write_package, zip_package

MODEL: dict[str, Any] = {
    "format_version": FORMAT_VERSION, "name": "tiny", "version": "1", "network": {"name": "n", "params": {"width": 4}},
    "preprocessing": {"spacing_mm": None}, "labels": [{"value": 1, "name": "a"}], "channels": ["MRI"],
    "window": {"roi_size": [8, 8, 8]}, "fingerprint": {}, "medswin_version": "0", "licence": "CC0",
}  # fmt: skip
STATE = {
    "half": torch.tensor([[1.0, 65504.0], [2**-24, -0.0]], dtype=torch.float16),
    "full": torch.arange(6, dtype=torch.float32).reshape(2, 3).T,  # not contiguous
    "index": torch.tensor([3, -1]),
}
JUDGE = {"ood_json": {"limit": 0.5}, "ood_tensors": {"mean": torch.tensor([1.0, 2.0], dtype=torch.float64)}}
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(name, model={changes}, **parts)`` -> folder of a small package."""

    def make(name: str = "tiny", model: dict[str, Any] | None = None, **parts: Any) -> Path:
        given = {"state": STATE, "metrics": {"dice": 0.9}, "card": "# Tiny ä\n", **JUDGE, **parts}
        write_package(tmp_path / name, model=MODEL | (model or {}), **given)
        return tmp_path / name

    return make


def resign(folder: Path) -> None:
    """Make SHA256SUMS fit the files that are there."""
    names = sorted(p.name for p in folder.iterdir() if p.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def pack(folder: Path, out: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, prefix + path.name)
    return out


def test_it_comes_back_bit_for_bit(write: Write) -> None:
    folder = write()
    read = read_package(folder)
    assert (read.model, read.metrics, read.card, read.name) == (MODEL, {"dice": 0.9}, "# Tiny ä\n", "tiny")
    assert read.ood_json == JUDGE["ood_json"]
    for stored, true in ((read.state, STATE), (read.ood_tensors, JUDGE["ood_tensors"])):
        assert {name: t.dtype for name, t in stored.items()} == {name: t.dtype for name, t in true.items()}
        assert all(torch.equal(stored[name], true[name]) for name in true)
    assert read.id == hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=8), st.lists(st.floats(width=16, allow_nan=False), max_size=5)))
def test_weights_in_fp16_are_stored_as_they_are(tmp_path_factory: Any, weights: dict[str, list[float]]) -> None:
    weights.pop("__metadata__", None)  # the format's own key
    folder = tmp_path_factory.mktemp("p") / "tiny"
    state = {name: torch.tensor(values, dtype=torch.float16) for name, values in weights.items()}
    write_package(folder, model=MODEL, state=state, metrics={}, card="")
    read = read_package(folder).state
    assert read.keys() == state.keys()
    assert all(read[name].numpy().tobytes() == state[name].numpy().tobytes() for name in state)


def test_the_id_is_returned_and_speaks_for_the_content(write: Write, tmp_path: Path) -> None:
    first, second, other = write("a"), write("b"), write("c", card="other")
    assert read_package(first).id == read_package(second).id != read_package(other).id
    identity = write_package(tmp_path / "d", model=MODEL, state=STATE, metrics={}, card="")
    assert identity == read_package(tmp_path / "d").id


def test_tied_weights_and_a_model_without_judge(write: Write) -> None:
    tied = torch.ones(3)
    read = read_package(write(state={"a": tied, "b": tied}, ood_json=None, ood_tensors={}))
    assert torch.equal(read.state["b"], tied)
    assert (read.ood_json, read.ood_tensors) == (None, {})


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")
def test_sha256sum_agrees(write: Write) -> None:
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=write(), capture_output=True, text=True
    )
    assert done.returncode == 0
    assert done.stdout.count(": OK") == 6


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.json", "metrics.json", "MODEL_CARD.md", "ood.json", "SHA256SUMS"]
)
def test_a_flipped_bit_anywhere_is_found(write: Write, name: str) -> None:
    folder = write()
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(PackageError, match=r"is damaged|is missing") as caught:
        read_package(folder)
    assert str(folder) in str(caught.value)
    assert "Repair: get the package again" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "model.json", "metrics.json", "MODEL_CARD.md", "ood.json", "ood.safetensors"]
)
def test_a_missing_file_is_named_listed_or_not(write: Write, name: str) -> None:
    folder = write()
    (folder / name).unlink()
    with pytest.raises(PackageError, match=f"{name} is missing"):
        read_package(folder)
    resign(folder)
    with pytest.raises(PackageError, match=f"{name} is missing"):
        read_package(folder)


def test_half_a_package_is_none(write: Write) -> None:
    folder = write()
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(PackageError, match="no SHA256SUMS in it"):
        read_package(folder)


def test_files_that_nobody_listed_are_refused_but_for_those_of_file_managers(write: Write) -> None:
    folder = write()
    (folder / ".DS_Store").write_text("x")
    assert read_package(folder).name == "tiny"
    (folder / "run.py").write_text("x")
    with pytest.raises(PackageError, match=r"run\.py is not listed in SHA256SUMS"):
        read_package(folder)
    (folder / "run.py").unlink()
    (folder / "sub").mkdir()
    with pytest.raises(PackageError, match="sub in it is no file"):
        read_package(folder)


@pytest.mark.parametrize(
    "line", ["xyz", "0" * 64 + "  ../evil", "0" * 64 + "  sub/file", "0" * 63 + "  a", "0" * 64 + "  model.json"]
)
def test_odd_lines_in_the_sums(write: Write, line: str) -> None:
    folder = write()
    with (folder / "SHA256SUMS").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(PackageError, match="SHA256SUMS is damaged"):
        read_package(folder)


@pytest.mark.parametrize("signed", [True, False])
def test_a_newer_format_is_said_before_anything_else(write: Write, signed: bool) -> None:
    folder = write()
    (folder / "model.json").write_text(json.dumps({"format_version": FORMAT_VERSION + 1}))
    (folder / "new_file").touch()
    if signed:
        resign(folder)
    with pytest.raises(PackageError, match=r"format version is 2, this medswin reads up to 1\. Repair: update"):
        read_package(folder)


@pytest.mark.parametrize(
    "change", [{"format_version": 0}, {"format_version": "1"}, {"format_version": True}, {"name": None}, {"window": 3}]
)
def test_descriptions_that_lack_something(write: Write, change: dict[str, Any]) -> None:
    folder = write()
    (folder / "model.json").write_text(json.dumps(MODEL | change))
    resign(folder)
    with pytest.raises(PackageError, match=f"format_version must be|lacks {next(iter(change))}"):
        read_package(folder)


@pytest.mark.parametrize(
    ("name", "content"), [("model.safetensors", b"junk"), ("metrics.json", b"{"), ("MODEL_CARD.md", b"\xff")]
)
def test_files_that_are_listed_but_cannot_be_read(write: Write, name: str, content: bytes) -> None:
    folder = write()
    (folder / name).write_bytes(content)
    resign(folder)
    with pytest.raises(PackageError, match="cannot be read"):
        read_package(folder)


def test_what_must_not_be_written(write: Write, tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="lacks network"):
        write(model={"network": None})
    with pytest.raises(PackageError, match="format_version must be"):
        write(model={"format_version": 2})
    with pytest.raises(PackageError, match="go together"):
        write(ood_tensors={})
    with pytest.raises(InputError, match=r"metrics\.json: cannot be put into JSON"):
        write(metrics={"dice": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_other_peoples_folders_are_left_alone(write: Write, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    (tmp_path / "mine" / "SHA256SUMS").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("mine", "file"):
        with pytest.raises(PackageError, match="exists and is no model package"):
            write(name)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"
    (tmp_path / "empty").mkdir()
    assert read_package(write("empty")).name == "tiny"
    assert read_package(write("empty", card="new")).card == "new"  # a package is replaced


def test_a_full_disk_leaves_the_package_that_was_there(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write()
    written = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "ood.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return written(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        write(card="new")
    assert read_package(folder).card == "# Tiny ä\n"
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, to have a process to kill")
def test_a_kill_leaves_nothing_that_looks_like_a_package(write: Write, tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        written = Path.write_bytes

        def die(self: Path, data: bytes) -> int:
            if self.name == "SHA256SUMS":
                os.kill(os.getpid(), signal.SIGKILL)
            return written(self, data)

        Path.write_bytes = die  # type: ignore[method-assign]
        write()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".tmp-")
    for name in (tmp_path / "tiny", left):
        with pytest.raises(PackageError):
            read_package(name)
    assert read_package(write()).name == "tiny"


def test_pins(write: Write) -> None:
    folder = write()
    identity = read_package(folder).id
    for pin in (identity, identity[:12], identity.upper()):
        assert read_package(f"{folder}@sha256:{pin}").id == identity
    for pin in ("0" * 64, identity[:11], "", identity + "0", "zz"):
        with pytest.raises(PackageError, match=f"its id is {identity}, not"):
            read_package(f"{folder}@sha256:{pin}")


def test_zips_hold_the_same_package(write: Write, tmp_path: Path) -> None:
    folder = write()
    for name in ("a.zip", "b.zip"):
        zip_package(folder, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert read_package(tmp_path / "a.zip").id == read_package(folder).id
    pack(folder, tmp_path / "c.zip", "tiny/")
    with zipfile.ZipFile(tmp_path / "c.zip", "a") as archive:
        archive.writestr("__MACOSX/._model.json", "x")
        archive.writestr("tiny/.DS_Store", "x")
    assert read_package(tmp_path / "c.zip").id == read_package(folder).id
    assert stat.S_IMODE((tmp_path / "a.zip").stat().st_mode) & 0o444 == 0o444


def test_a_damaged_package_is_not_zipped(write: Write, tmp_path: Path) -> None:
    folder = write()
    (folder / "MODEL_CARD.md").write_text("changed")
    with pytest.raises(PackageError, match="damaged"):
        zip_package(folder, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:\\evil", "a\\b"])
def test_zips_that_lead_astray(write: Write, tmp_path: Path, name: str) -> None:
    path = pack(write(), tmp_path / "a.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(PackageError, match="leads out of the zip"):
        read_package(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "tiny"]


def test_zips_with_names_twice_or_in_several_folders(write: Write, tmp_path: Path) -> None:
    folder = write()
    for i, name in enumerate(["model.json", "other/model.json", "other/x"]):
        path = pack(folder, tmp_path / f"{i}.zip")
        with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings(action="ignore"):
            archive.writestr(name, "x")
        with pytest.raises(PackageError, match="do not lie in one folder, or some twice"):
            read_package(path)


@pytest.mark.parametrize("spoil", ["cut", "flip", "text", "empty"])
def test_zips_that_are_damaged(write: Write, tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "a.zip"
    zip_package(write(), path)
    whole = path.read_bytes()
    flipped = whole[:46] + bytes([whole[46] ^ 0xFF]) + whole[47:]  # in the first file's data
    path.write_bytes({"cut": whole[:-30], "flip": flipped, "text": b"hello", "empty": b""}[spoil])
    with pytest.raises(PackageError, match=r"a\.zip: is no intact zip of a package"):
        read_package(path)


def test_names_mean_shipped_models_and_paths_mean_places(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = write("zoo/tiny", model={"version": "shipped"})
    write("zoo/.tmp-1-tiny")
    (tmp_path / "zoo" / "notes").mkdir()
    monkeypatch.setattr(package, "ZOO", tmp_path / "zoo")
    monkeypatch.chdir(tmp_path)
    assert list_zoo() == ["tiny"]
    write("tiny", model={"version": "mine"})
    assert read_package("tiny").model["version"] == "shipped"
    assert read_package(f"tiny@sha256:{read_package(shipped).id}").model["version"] == "shipped"
    assert read_package("./tiny").model["version"] == "mine"
    assert read_package(Path("tiny")).model["version"] == "mine"
    for name in ("nobody", ""):
        with pytest.raises(PackageError, match=r"no such model\. Repair: give a path or one of: tiny"):
            read_package(name)
