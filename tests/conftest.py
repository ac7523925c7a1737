"""Shared fixtures: where the real data lie, and where medswin's own command is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real scans: $MEDSWIN_DATA, or shared/data beside the checkout; the test is skipped without it."""
    folder = Path(os.environ.get("MEDSWIN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the real data: no folder {folder}; set MEDSWIN_DATA to where it is")
    return folder


@pytest.fixture(scope="session")
def hippocampus_dir(data_dir: Path) -> Path:
    """The hippocampus data set in the Decathlon's layout; the test is skipped without it."""
    folder = data_dir / "hippocampus"
    if not (folder / "dataset.json").is_file():
        pytest.skip(f"needs the hippocampus data: no {folder / 'dataset.json'}; set MEDSWIN_DATA to where it is")
    return folder


@pytest.fixture(scope="session")
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``python -c code`` in a fresh process: ``python(code, env=None, cwd=None)``."""

    def run(code: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=120)

    return run
