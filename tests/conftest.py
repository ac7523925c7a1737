"""Shared fixtures: where the real data lie, a tiny data set, and Python in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
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
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny data set in the Decathlon's layout: bright blobs in noise, two scans a person."""
    folder = tmp_path_factory.mktemp("blobs")
    rng = np.random.default_rng(0)
    (folder / "imagesTr").mkdir()
    (folder / "labelsTr").mkdir()
    rows = []
    for number in range(1, 17):
        centre = rng.integers(5, 11, 3)
        grid = np.stack(np.meshgrid(*[np.arange(16)] * 3, indexing="ij"))
        label = (np.linalg.norm(grid - centre[:, None, None, None], axis=0) < 4).astype(np.uint8)
        image = (100 * label + rng.normal(0, 20, label.shape)).astype(np.float32)
        name = f"blob_{number:03d}.nii.gz"
        nib.save(nib.Nifti1Image(image, np.eye(4)), folder / "imagesTr" / name)
        nib.save(nib.Nifti1Image(label, np.eye(4)), folder / "labelsTr" / name)
        rows.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    description = {
        "name": "Blobs",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "blob"},
        "training": rows,
        "test": [],
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


@pytest.fixture(scope="session")
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``python -c code`` in a fresh process: ``python(code, env=None, cwd=None)``."""

    def run(code: str, env: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=120)

    return run
