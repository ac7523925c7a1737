"""The gate for MONAI's weights: every form in which they are published, and what does not fit."""

import argparse

import numpy as np
import pytest
import torch
from monai.networks.nets import SwinUNETR as MonaiSwinUNETR
from monai.networks.nets.swin_unetr import PatchMerging as MonaiMerging
from safetensors.torch import save_file

from medswin.errors import ConfigError, WeightsError
from medswin.networks import CSwinUNet, SwinUNETR
from medswin.networks.weights import load_monai_swin_unetr, monai_settings, read_weights, to_monai_state_dict
from medswin.networks.weights.channels import adapt_channels

SMALL = {"feature_size": 12, "depths": (1, 1, 1, 1), "window_size": 3}


def monai(in_channels=1, out_channels=2, **params):
    """MONAI's network with weights far from their initial values."""
    torch.manual_seed(0)
    net = MonaiSwinUNETR(in_channels, out_channels, **{**SMALL, **params}).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.02 * torch.randn_like(p))
    return net


def ours(in_channels=1, out_channels=2, compat="monai-1.5", **params):
    torch.manual_seed(1)
    return SwinUNETR(in_channels, out_channels, compat=compat, **{**SMALL, **params}).eval()


def snapshot(net):
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def full():
    return monai().state_dict()


@pytest.fixture(scope="module")
def plain(full):
    net = ours()
    load_monai_swin_unetr(net, full)
    return snapshot(net)


def only_encoder(state):
    return {name.removeprefix("swinViT."): t for name, t in state.items() if name.startswith("swinViT.")}


def fc(state):
    return {name.replace("mlp.linear", "mlp.fc"): tensor for name, tensor in state.items()}


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def tang(state):
    """model_swinvit.pt: encoder alone, fc1 and fc2, its final norm and the heads of its tasks."""
    heads = {
        "rotation_head.weight": torch.ones(4, 192),
        "convTrans3d.weight": torch.ones(2),
        "norm.bias": torch.ones(3),
    }
    return {"epoch": 3, "state_dict": prefixed({**fc(only_encoder(state)), **heads}, "module.")}


def disruptive(state):
    """ssl_pretrained_weights.pth: ``encoder.`` and a doubled 0, with a mask token; decoder as MONAI names it."""
    encoder = {n.replace(".0.", ".0.0.", 1) if "layers" in n else n: t for n, t in only_encoder(state).items()}
    extras = {"mask_token": torch.ones(1, 12), "norm.weight": torch.ones(192)}
    rest = {name: tensor for name, tensor in state.items() if not name.startswith("swinViT.")}
    return {"model": {**prefixed({**encoder, **extras}, "encoder."), **rest}}


def renamed(state, ours_to_theirs):
    return {name.replace("swinViT.", ours_to_theirs): tensor for name, tensor in state.items()}


FORMS = {
    "bare": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 1},
    "network_weights": lambda s: {"network_weights": s, "init_args": {"a": [1]}},
    "net": lambda s: {"net": prefixed(s, "module.")},
    "model.state_dict": lambda s: {"model": {"state_dict": s}},
    "student": lambda s: {"student": prefixed(s, "backbone."), "teacher": prefixed(zeros(s), "backbone.")},
    "teacher": lambda s: {"teacher": prefixed(s, "module.backbone.")},
    "nested prefixes": lambda s: {"state_dict": prefixed(s, "module.student.backbone.")},
    "lightning": lambda s: {"state_dict": prefixed(s, "model.net.")},
    "compiled": lambda s: prefixed(s, "_orig_mod."),
    "swin_vit": lambda s: {"model": renamed(s, "swin_vit.")},
    "network": lambda s: prefixed(renamed(s, "encoder.swinViT."), "network."),
    "disruptive": disruptive,
    "fc": lambda s: {"state_dict": fc(s)},
}
ENCODER_FORMS = {
    "tang": tang,
    "backbone": lambda s: {"network_weights": prefixed(only_encoder(s), "backbone.")},
    "swinViT": lambda s: {"net": prefixed(only_encoder(s), "swinViT.")},
    "swin_vit": lambda s: {"state_dict": prefixed(only_encoder(s), "module.swin_vit.")},
    "no prefix": only_encoder,
}


