"""SwinUNETR under MONAI's arguments, with MONAI's weights, and beyond what MONAI can be built as."""

import pytest
import torch
from monai.networks.nets import SwinUNETR as MonaiSwinUNETR
from monai.networks.nets.swin_unetr import PatchMerging as MonaiMerging
from monai.networks.nets.swin_unetr import PatchMergingV2 as MonaiMergingV2

from medswin.errors import ConfigError, ShapeError, WeightsError
from medswin.networks import PatchMerging, SwinUNETR, build
from medswin.networks.weights import load_monai_swin_unetr


def twins(**params):
    """MONAI's network with weights far from their initial values, and ours with the same."""
    torch.manual_seed(0)
    monai = MonaiSwinUNETR(in_channels=1, out_channels=2, **params).eval()
    with torch.no_grad():
        for p in monai.parameters():
            p.add_(0.02 * torch.randn_like(p))
    ours = SwinUNETR(in_channels=1, out_channels=2, compat="monai-1.5", **params).eval()
    return monai, ours, load_monai_swin_unetr(ours, monai.state_dict())


@pytest.mark.parametrize(
    ("feature_size", "shape"),
    [(12, (96, 96, 96)), (24, (64, 32, 192)), (48, (64, 64, 64))],
)
@torch.inference_mode()
def test_logits_equal_monai(feature_size, shape):
    monai, ours, report = twins(feature_size=feature_size)
    assert report.coverage == 1
    assert all("relative_position_index" in name for name in report.skipped)
    x = torch.randn(1, 1, *shape)
    torch.testing.assert_close(ours(x), monai(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "params",
    [
        {"depths": (1, 2, 1, 1), "num_heads": (2, 4, 4, 8), "window_size": (7, 5, 3), "mlp_ratio": 2.0},
        {"depths": (2, 1, 1, 1), "downsample": "mergingv2", "patch_norm": True, "qkv_bias": False},
        {"depths": (2, 1, 1, 1), "normalize": False, "norm_name": ("group", {"num_groups": 4})},
        {
            "depths": (1, 1, 1, 1),
            "norm_name": "batch",
            "use_checkpoint": True,
            "drop_rate": 0.3,
            "dropout_path_rate": 0.5,
        },
    ],
)
@torch.inference_mode()
def test_logits_equal_monai_at_other_settings(params):
    monai, ours, _ = twins(feature_size=12, **params)
    x = torch.randn(2, 1, 64, 32, 96)
    torch.testing.assert_close(ours(x), monai(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("depths", "downsample", "use_checkpoint"),
    [
        ([2, 1, 1, 1], "mergingv2", True),
        ([1, 2, 1, 1], "merging", False),
        ([2, 1, 1, 1], PatchMerging, False),
        ([1, 2, 1, 1], MonaiMerging, True),
        ([2, 1, 1, 1], MonaiMergingV2, False),
    ],
)
@torch.inference_mode()
def test_monais_own_cases(depths, downsample, use_checkpoint):
    net = SwinUNETR(
        spatial_dims=3,
        in_channels=1,
        out_channels=2,
        feature_size=12,
        depths=depths,
        attn_drop_rate=0.4,
        norm_name="instance",
        downsample=downsample,
        use_checkpoint=use_checkpoint,
    ).eval()
    assert net(torch.randn(2, 1, 64, 32, 192)).shape == (2, 2, 64, 32, 192)


@pytest.mark.parametrize(
    "params",
    [
        {"spatial_dims": 1, "feature_size": 48},
        {"feature_size": 50},
        {"feature_size": 24, "drop_rate": -1},
        {"feature_size": 24, "attn_drop_rate": 1.1},
        {"num_heads": (3, 6)},
        {"compat": "monai-2.0"},
        {"window_size": (0, 4, 4)},
        {"window_size": 4.0},
        {"depths": (2, -1, 2, 2)},
        {"merge_strides": [2, 2]},
        {"downsample": "merge"},
    ],
)
def test_parameters_that_do_not_fit_are_refused(params):
    with pytest.raises(ValueError, match=r"\w"):
        SwinUNETR(in_channels=1, out_channels=2, **params)


def test_an_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="unexpected argument use_v2"):
        SwinUNETR(1, 2, use_v2=True)


@pytest.mark.parametrize("compat", [None, "monai-1.5"])
def test_a_wrong_shape_is_answered_with_its_repair(compat):
    net = SwinUNETR(1, 2, feature_size=12, depths=(1, 1, 1, 1), compat=compat)
    with pytest.raises(ShapeError, match=r"\(33, 64, 64\) must be divisible by \(32, 32, 32\).*pad to \(64, 64, 64\)"):
        net(torch.zeros(1, 1, 33, 64, 64))
    with pytest.raises(ShapeError, match="takes 1 channel"):
        net(torch.zeros(1, 2, 64, 64, 64))
    with pytest.raises(ShapeError, match="batch, channel, D, H, W"):
        net(torch.zeros(1, 64, 64, 64))


@pytest.mark.parametrize(
    ("params", "shape", "bottleneck"),
    [
        ({"depths": (1,), "patch_size": (1, 2, 2)}, (6, 8, 8), (3, 2, 2)),
        ({"depths": (1, 1), "patch_size": (1, 4, 4), "merge_strides": [(1, 2, 2), 2]}, (6, 32, 16), (3, 2, 1)),
        ({"depths": (1, 1, 1, 1, 1), "patch_size": 1, "merge_strides": [2, 2, 2, 2, 1]}, (16, 32, 16), (1, 2, 1)),
        ({"depths": (2, 2), "window_size": [(2, 3, 4), 5], "finest_width": 8}, (24, 16, 32), (3, 2, 4)),
        ({"depths": (1, 1, 1, 1), "window_size": (4, 3, 2, 2)}, (32, 32, 64), (1, 1, 2)),
    ],
)
def test_any_stages_strides_and_windows(params, shape, bottleneck):
    net = SwinUNETR(2, 3, feature_size=12, norm_name=("group", {"num_groups": 2}), **params)
    x = torch.randn(1, 2, *shape)
    features = net.encode(x)
    assert tuple(features[-1].shape[2:]) == bottleneck
    assert net.decode(features).shape == (1, 3, *shape)


@torch.inference_mode()
def test_without_compat_padding_does_not_reach_the_tokens():
    """A token's neighbours must not depend on how far the grid was padded: 20 -> 21 tokens in windows of 7."""
    torch.manual_seed(0)
    right = SwinUNETR(1, 2, feature_size=12, depths=(1,), window_size=7).eval()
    wrong = SwinUNETR(1, 2, feature_size=12, depths=(1,), compat="monai-1.5").eval()
    wrong.load_state_dict(right.state_dict())
    x = torch.randn(1, 1, 40, 28, 28)
    edge = (right.encode(x)[1] - wrong.encode(x)[1]).abs().amax((0, 1, 3, 4))
    bottleneck = (right.encode(x)[2] - wrong.encode(x)[2]).abs().amax((0, 1, 3, 4))
    assert edge.max() == 0  # the patch embedding sees no padding
    assert bottleneck[:7].max() < 1e-5  # windows without a pad agree
    assert bottleneck[7:].max() > 1e-4  # the last window does not


def test_a_weight_file_of_another_network_changes_nothing(tmp_path):
    ours = SwinUNETR(1, 2, feature_size=12, depths=(1, 1, 1, 1), compat="monai-1.5")
    before = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    torch.save({"state_dict": MonaiSwinUNETR(1, 2, feature_size=24).state_dict()}, tmp_path / "wide.pt")
    with pytest.raises(WeightsError, match=r"wide.pt: .*has shape"):
        load_monai_swin_unetr(ours, tmp_path / "wide.pt")
    with pytest.raises(WeightsError, match="tensors are not in it"):
        load_monai_swin_unetr(ours, {"swinViT.patch_embed.proj.weight": torch.zeros(1)})
    with pytest.raises(WeightsError, match="no such file"):
        load_monai_swin_unetr(ours, tmp_path / "nowhere.pt")
    (tmp_path / "text.pt").write_text("no tensors here")
    with pytest.raises(WeightsError, match=r"text.pt: it is damaged"):
        load_monai_swin_unetr(ours, tmp_path / "text.pt")
    assert all(torch.equal(tensor, before[name]) for name, tensor in ours.state_dict().items())


def test_a_one_channel_stem_is_never_broadcast():
    monai = MonaiSwinUNETR(1, 2, feature_size=12)
    with pytest.raises(WeightsError, match=r"patch_embed\.proj\.weight"):
        load_monai_swin_unetr(SwinUNETR(4, 2, feature_size=12, compat="monai-1.5"), monai.state_dict())


def test_any_encoder_with_any_decoder_by_name():
    net = build(
        "segmenter",
        encoder={"name": "swin", "feature_size": 12, "depths": [1, 1]},
        decoder={"name": "unetr"},
        in_channels=1,
        out_channels=2,
    )
    assert net.divisor == (8, 8, 8)
    assert net(torch.randn(1, 1, 16, 16, 16)).shape == (1, 2, 16, 16, 16)


def test_training_goes_on_after_inference_mode():
    """What validation caches (indices, masks) must not be tensors that autograd refuses."""
    net = SwinUNETR(1, 2, feature_size=12, depths=(2, 1), window_size=3)
    x = torch.randn(1, 1, 24, 32, 24)
    with torch.inference_mode():
        net(x)
    net(x).square().mean().backward()
    assert net.encoder.stages[0].blocks[1].attention.bias.table.grad.abs().sum() > 0


def test_stages_can_be_recomputed_one_by_one():
    """The same loss and the same gradients, whichever stages keep nothing for the backward pass."""
    found = []
    for stages in (False, [True, False, True, False]):
        torch.manual_seed(0)
        network = SwinUNETR(1, 2, feature_size=12, use_checkpoint=stages)
        network(torch.rand(1, 1, 32, 32, 64)).square().mean().backward()
        assert [stage.use_checkpoint for stage in network.encoder.stages] == (stages or [False] * 4)
        found.append([parameter.grad for parameter in network.parameters()])
    for kept, recomputed in zip(*found, strict=True):
        torch.testing.assert_close(kept, recomputed)
    with pytest.raises(ConfigError, match="use_checkpoint has 2 entries for 4 stages"):
        SwinUNETR(1, 2, use_checkpoint=[True, False])
