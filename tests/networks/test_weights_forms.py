"""The gate for MONAI's weights: every form in which they are published is the same network."""

import pytest
import torch
from foreign_nets import fc, monai, only_encoder, ours, prefixed, same, snapshot, tang, zeros
from monai.networks.nets.swin_unetr import PatchMerging as MonaiMerging
from safetensors.torch import save_file

from medswin.config.init import start_from
from medswin.labels import LabelSet
from medswin.networks.weights import load_monai_swin_unetr


@pytest.fixture(scope="module")
def full():
    return monai().state_dict()


@pytest.fixture(scope="module")
def plain(full):
    net = ours()
    load_monai_swin_unetr(net, full)
    return snapshot(net)


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


def test_the_report_tells_the_wrapper_and_what_was_skipped(full):
    report = load_monai_swin_unetr(ours(), tang(full))
    assert report.wrapper == "state_dict"
    assert {"module.rotation_head.weight", "module.convTrans3d.weight", "module.norm.bias"} <= set(report.skipped)
    assert "found under state_dict" in str(report)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "read in the merging order of MONAI 1.5 and later"),
        ({"compat": "monai-legacy"}, "read in the merging order of MONAI before 1.5"),
        ({"downsample": "monai-legacy"}, "read in the merging order of MONAI before 1.5"),
        ({"downsample": "mergingv2"}, "read in the merging order of MONAI's mergingv2"),
    ],
)
def test_the_report_tells_the_merging_order_that_no_file_does(full, params, words):
    assert str(load_monai_swin_unetr(ours(**params), full)).splitlines().count(words) == 1


def test_the_report_is_silent_on_a_merging_that_is_not_ours(full):
    report = load_monai_swin_unetr(ours(downsample=MonaiMerging), full)
    assert (report.missing, report.merging, "read in" in str(report)) == ((), "", False)


def test_a_training_run_starts_from_a_published_encoder(full, plain, tmp_path):
    """``medswin train --init model_swinvit.pt``: its encoder is taken, decoder and head stay fresh."""
    torch.save(tang(full), tmp_path / "model_swinvit.pt")
    net = ours()
    said = start_from(net, str(tmp_path / "model_swinvit.pt"), LabelSet.from_names(["a", "b"]))
    state = net.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in plain.items() if name.startswith("encoder."))
    assert "encoder: 100.0 % of its parameters" in said