def zeros(state):
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_full_file_is_the_same_network(form, full, plain, tmp_path):
    torch.save(FORMS[form](full), tmp_path / "weights.pt")
    net = ours()
    report = load_monai_swin_unetr(net, tmp_path / "weights.pt")
    assert same(net.state_dict(), plain)
    assert (report.encoder_coverage, report.missing, report.adapted) == (1, (), ())
    assert all("index" in name or "mask_token" in name or "norm" in name for name in report.skipped)


@pytest.mark.parametrize("form", ENCODER_FORMS)
def test_every_form_of_an_encoder_leaves_the_decoder_fresh_and_says_so(form, full, plain):
    net = ours()
    fresh = snapshot(net)
    report = load_monai_swin_unetr(net, ENCODER_FORMS[form](full))
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, (plain if name.startswith("encoder.") else fresh)[name])
    assert report.encoder_coverage == 1
    assert set(report.missing) == {name for name in plain if not name.startswith("encoder.")}
    assert "100.0 %" in str(report)
    assert "decoder (" in str(report)


def test_the_report_tells_the_wrapper_and_what_was_skipped(full):
    report = load_monai_swin_unetr(ours(), tang(full))
    assert report.wrapper == "state_dict"
    assert {"module.rotation_head.weight", "module.convTrans3d.weight", "module.norm.bias"} <= set(report.skipped)
    assert "found under state_dict" in str(report)


def test_two_networks_under_one_name_are_refused(full):
    both = {**prefixed(full, "student."), **prefixed(zeros(full), "teacher.")}
    with pytest.raises(WeightsError, match=r"'student\..*' and 'teacher\..*' stand for the same tensor and differ"):
        load_monai_swin_unetr(ours(), both)
    twice = {**prefixed(full, "student."), **prefixed(full, "teacher.")}
    assert load_monai_swin_unetr(ours(), twice).missing == ()


@pytest.mark.parametrize(
    ("theirs", "here", "words"),
    [
        ({"depths": (1, 2, 1, 1)}, {}, r"have no place.*depths=\(1, 2, 1, 1\)"),
        ({}, {"depths": (1, 2, 1, 1)}, r"not in it.*depths=\(1, 1, 1, 1\)"),
        ({}, {"depths": (1, 1, 1)}, r"have no place|has shape"),
        ({}, {"depths": (2, 2, 2, 2)}, r"tensors are not in it"),
        ({"use_v2": True}, {}, r"have no place.*stage_conv=True"),
        ({"patch_norm": True}, {}, r"have no place.*patch_norm=True"),
        ({}, {"patch_norm": True}, r"not in it.*patch_norm=False"),
        ({"qkv_bias": False}, {}, r"not in it.*qkv_bias=False"),
        ({"window_size": 2}, {}, r"bias_table' has shape.*window_size=2"),
        ({"num_heads": (2, 4, 8, 16)}, {}, r"has shape.*num_heads=\(2, 4, 8, 16\)"),
        ({"mlp_ratio": 2.0}, {}, r"has shape.*mlp_ratio=2.0"),
        ({"feature_size": 24}, {}, r"has shape.*feature_size=24"),
        ({"norm_name": "batch"}, {}, r"decoder tensors have no place.*norm_name"),
        ({}, {"norm_name": "batch"}, r"decoder tensors are not in it.*norm_name"),
        ({}, {"finest_width": 8}, r"has shape"),
        ({"out_channels": 3}, {}, r'out\.conv.*has shape.*out_channels=3.*head="fresh"'),
        ({"in_channels": 4}, {}, r"patch_embed\.proj\.weight' has shape.*in_channels=4.*channels='repeat'"),
        ({}, {"in_channels": 4}, r"patch_embed\.proj\.weight' has shape.*in_channels=1.*channels='repeat'"),
        ({}, {"cosine": True}, r"MONAI's SwinUNETR has nothing like"),
    ],
)
def test_other_settings_are_named_and_nothing_changes(theirs, here, words):
    net = ours(**here)
    before = snapshot(net)
    with pytest.raises(WeightsError, match=words):
        load_monai_swin_unetr(net, monai(**theirs).state_dict())
    assert same(net.state_dict(), before)


