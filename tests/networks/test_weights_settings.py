"""What a state dict of MONAI's tells of its network's settings, and what has to be said."""

import pytest
from foreign_nets import SETTINGS, SMALL, in_our_words, monai, only_encoder, ours, prefixed
from monai.networks.nets import SwinUNETR as MonaiSwinUNETR

from medswin.errors import WeightsError
from medswin.networks.weights import load_monai_swin_unetr, monai_settings


@pytest.fixture(scope="module")
def full():
    return monai().state_dict()


@pytest.mark.parametrize("params", [*SETTINGS, {"norm_name": "batch"}, {"window_size": (2, 3, 4)}])
def test_a_state_dict_tells_its_settings(params):
    defaults = {"in_channels": 1, "out_channels": 2, "num_heads": (3, 6, 12, 24), "patch_size": 2, "mlp_ratio": 4.0}
    defaults |= {"qkv_bias": True, "patch_norm": False, "stage_conv": False}
    expected = {**defaults, **SMALL, **in_our_words(params)}
    assert monai_settings(prefixed(monai(**params).state_dict(), "module.")) == expected


@pytest.mark.parametrize("window", [(7, 5, 3), (3, 5, 7), (2, 2, 3), (1, 1, 6), 1])
def test_any_window_is_told_by_its_index(window):
    assert monai_settings(monai(window_size=window).state_dict())["window_size"] == window


def test_windows_that_differ_between_stages_are_told_per_stage():
    last = {name: t for name, t in monai(window_size=(2, 3, 4)).state_dict().items() if ".layers4." in name}
    state = {**monai().state_dict(), **last}
    settings = monai_settings(state)
    assert settings["window_size"] == ((3, 3, 3), (3, 3, 3), (3, 3, 3), (2, 3, 4))
    assert load_monai_swin_unetr(ours(window_size=settings["window_size"]), state).missing == ()


def test_a_window_without_an_index_is_told_where_it_is_a_cube():
    cube = {name: t for name, t in monai().state_dict().items() if "_index" not in name}
    assert monai_settings(cube)["window_size"] == 3
    oblong = {name: t for name, t in monai(window_size=(2, 3, 4)).state_dict().items() if "_index" not in name}
    with pytest.raises(WeightsError, match=r"of 105 rows is of no cubic window.*window_size=\[7,5,3\]"):
        monai_settings(oblong)
    assert monai_settings(oblong, given={"window_size": (2, 3, 4)})["window_size"] == (2, 3, 4)
    with pytest.raises(WeightsError, match="of 125 rows is of no cubic window"):
        monai_settings({name: t.flip(0) if "_index" in name else t for name, t in monai().state_dict().items()})


@pytest.mark.parametrize("norm", [("group", {"num_groups": 4}), ("instance", {"affine": True})])
def test_a_norm_that_no_file_tells_is_asked_for(norm):
    state = monai(norm_name=norm).state_dict()
    with pytest.raises(WeightsError, match=r"norm of its decoder.*--set 'norm_name=\[group, {num_groups: 4}\]'"):
        monai_settings(state)
    settings = monai_settings(state, given={"norm_name": norm})
    assert settings["norm_name"] == norm
    assert load_monai_swin_unetr(ours(**settings), state).missing == ()


def test_what_is_given_wins_even_where_it_is_none():
    settings = monai_settings(monai().state_dict(), given={"finest_width": None, "mlp_ratio": 2.0})
    assert (settings["finest_width"], settings["mlp_ratio"]) == (None, 2.0)


def test_an_unknown_prefix_is_the_reason_given(full):
    with pytest.raises(WeightsError, match="behind the prefix '_model'"):
        monai_settings(prefixed(full, "_model."))
    with pytest.raises(WeightsError, match=r"behind the prefix 'seg'.*take 'seg\.' off the names$"):
        monai_settings({f"seg.{name}" if name.startswith("out.") else name: t for name, t in full.items()})


def test_settings_that_cannot_be_told_are_asked_for(full):
    with pytest.raises(WeightsError, match="tells no out_channels"):
        monai_settings(only_encoder(full))
    flat = MonaiSwinUNETR(1, 2, feature_size=12, spatial_dims=2, depths=(1, 1, 1, 1))
    with pytest.raises(WeightsError, match="2D"):
        monai_settings(flat.state_dict())
