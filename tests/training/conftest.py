"""A run on a tiny data set, and one thread for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest
import torch
import yaml


@pytest.fixture(scope="package", autouse=True)
def one_thread():
    """Sums depend on the number of threads: runs that must agree to the last bit, in two processes, use one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def config_file(tmp_path_factory, blobs):
    values = {
        "name": "blobs",
        "data": {"folder": str(blobs), "group": {"by": "pairs"}, "validation": 0.15, "calibration": 0.25},
        "augmentation": {"name": "mri", "affine_probability": 0.5},
        "network": {
            "name": "swin_unetr",
            "feature_size": 12,
            "depths": [2],
            "window_size": 2,
            "dropout_path_rate": 0.2,
            "drop_rate": 0.1,
            "finest_width": 4,
        },
        "training": {"patch_size": [12, 12, 12], "max_steps": 6, "validate_every": 2, "key_images": 1},
        "window": {"mirror_axes": [0]},
        "tracking": {"uri": "off"},
    }
    path = tmp_path_factory.mktemp("config") / "blobs.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="session")
def kill_at_checkpoint():
    """``kill_at_checkpoint(folder, *words)``: begin a run there, and kill -9 it as soon as there is a checkpoint."""

    def kill(folder, *words):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        command = [sys.executable, "-m", "medswin", *words, "-o", ".", "--no-progress"]
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, **quiet)
        deadline = time.monotonic() + 120
        while not (folder / "last.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
        process.wait()
        assert (folder / "last.ckpt").exists()

    return kill