def test_a_hole_in_the_encoder_is_reported_above_the_floor_and_refused_below(full):
    holed = {name: tensor for name, tensor in full.items() if ".layers1.0.blocks.0.norm1." not in name}
    report = load_monai_swin_unetr(ours(), holed)
    assert 0.999 < report.encoder_coverage < 1
    assert report.missing == ("encoder.stages.0.blocks.0.norm1.weight", "encoder.stages.0.blocks.0.norm1.bias")
    assert "among them encoder.stages.0.blocks.0.norm1.weight" in str(report)
    with pytest.raises(WeightsError, match=r"2 of \d+ encoder tensors are not in it"):
        load_monai_swin_unetr(ours(), holed, floor=1.0)
    decoder_alone = {name: tensor for name, tensor in full.items() if not name.startswith("swinViT.")}
    with pytest.raises(WeightsError, match=r"covers 0\.0 %"):
        load_monai_swin_unetr(ours(), decoder_alone)


def test_half_a_decoder_is_refused_and_a_missing_head_is_not(full):
    half = {name: tensor for name, tensor in full.items() if not name.startswith("decoder3.")}
    with pytest.raises(WeightsError, match=r"4 decoder tensors are not in it, for example 'decoder3\."):
        load_monai_swin_unetr(ours(), half)
    headless = {name: tensor for name, tensor in full.items() if not name.startswith("out.")}
    assert load_monai_swin_unetr(ours(), headless).missing == ("head.weight", "head.bias")


def test_head_and_decoder_stay_fresh_on_request(full, plain):
    net = ours(out_channels=5)
    head = snapshot(net.head)
    report = load_monai_swin_unetr(net, full, head="fresh")
    assert report.missing == ("head.weight", "head.bias")
    assert same(net.head.state_dict(), head)
    assert torch.equal(net.state_dict()["decoder.ups.0.up.weight"], plain["decoder.ups.0.up.weight"])
    report = load_monai_swin_unetr(ours(out_channels=5, finest_width=8), full, decoder="fresh")
    assert {name.split(".")[0] for name in report.missing} == {"decoder", "head"}


def test_adapted_channels_in_closed_form():
    w = torch.tensor([[1.0, 3.0]])[..., None]
    assert adapt_channels(w, 4, "repeat").flatten().tolist() == [0.5, 1.5, 0.5, 1.5]
    assert adapt_channels(w, 1, "repeat").flatten().tolist() == [2]
    assert adapt_channels(w, 4, "mean").flatten().tolist() == [1, 1, 1, 1]
    assert adapt_channels(w, 1, "mean").flatten().tolist() == [4]


@pytest.mark.parametrize(
    ("theirs", "here", "how"), [(1, 4, "repeat"), (4, 1, "mean"), (2, 3, "mean"), (2, 4, "repeat")]
)
@torch.inference_mode()
def test_equal_channels_give_the_logits_that_they_gave(theirs, here, how):
    foreign, net = monai(theirs), ours(here)
    report = load_monai_swin_unetr(net, foreign.state_dict(), channels=how)
    assert report.adapted == (
        "encoder.patch.weight",
        "decoder.skips.0.conv1.weight",
        "decoder.skips.0.skip.0.weight",
    )
    x = torch.randn(1, 1, 32, 64, 32)
    expected = foreign(x.expand(-1, theirs, -1, -1, -1))
    torch.testing.assert_close(net(x.expand(-1, here, -1, -1, -1)), expected, rtol=0, atol=1e-4)


def test_fresh_channels_stay_as_they_were(full):
    net = ours(4)
    before = snapshot(net)
    report = load_monai_swin_unetr(net, full, channels="fresh")
    assert len(report.missing) == 3
    assert all(torch.equal(net.state_dict()[name], before[name]) for name in report.missing)
    assert 0.99 < report.encoder_coverage < 1


