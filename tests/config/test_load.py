"""Configs: what is wrong is named with its place and what could stand there."""

import pytest
import yaml

from medswin.config import check, load, load_any
from medswin.errors import ConfigError
from medswin.resources import configs_folder, shipped_configs

GOOD = {
    "name": "good",
    "network": {"name": "swin_unetr", "feature_size": 12},
    "training": {"patch_size": [32, 32, 64]},
}


@pytest.fixture
def write(tmp_path):
    def to_file(values):
        path = tmp_path / "config.yaml"
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
        return path

    return to_file


@pytest.mark.parametrize("name", shipped_configs())
def test_every_shipped_config_is_sound(name):
    assert load_any(configs_folder() / name).name


def test_overrides_are_read_as_yaml_and_reach_their_place(write):
    config = load(write(GOOD), ["training.max_steps=7", "network.depths=[1, 1]", "tracking.uri=null", "data.seed=3"])
    assert (config.training.max_steps, config.network["depths"], config.data.seed) == (7, [1, 1], 3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimizer": {}}, r"optimizer is not a key; known there: name, version"),
        ({"data": {"fold": 1}}, r"data.fold is not a key; known there: folder, group"),
        ({"training": {"patch_size": [8, 8, 8], "lr": 1}}, r"training.lr is not a key; known there: patch_size"),
        ({"training": {"patch_size": [8, 8]}}, r"training.patch_size"),
        ({"training": {"patch_size": [8, 8, 8], "max_steps": 0}}, r"training.max_steps: must be at least 1, got 0"),
        ({"network": {"name": "unet"}}, r"network: no network is registered as 'unet'.*swin_unetr"),
        ({"network": {"name": "swin_unetr", "width": 3}}, r"'swin_unetr' has no parameter 'width'"),
        (
            {"network": {"name": "swin_unetr", "in_channels": 3}},
            r"'in_channels' of network 'swin_unetr' is set by the run",
        ),
        ({"augmentation": {"name": "mri", "patch_size": [8, 8, 8]}}, r"'patch_size' of .* is set by the run"),
        ({"network": {}}, r"network: name is missing; use one of"),
        ({"loss": {"name": "focal"}}, r"no loss is registered as 'focal'.*dice_ce"),
        ({"augmentation": {"name": "mri", "flip": 1}}, r"'mri' has no parameter 'flip'"),
        ({"ood": {"detectors": ["magic"]}}, r"registered as 'magic'.*knn, mahalanobis"),
        ({"preprocessing": {"spacing_mm": [1, 1, -1]}}, r"spacing_mm must be three positive numbers"),
        ({"preprocessing": {"spacing": 1}}, r"preprocessing.spacing is not a key; known there: spacing_mm, intensity"),
        ({"window": {"overlap": 1.0}}, r"window.overlap: Input should be less than 1, got 1.0"),
        ({"name": "../up"}, r"name: String should match pattern"),
    ],
)
def test_what_is_wrong_is_named(write, change, words):
    with pytest.raises(ConfigError, match=words) as caught:
        load(write(GOOD | change))
    assert "config.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_key_in_a_list_is_named(write):
    structure = {"dataset_name": "A", "name": "a", "colour": 1}
    with pytest.raises(ConfigError, match=r"structures.0.colour is not a key; known there: dataset_name, name, color"):
        load(write(GOOD | {"structures": [structure]}))


def test_tracking_can_be_switched_off_by_yamls_off(write):
    assert load(write(GOOD), ["tracking.uri=off"]).tracking.uri == "off"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        (
            "training.patch_size=[33, 32, 32]",
            r"training.patch_size: \(33, 32, 32\) must be divisible by .*\(32, 32, 32\)",
        ),
        ("training.patch_size=[32, 32, 32]", r"training.patch_size: .* one voxel, over which .* fewer stages"),
        ("window.roi_size=[0, 32, 32]", r"window.roi_size"),
        ("network.feature_size=50", r"50 channels cannot be shared among 3 heads"),
        ("network.feature_size=abc", r"network: cannot be built"),
        ("ood.stages=[9]", r"ood.stages: the network has the stages 0 to 5"),
        ("ood.detectors=[{name: knn, params: {k: 0}}]", r"k"),
        ("window.mirror_axes=[7]", r"mirror_axes must be different axes"),
        ("data.group={by: magic}", r"magic"),
    ],
)
def test_what_loads_but_cannot_be_built_is_found_by_check(write, override, words):
    check(load(write(GOOD)))
    with pytest.raises(ConfigError, match=words):
        check(load(write(GOOD), [override]))


def test_files_that_hold_no_config(write, tmp_path):
    for text, words in (("- a\n- b", "holds no keys"), ("a: [1", "is not YAML"), ("", "holds no keys")):
        with pytest.raises(ConfigError, match=words):
            load(write(text))
    with pytest.raises(ConfigError, match=r"nowhere.yaml: cannot be read"):
        load(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("override", ["max_steps", "=3", "training..x=1", "name.x=1", "training.max_steps=[1"])
def test_overrides_that_cannot_be_read(write, override):
    with pytest.raises(ConfigError, match="--set"):
        load(write(GOOD), [override])
