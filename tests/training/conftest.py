"""A tiny data set in the Decathlon's layout: bright blobs in noise, two scans a person."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
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
def blobs(tmp_path_factory):
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