@pytest.mark.parametrize("wrong", [{"channels": "copy"}, {"head": "mean"}, {"decoder": "none"}, {"floor": 2}])
def test_unknown_choices_are_refused(wrong, full):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        load_monai_swin_unetr(ours(), full, **wrong)


class Malice:
    def __reduce__(self):
        return print, ("this must never be printed",)


def test_a_file_that_runs_code_is_refused_unread(full, tmp_path, capsys):
    torch.save({"state_dict": full, "callback": Malice()}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match=r"evil\.pt: it is not read, as it would run code.*print"):
        load_monai_swin_unetr(ours(), tmp_path / "evil.pt")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kept", [0, 1, 0.4, 0.99])
def test_a_file_cut_short_is_damaged(full, tmp_path, kept, zipped):
    path = tmp_path / "half.pt"
    torch.save(full, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept == 1 else kept * len(content))])
    with pytest.raises(WeightsError, match=r"half\.pt: it is damaged"):
        read_weights(path)


def test_what_training_scripts_leave_beside_the_weights_is_passed_over(tmp_path):
    beside = {"args": argparse.Namespace(lr=1e-4, roi=[96]), "best": np.float64(0.8), "n": np.int64(3), "lr": 0.1}
    torch.save({"state_dict": {"a": torch.ones(2), "version": "1"}, **beside}, tmp_path / "a.pt")
    found = read_weights(tmp_path / "a.pt")
    assert found.state["a"].tolist() == [1, 1]
    assert (found.wrapper, list(found.state)) == ("state_dict", ["a"])


def test_numbers_pickled_before_numpy_2_are_read(tmp_path):
    torch.save({"a": torch.ones(2), "best": np.float32(0.5)}, tmp_path / "new.pt", _use_new_zipfile_serialization=False)
    old = (tmp_path / "new.pt").read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert b"numpy.core.multiarray" in old
    (tmp_path / "old.pt").write_bytes(old)
    assert list(read_weights(tmp_path / "old.pt").state) == ["a"]


def test_files_without_weights_are_refused(tmp_path):
    for content in ({"epoch": 3}, [torch.ones(1)], torch.ones(1), {}):
        torch.save(content, tmp_path / "none.pt")
        with pytest.raises(WeightsError, match=r"none\.pt: it holds no state dict"):
            read_weights(tmp_path / "none.pt")
    with pytest.raises(WeightsError, match="Is a directory"):
        read_weights(tmp_path)
    (tmp_path / "bad.safetensors").write_bytes(b"no")
    with pytest.raises(WeightsError, match="it is damaged"):
        read_weights(tmp_path / "bad.safetensors")


def slots_before_1_5(self, x):
    """PatchMerging of MONAI 1.4 and before, one sub-lattice after the other."""
    order = ["000", "100", "010", "001", "101", "010", "001", "111"]
    slots = [x[:, int(i) :: 2, int(j) :: 2, int(k) :: 2] for i, j, k in order]
    return self.reduction(self.norm(torch.cat(slots, -1)))


@torch.inference_mode()
def test_legacy_weights_give_the_logits_of_an_old_monai(monkeypatch):
    foreign, net, recent = monai(), ours(compat="monai-legacy"), ours()
    load_monai_swin_unetr(net, foreign.state_dict())
    load_monai_swin_unetr(recent, foreign.state_dict())
    x = torch.randn(1, 1, 32, 64, 32)
    torch.testing.assert_close(recent(x), foreign(x), rtol=0, atol=1e-4)
    monkeypatch.setattr(MonaiMerging, "forward", slots_before_1_5)
    torch.testing.assert_close(net(x), foreign(x), rtol=0, atol=1e-4)
    assert (recent(x) - foreign(x)).abs().max() > 1e-2


SETTINGS = [
    {},
    {"use_v2": True, "in_channels": 3, "out_channels": 4},
    {"depths": (1, 2, 1, 1), "num_heads": (2, 4, 4, 8), "window_size": 4, "mlp_ratio": 2.0},
    {"patch_norm": True, "qkv_bias": False},
]


