"""The gate for MONAI's weights: what is of another network is refused by name, and nothing changes."""

import pytest
import torch
from foreign_nets import monai, only_encoder, ours, prefixed, same, snapshot, zeros

from medswin.errors import WeightsError
from medswin.networks.weights import load_monai_swin_unetr

INDEX = "attn.relative_position_index"


@pytest.fixture(scope="module")
def full():
    return monai().state_dict()


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


@pytest.mark.parametrize(
    ("here", "words"),
    [
        ((4, 3, 2), r"layers1.*_index' is of a window of \(2, 3, 4\), ours of \(4, 3, 2\).*window_size=\(2, 3, 4\)"),
        ([(2, 3, 4), (2, 3, 4), (3, 4, 2), (2, 3, 4)], r"layers3.*_index' is of a window of \(2, 3, 4\), ours of \(3"),
    ],
)
def test_another_window_with_equally_long_tables_is_refused(here, words):
    net = ours(window_size=here)
    before = snapshot(net)
    with pytest.raises(WeightsError, match=words):
        load_monai_swin_unetr(net, monai(window_size=(2, 3, 4)).state_dict())
    assert same(net.state_dict(), before)


def test_an_index_of_no_window_is_refused_and_its_number_type_is_not(full):
    turned = {name: tensor.flip(0) if INDEX in name else tensor for name, tensor in full.items()}
    with pytest.raises(WeightsError, match="is of no window, ours of"):
        load_monai_swin_unetr(ours(), turned)
    halved = {name: tensor.half() if INDEX in name else tensor for name, tensor in full.items()}
    assert load_monai_swin_unetr(ours(), halved).missing == ()


@pytest.mark.parametrize(
    ("prefix", "shown"), [("_model.", "_model"), ("module.wrapped.", "wrapped"), ("module.a.b.", "a.b")]
)
def test_an_unknown_prefix_is_named_beside_the_known_ones(full, prefix, shown):
    net = ours()
    before = snapshot(net)
    words = (
        rf"'{prefix}swinViT\.\S+' is the weight 'swinViT\.\S+' behind the prefix '{shown}'.*known are .*swin_vit.*off"
    )
    with pytest.raises(WeightsError, match=words) as caught:
        load_monai_swin_unetr(net, prefixed(full, prefix))
    assert "fresh" not in str(caught.value)
    assert same(net.state_dict(), before)


@pytest.mark.parametrize(("room", "choice"), [("decoder", {"decoder": "fresh"}), ("out.", {"head": "fresh"})])
def test_a_decoder_or_head_under_an_unknown_prefix_is_not_left_fresh_in_silence(full, room, choice):
    file = {f"dec.{name}" if name.startswith(room) else name: tensor for name, tensor in full.items()}
    with pytest.raises(WeightsError, match=r"'dec\.\S+' is the weight .* behind the prefix 'dec'.*decoder=\"fresh\""):
        load_monai_swin_unetr(ours(), file)
    assert any(name.startswith("dec.") for name in load_monai_swin_unetr(ours(), file, **choice).skipped)


def test_the_decoder_alone_under_an_unknown_prefix_is_refused(full):
    encoder = only_encoder(full)
    rest = {name: tensor for name, tensor in full.items() if not name.startswith("swinViT.")}
    with pytest.raises(WeightsError, match="behind the prefix 'dec'"):
        load_monai_swin_unetr(ours(), {**encoder, **prefixed(rest, "dec.")})


def test_copies_and_heads_under_unknown_prefixes_are_passed_over(full):
    heads = {"contrast.layers1.weight": torch.ones(2), "rec.norm.bias": torch.ones(2), "rec.out.bias": torch.ones(2)}
    net = ours()
    report = load_monai_swin_unetr(net, {**full, **prefixed(zeros(full), "average."), **heads})
    assert {"average.out.conv.conv.bias", *heads} <= set(report.skipped)
    assert torch.equal(net.head.bias, full["out.conv.conv.bias"])
