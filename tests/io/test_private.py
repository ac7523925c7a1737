"""The hidden part of a folder of results is its owner's alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from medswin.io.private import keep_origins, naming_key, private_folder


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_folder_that_was_open_is_closed(tmp_path: Path) -> None:
    """As one that was copied, or unpacked."""
    hidden = tmp_path / ".private"
    key = naming_key(tmp_path)
    assert mode(hidden) == 0o700
    hidden.chmod(0o755)
    assert naming_key(tmp_path) == key
    assert mode(hidden) == 0o700
    hidden.chmod(0o770)
    keep_origins(tmp_path, {"a": {"files": []}})
    assert mode(hidden) == 0o700


def test_what_is_not_ours_is_left_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    (tmp_path / ".private").symlink_to(shared)
    assert mode(private_folder(tmp_path)) == 0o755
    (tmp_path / "out" / ".private").mkdir(parents=True)
    (tmp_path / "out" / ".private").chmod(0o755)
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert mode(private_folder(tmp_path / "out")) == 0o755