def in_our_words(params):
    return {"stage_conv" if name == "use_v2" else name: value for name, value in params.items()}


@pytest.mark.parametrize(
    "params", [*SETTINGS, {"norm_name": "batch"}, {"downsample": "mergingv2", "window_size": (2, 3, 4)}]
)
@torch.inference_mode()
def test_there_and_back(params):
    foreign, net = monai(**params), ours(**in_our_words(params))
    x = torch.randn(1, params.get("in_channels", 1), 32, 64, 32)
    load_monai_swin_unetr(net, foreign.state_dict())
    torch.testing.assert_close(net(x), foreign(x), rtol=0, atol=1e-4)
    back = to_monai_state_dict(net)
    assert same(back, foreign.state_dict())
    monai(**params).load_state_dict(back, strict=True)
    next(iter(back.values())).zero_()
    torch.testing.assert_close(net(x), foreign(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"depths": (1, 1, 1), "compat": None}, "strides"),
        ({"merge_strides": [2, 2, 2, 1]}, "strides"),
        ({"finest_width": 8}, "finest_width=8"),
        ({"window_size": [2, 2, 2, (3, 3, 3)]}, "windows"),
        ({"post_norm": True}, "post_norm"),
        ({"cosine": True}, "log_scale"),
        ({"log_bias": True}, "bias.mlp"),
    ],
)
def test_what_monai_cannot_express_is_not_exported(params, words):
    with pytest.raises(WeightsError, match=words):
        to_monai_state_dict(ours(**params))


def test_another_family_is_not_exported():
    with pytest.raises(WeightsError, match="has nothing like"):
        to_monai_state_dict(CSwinUNet(1, 2, feature_size=12, depths=(1, 1, 1, 1)))


@pytest.mark.parametrize("params", SETTINGS)
def test_a_state_dict_tells_its_settings(params):
    defaults = {"in_channels": 1, "out_channels": 2, "num_heads": (3, 6, 12, 24), "patch_size": 2, "mlp_ratio": 4.0}
    defaults |= {"qkv_bias": True, "patch_norm": False, "stage_conv": False}
    expected = {**defaults, **SMALL, **in_our_words(params)}
    assert monai_settings(prefixed(monai(**params).state_dict(), "module.")) == expected


def test_settings_that_cannot_be_told_are_asked_for(full):
    with pytest.raises(WeightsError, match="no cubic window"):
        monai_settings(monai(window_size=(2, 3, 4)).state_dict())
    with pytest.raises(WeightsError, match="tells no out_channels"):
        monai_settings(only_encoder(full))
    flat = MonaiSwinUNETR(1, 2, feature_size=12, spatial_dims=2, depths=(1, 1, 1, 1))
    with pytest.raises(WeightsError, match="2D"):
        monai_settings(flat.state_dict())


@pytest.mark.parametrize("kind", ["safetensors", "half"])
def test_other_containers_and_types_are_read(kind, full, plain, tmp_path):
    floats = {name: tensor for name, tensor in full.items() if tensor.is_floating_point()}
    path = tmp_path / f"weights.{kind}"
    if kind == "safetensors":
        save_file(floats, path)
    else:
        torch.save({name: tensor.half() for name, tensor in floats.items()}, path)
    net = ours()
    assert load_monai_swin_unetr(net, path).coverage == 1
    for name, tensor in net.state_dict().items():
        expected = plain[name] if kind == "safetensors" else plain[name].half().float()
        assert torch.equal(tensor, expected)


def test_an_encoder_of_one_channel_goes_into_a_network_of_four(full):
    net = ours(4)
    report = load_monai_swin_unetr(net, tang(full), channels="repeat")
    assert report.adapted == ("encoder.patch.weight",)
    expected = full["swinViT.patch_embed.proj.weight"].expand(-1, 4, -1, -1, -1) / 4
    assert torch.equal(net.encoder.patch.weight, expected)
    with pytest.raises(WeightsError, match="in_channels=1, or adapt its input"):
        load_monai_swin_unetr(ours(4), tang(full))
