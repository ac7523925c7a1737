"""A model package small enough to be made and run in a moment, and a command line that runs in this process."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from medswin.cli import app
from medswin.io.nifti import write_image
from medswin.io.package import write_package
from medswin.labels import LabelSet
from medswin.networks import build
from medswin.transforms import Preprocessing

Outcome = tuple[int, str, str]


@pytest.fixture
def medswin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """``medswin(*words) -> (exit status, stdout, stderr)``; a wide screen, so that no table is folded."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> Outcome:
        capsys.readouterr()
        status = app.run([str(word) for word in words])
        seen = capsys.readouterr()
        return status, seen.out, seen.err

    return run


@pytest.fixture(scope="session")
def tiny_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with an untrained network for 16x16x16 windows, two structures and no detector."""
    torch.manual_seed(0)
    params = {"in_channels": 1, "out_channels": 3, "feature_size": 12, "depths": [1, 1], "num_heads": [1, 2]}
    model = {
        "name": "tiny",
        "version": "0.0.1",
        "licence": "CC0-1.0",
        "network": {"name": "swin_unetr", "params": {**params, "window_size": 2}},
        "preprocessing": Preprocessing(None).to_json(),
        "labels": LabelSet.from_names(["front", "back"]).to_json(),
        "channels": ["T1"],
        "window": {"roi_size": [16, 16, 16], "overlap": 0.0, "mode": "gaussian", "mirror_axes": []},
        "fingerprint": {},
        "medswin_version": "0.1.0",
    }
    state = build("swin_unetr", **model["network"]["params"]).state_dict()
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_package(folder, model=model, state=state, ood_json=None, ood_tensors={}, metrics={}, card="# tiny\n")
    return folder


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with one scan, ``good.nii.gz``, of 10x9x8 voxels."""
    folder = tmp_path / "scans"
    folder.mkdir()
    noise = np.random.default_rng(0).normal(size=(10, 9, 8)).astype(np.float32)
    write_image(folder / "good.nii.gz", noise, np.eye(4))
    return folder
