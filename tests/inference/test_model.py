"""From a network to a package to a predictor: the same labels, and clear words where parts do not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medswin import networks
from medswin.errors import PackageError
from medswin.inference import Model, Predictor
from medswin.io.package import FORMAT_VERSION, Package, read_package, write_package
from medswin.io.scan import Scan
from medswin.labels import LabelSet
from medswin.transforms import Preprocessing

PARAMS = {"in_channels": 1, "out_channels": 3, "feature_size": 6, "depths": [1], "num_heads": [1]}


def described() -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "name": "tiny",
        "version": "0.1.0",
        "licence": "none",
        "network": {"name": "swin_unetr", "params": PARAMS},
        "preprocessing": Preprocessing((1.0, 1.0, 1.0)).to_json(),
        "labels": LabelSet.from_names(["a", "b"]).to_json(),
        "channels": ["MRI"],
        "window": {"roi_size": [8, 8, 8], "overlap": 0.5, "mode": "gaussian", "mirror_axes": [0]},
        "fingerprint": {},
        "medswin_version": "0",
    }


def weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        k: v.half() if v.is_floating_point() else v
        for k, v in networks.build("swin_unetr", **PARAMS).state_dict().items()
    }


def package(**changes: Any) -> Package:
    return Package({**described(), **changes}, weights(), None, {}, {}, "", "ab" * 32, "tiny")


def test_a_package_predicts_what_its_network_does(tmp_path: Path) -> None:
    """One window, no mirroring: the labels are the argmax of the network, with the weights rounded to fp16."""
    identity = write_package(tmp_path / "tiny", model=described(), state=weights(), metrics={}, card="# tiny")
    image = np.random.default_rng(0).normal(size=(8, 8, 8))
    network = networks.build("swin_unetr", **PARAMS).eval()
    network.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights().items()})
    prepared = Preprocessing((1.0, 1.0, 1.0))(Scan.from_array(image, np.eye(4)).image).as_tensor()[None]
    with torch.inference_mode():
        expected = network(prepared)[0].argmax(0).numpy()
    for precision in ("fp32", "auto"):
        found = Predictor.load(tmp_path / "tiny", precision=precision, mirror=False)(Scan.from_array(image, np.eye(4)))
        agreement = 1.0 if found.provenance["precision"] == "fp32" else 0.98
        assert (found.labels == expected).mean() >= agreement
    assert found.provenance["package"] == identity
    assert sorted(np.unique(expected)) == [0, 1, 2]  # else the test could not fail


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": {"name": "hovercraft", "params": {}}}, "no network is registered as 'hovercraft'"),
        ({"network": {"name": "swin_unetr", "params": {**PARAMS, "eels": 1}}}, "no parameter 'eels'"),
        ({"network": {"name": "swin_unetr"}}, "'params'"),
        ({"network": {"name": "swin_unetr", "params": {**PARAMS, "feature_size": 12}}}, "weights do not fit"),
        ({"preprocessing": {"intensity": {"name": "alchemy"}}}, "alchemy"),
        ({"window": {"roi_size": [8, 8, 8], "overlap": 2}}, "overlap"),
        ({"window": {"roi_size": [8, 8, 8], "wings": 2}}, "no argument 'wings'"),
        ({"window": {}}, "roi_size"),
        (
            {"window": {"roi_size": [8, 9, 8]}},
            r"windows of \[8, 9, 8\] voxels are not divisible by the network's \(4, 4, 4\)",
        ),
        ({"window": {"roi_size": 9}}, "windows of 9 voxels are not divisible"),
        ({"window": {"roi_size": [8, 8]}}, "2 values for 3 spatial axes"),
        ({"labels": LabelSet.from_names(["a"]).to_json()}, "has 3 outputs, its description says 1 and 2"),
        ({"labels": [{"name": "a"}]}, "cannot be built"),
        ({"channels": ["T1", "T2"]}, "takes 1 channels"),
    ],
)
def test_parts_that_do_not_fit_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PackageError, match=f"model package tiny: .*{words}"):
        Model.build(package(**changes))


@pytest.mark.parametrize("damage", ["missing", "extra", "shape"])
def test_weights_that_do_not_fit_are_named(damage: str) -> None:
    state = weights()
    if damage == "missing":
        del state["head.bias"]
    elif damage == "extra":
        state["tail.bias"] = torch.zeros(3)
    else:
        state["head.bias"] = torch.zeros(4)
    with pytest.raises(PackageError, match=r"1 weights do not fit .* (head|tail).bias"):
        Model.build(dataclasses.replace(package(), state=state))


def test_a_judge_that_is_damaged_is_named() -> None:
    with pytest.raises(PackageError, match="model package tiny"):
        Model.build(dataclasses.replace(package(), ood_json={"format_version": 1}))


def test_the_network_is_ready_for_use() -> None:
    network = Model.build(package()).network
    assert not network.training
    assert not any(p.requires_grad for p in network.parameters())
    assert {p.dtype for p in network.parameters()} == {torch.float32}


def test_reading_a_package_that_is_not_there() -> None:
    with pytest.raises(PackageError, match="no such model"):
        Predictor.load("hippocampotamus")
    with pytest.raises(PackageError):
        read_package(Path("hippocampotamus"))
