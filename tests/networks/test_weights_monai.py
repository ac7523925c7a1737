"""MONAI's weights in our network give MONAI's logits, and find the way back."""

import pytest
import torch
from foreign_nets import SETTINGS, in_our_words, monai, ours, same
from monai.networks.nets.swin_unetr import PatchMerging as MonaiMerging

from medswin.errors import WeightsError
from medswin.networks import CSwinUNet
from medswin.networks.weights import load_monai_swin_unetr, to_monai_state_dict


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
        ({"cosine": True}, "logit_scale"),
        ({"log_cpb": True}, r"bias\.hidden"),
    ],
)
def test_what_monai_cannot_express_is_not_exported(params, words):
    with pytest.raises(WeightsError, match=words):
        to_monai_state_dict(ours(**params))


def test_another_family_is_not_exported():
    with pytest.raises(WeightsError, match="has nothing like"):
        to_monai_state_dict(CSwinUNet(1, 2, feature_size=12, depths=(1, 1, 1, 1)))
