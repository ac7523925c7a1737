"""The parts of Swin V2, one by one and together, and MONAI's convolution before each stage."""

import pytest
import torch
from monai.networks.nets import SwinUNETR as MonaiSwinUNETR

from medswin.errors import ShapeError
from medswin.networks import CSwinUNet, PatchMerging, SwinUNETR
from medswin.networks.blocks.transformer import TransformerBlock
from medswin.networks.weights import load_monai_swin_unetr

V2 = {"post_norm": True, "cosine": True, "log_cpb": True}


def test_an_untrained_post_norm_block_changes_nothing():
    net = SwinUNETR(1, 2, feature_size=12, depths=(2,), **V2)
    x = torch.randn(1, 4, 4, 4, 12)
    stage = net.encoder.stages[0]
    for i, block in enumerate(stage.blocks):
        assert torch.equal(block(x, stage.layout((4, 4, 4), i)), x)


def test_post_norm_normalises_the_branches():
    """With norms of weight one, each branch adds a vector of mean 0 and variance 1 per token."""
    torch.manual_seed(0)
    block = TransformerBlock(8, lambda x, parts: 3 * x + 5, post_norm=True)
    torch.nn.init.ones_(block.norm1.weight)
    x = torch.randn(1, 2, 2, 2, 8)
    added = block(x, []) - x
    torch.testing.assert_close(added.mean(-1), torch.zeros(1, 2, 2, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(added.var(-1, unbiased=False), torch.ones(1, 2, 2, 2), atol=1e-3, rtol=0)


@torch.no_grad()
def test_post_norm_merging_projects_first():
    merging = PatchMerging(3, post_norm=True)
    merged = merging(torch.randn(1, 4, 4, 2, 3))
    assert merging.norm.normalized_shape == (6,)
    torch.testing.assert_close(merged.mean(-1), torch.zeros(1, 2, 2, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("params", [V2, {"cosine": True}, {"log_cpb": True}, {"post_norm": True}, {"stage_conv": True}])
def test_every_option_trains(params):
    net = SwinUNETR(1, 2, feature_size=12, depths=(2, 2), window_size=(2, 3, 4), **params)
    for norm in [m for m in net.encoder.modules() if isinstance(m, torch.nn.LayerNorm)]:
        torch.nn.init.ones_(norm.weight)  # past the first step of post_norm
    net(torch.randn(1, 1, 16, 24, 16)).square().mean().backward()
    silent = [name for name, p in net.encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


@torch.inference_mode()
def test_stage_conv_is_monais_use_v2():
    torch.manual_seed(0)
    params = {"in_channels": 1, "out_channels": 2, "feature_size": 12, "depths": (1, 1, 1, 1)}
    monai = MonaiSwinUNETR(**params, use_v2=True).eval()
    ours = SwinUNETR(**params, stage_conv=True, compat="monai-1.5").eval()
    assert load_monai_swin_unetr(ours, monai.state_dict()).coverage == 1
    x = torch.randn(1, 1, 64, 64, 64)
    torch.testing.assert_close(ours(x), monai(x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("build", [SwinUNETR, CSwinUNet])
def test_a_bottleneck_of_one_voxel_is_refused_with_the_repair(build):
    net = build(1, 2, feature_size=12)
    with pytest.raises(ShapeError, match=r"one voxel, over which InstanceNorm3d .* fewer stages .* another norm"):
        net(torch.zeros(1, 1, 32, 32, 32))


@pytest.mark.parametrize(
    "params", [{"depths": (1, 1, 1)}, {"norm_name": ("group", {"num_groups": 4})}, {"merge_strides": [2, 2, 2, 1]}]
)
@pytest.mark.parametrize("build", [SwinUNETR, CSwinUNet])
def test_its_repairs_work(build, params):
    stripes = {"stripe_width": (1, 2, None)} if build is CSwinUNet and "depths" in params else {}
    net = build(1, 2, feature_size=12, **params, **stripes).train()
    net(torch.randn(1, 1, 32, 32, 32)).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())
