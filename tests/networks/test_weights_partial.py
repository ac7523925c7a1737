"""The gate for MONAI's weights: files that fill a part of the network, and images of other channels."""

import pytest
import torch
from foreign_nets import monai, ours, same, snapshot, tang

from medswin.errors import ConfigError, WeightsError
from medswin.networks.weights import load_monai_swin_unetr
from medswin.networks.weights.channels import adapt_channels


@pytest.fixture(scope="module")
def full():
    return monai().state_dict()


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


def test_head_and_decoder_stay_fresh_on_request(full):
    net = ours(out_channels=5)
    head = snapshot(net.head)
    report = load_monai_swin_unetr(net, full, head="fresh")
    assert report.missing == ("head.weight", "head.bias")
    assert same(net.head.state_dict(), head)
    assert torch.equal(net.state_dict()["decoder.ups.0.up.weight"], full["decoder1.transp_conv.conv.weight"])
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


def test_an_encoder_of_one_channel_goes_into_a_network_of_four(full):
    net = ours(4)
    report = load_monai_swin_unetr(net, tang(full), channels="repeat")
    assert report.adapted == ("encoder.patch.weight",)
    expected = full["swinViT.patch_embed.proj.weight"].expand(-1, 4, -1, -1, -1) / 4
    assert torch.equal(net.encoder.patch.weight, expected)
    with pytest.raises(WeightsError, match="in_channels=1, or adapt its input"):
        load_monai_swin_unetr(ours(4), tang(full))


@pytest.mark.parametrize(("theirs", "here"), [(1, 12), (12, 1)])
@pytest.mark.parametrize("channels", ["repeat", "fresh"])
def test_as_many_channels_as_the_decoder_has_are_another_network(theirs, here, channels):
    net = ours(here)
    before = snapshot(net)
    with pytest.raises(
        WeightsError, match=r"'encoder1\.layer\.conv3.*: the image's skip has a convolution only"
    ) as caught:
        load_monai_swin_unetr(net, monai(theirs).state_dict(), channels=channels)
    assert "norm_name" not in str(caught.value)
    assert same(net.state_dict(), before)
    assert load_monai_swin_unetr(net, monai(theirs).state_dict(), channels="mean", decoder="fresh").adapted


@pytest.mark.parametrize("wrong", [{"channels": "copy"}, {"head": "mean"}, {"decoder": "none"}, {"floor": 2}])
def test_unknown_choices_are_refused(wrong, full):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        load_monai_swin_unetr(ours(), full, **wrong)
