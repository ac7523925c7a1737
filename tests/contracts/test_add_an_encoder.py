"""A new encoder is one file (toy_encoder.py) and one line, and then trains, packs and predicts like any other."""

import numpy as np
import pytest
import torch
import yaml
from toy_encoder import ToyEncoder

from medswin.config import load, train
from medswin.errors import ConfigError, PackageError
from medswin.inference import Predictor
from medswin.io import read_labels, read_package
from medswin.metrics import dice
from medswin.networks import ENCODERS
from medswin.networks.segmenter import Segmenter


@pytest.fixture(scope="module")
def registered():
    ENCODERS.add("toy", ToyEncoder)  # the one line
    yield
    ENCODERS.remove("toy")


@pytest.fixture(scope="module")
def config_file(tmp_path_factory, blobs):
    values = {
        "name": "toy",
        "data": {"folder": str(blobs), "group": {"by": "pairs"}, "validation": 0.15, "calibration": 0.25},
        "network": {
            "name": "segmenter",
            "encoder": {"name": "toy", "width": 8},
            "decoder": {"name": "unetr", "finest_width": 4},
        },
        "training": {"patch_size": [16, 16, 16], "max_steps": 60, "validate_every": 30, "learning_rate": 0.01,
                     "ema_decay": 0.9, "key_images": 0},
        "tracking": {"uri": "off"},
    }  # fmt: skip
    path = tmp_path_factory.mktemp("config") / "toy.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture(scope="module")
def package(registered, config_file, tmp_path_factory):
    threads = torch.get_num_threads()
    yield train(load(config_file), out=tmp_path_factory.mktemp("run"), progress=False)
    torch.set_num_threads(threads)


def test_it_trains_into_a_package_that_names_it(package):
    read = read_package(package)
    assert read.model["network"] == {
        "name": "segmenter",
        "params": {
            "in_channels": 1,
            "out_channels": 2,
            "encoder": {"name": "toy", "width": 8},
            "decoder": {"name": "unetr", "finest_width": 4},
        },
    }
    assert tuple(read.state["encoder.down.weight"].shape) == (16, 8, 2, 2, 2)


def test_the_package_segments_and_judges(package, blobs):
    predictor = Predictor.load(package)
    assert isinstance(predictor.model.network, Segmenter)
    assert isinstance(predictor.model.network.encoder, ToyEncoder)
    cases = [f"blob_{number:03d}.nii.gz" for number in range(1, 17)]
    found = [predictor(blobs / "imagesTr" / case) for case in cases]
    truth = [read_labels(blobs / "labelsTr" / case) for case in cases]
    assert np.mean([dice(ours.labels == 1, theirs == 1) for ours, theirs in zip(found, truth, strict=True)]) > 0.8
    assert {ours.ood.people for ours in found} == {2}
    assert np.isfinite([ours.ood.score for ours in found]).all()


def test_without_the_line_its_package_says_what_is_missing(package, python):
    code = f"""
from medswin.errors import PackageError
from medswin.inference import Predictor
try:
    Predictor.load({str(package)!r})
except PackageError as error:
    print(error)
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "model package" in said
    assert "no encoder is registered as 'toy'" in said
    assert "import the code that adds it first" in said


def test_what_was_added_is_taken_back(package, config_file):
    ENCODERS.remove("toy")
    try:
        with pytest.raises(PackageError, match="no encoder is registered as 'toy'"):
            Predictor.load(package)
        with pytest.raises(ConfigError, match=r"network: no encoder is registered as 'toy'"):
            train(load(config_file), progress=False)
    finally:
        ENCODERS.add("toy", ToyEncoder)
