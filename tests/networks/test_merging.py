"""Patch merging: which voxel lands in which slot."""

import pytest
import torch
from monai.networks.nets.swin_unetr import PatchMerging as MonaiMerging
from monai.networks.nets.swin_unetr import PatchMergingV2 as MonaiMergingV2

from medswin.networks import PatchMerging
from medswin.networks.blocks.merging import by_axis, by_distance


def test_orders():
    assert ["".join(map(str, o)) for o in by_distance((2, 2, 2))] == [
        "000",
        "100",
        "010",
        "001",
        "110",
        "101",
        "011",
        "111",
    ]
    assert ["".join(map(str, o)) for o in by_axis((1, 2, 2))] == ["000", "001", "010", "011"]


@pytest.mark.parametrize(("order", "monai"), [("merging", MonaiMerging), ("mergingv2", MonaiMergingV2)])
def test_equals_monai(order, monai):
    torch.manual_seed(0)
    ours, theirs = PatchMerging(4, order=order), monai(4)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 5, 4, 6, 4)  # an odd axis is padded
    torch.testing.assert_close(ours(x), theirs(x))


def test_reads_every_voxel_once():
    merging = PatchMerging(1, norm_layer=lambda n: torch.nn.Identity(), stride=(1, 2, 2))
    merging.reduction = torch.nn.Identity()
    merged = merging(torch.arange(16.0).reshape(1, 1, 4, 4, 1))
    assert merged.shape == (1, 1, 2, 2, 4)
    assert merged[0, 0, 0, 0].tolist() == [0, 4, 1, 5]
    assert sorted(merged.flatten().tolist()) == list(range(16))
