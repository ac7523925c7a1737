"""CSwinUNet on volumes of every shape, and what it shares with Swin UNETR."""

import pytest
import torch

from medswin.errors import ConfigError
from medswin.networks import CSwinUNet, SwinUNETR, build

GROUP = ("group", {"num_groups": 2})


@pytest.mark.parametrize(
    ("params", "shape", "bottleneck"),
    [
        ({"depths": (1, 1), "stripe_width": (1, 2)}, (24, 8, 16), (3, 1, 2)),
        ({"depths": (1, 1, 1), "stripe_width": ((1, 2, 3), 7, None)}, (16, 48, 32), (1, 3, 2)),
        (  # twenty thick slices
            {"patch_size": (1, 2, 2), "merge_strides": [(1, 2, 2), 2, 2, 1], "lepe": "volume"},
            (20, 32, 48),
            (5, 2, 3),
        ),
        ({"depths": (2,), "stripe_width": 3, "finest_width": 4, "patch_norm": True}, (8, 12, 16), (2, 3, 4)),
    ],
)
def test_any_shape_stripes_and_strides(params, shape, bottleneck):
    net = CSwinUNet(2, 3, feature_size=12, norm_name=GROUP, **params)
    x = torch.randn(1, 2, *shape)
    features = net.encode(x)
    assert tuple(features[-1].shape[2:]) == bottleneck
    logits = net.decode(features)
    assert logits.shape == (1, 3, *shape)
    logits.square().mean().backward()
    assert all(p.grad.abs().sum() > 0 for p in net.encoder.parameters())


@torch.inference_mode()
def test_a_mirrored_image_has_mirrored_features():
    """With mirror-symmetric kernels and merging no bar knows an axis' direction: padding must not tell it either."""
    torch.manual_seed(0)
    net = CSwinUNet(1, 2, feature_size=6, depths=(1,), num_heads=(3,), stripe_width=2, patch_size=1).eval()
    conv = net.encoder.stages[0].blocks[0].attention.lepe.conv
    conv.weight.copy_((conv.weight + conv.weight.flip(3)) / 2)
    block, layout = net.encoder.stages[0].blocks[0], net.encoder.stages[0].layout
    x = torch.randn(1, 4, 6, 3, 6)  # the last axis is padded, the mirrored one is not
    torch.testing.assert_close(block(x.flip(2), layout((4, 6, 3), 0)), block(x, layout((4, 6, 3), 0)).flip(2))


@torch.inference_mode()
def test_every_voxel_of_a_cross_is_seen_and_no_other():
    """One block without LePE's help: a token hears of the three bars through it and of nothing else."""
    torch.manual_seed(0)
    net = CSwinUNet(1, 2, feature_size=6, depths=(1,), num_heads=(3,), stripe_width=1, patch_size=1).double().eval()
    block, parts = net.encoder.stages[0].blocks[0], net.encoder.stages[0].layout((4, 5, 3), 0)
    x = torch.randn(1, 4, 5, 3, 6, dtype=torch.float64)
    moved = x.clone()
    moved[0, 1, 2, 1] += torch.randn(6)
    changed = (block(moved, parts) - block(x, parts)).abs().amax(dim=(0, 4)) > 1e-12
    d, h, w = torch.meshgrid(*(torch.arange(n) for n in (4, 5, 3)), indexing="ij")
    same = (d == 1).int() + (h == 2).int() + (w == 1).int()
    assert torch.equal(changed, same >= 2)


def test_it_is_swin_unetr_but_for_layout_and_position():
    ours = CSwinUNet(1, 2, feature_size=12, depths=(2, 2), stripe_width=2).state_dict()
    swin = SwinUNETR(1, 2, feature_size=12, depths=(2, 2), window_size=2).state_dict()
    assert {name for name in ours.keys() ^ swin.keys() if "attention.lepe" not in name} == {
        name for name in swin if "attention.bias" in name
    }


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"num_heads": (4, 8, 16, 32), "feature_size": 32}, "4 heads cannot be shared among the 3 directions"),
        ({"stripe_width": (1, 2)}, "stripe_width has 2 entries for 4 stages"),
        ({"stripe_width": (0, 1, 1, 1)}, "stripe_width must be a positive integer"),
        ({"lepe": "stripe"}, "'window' or 'volume'"),
        ({"stripe_width": None}, "stripe_width must be a number or a list"),
        ({"stripe_width": (1, 2.5, 4, None)}, "three of them, got 2.5"),
        ({"depths": (1, 0, 1, 1)}, "at least one block"),
        ({"window_size": 4}, "has no parameter 'window_size'"),
        ({"attn_drop_rate": 2}, "attn_drop_rate must lie in 0 to 1"),
        ({"downsample": "monai-legacy", "merge_strides": [1, 2, 2, 2]}, "for a stride of 2"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(params, words):
    with pytest.raises(ConfigError, match=words):
        build("cswin_unet", in_channels=1, out_channels=2, **params)
