"""MONAI's network, ours, and the forms in which people save the weights of the first."""

import torch
from monai.networks.nets import SwinUNETR as MonaiSwinUNETR

from medswin.networks import SwinUNETR

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


def only_encoder(state):
    return {name.removeprefix("swinViT."): t for name, t in state.items() if name.startswith("swinViT.")}


def fc(state):
    return {name.replace("mlp.linear", "mlp.fc"): tensor for name, tensor in state.items()}


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def zeros(state):
    return {name: torch.zeros_like(tensor) for name, tensor in state.items()}


def tang(state):
    """model_swinvit.pt: encoder alone, fc1 and fc2, its final norm and the heads of its tasks."""
    heads = {
        "rotation_head.weight": torch.ones(4, 192),
        "convTrans3d.weight": torch.ones(2),
        "norm.bias": torch.ones(3),
    }
    return {"epoch": 3, "state_dict": prefixed({**fc(only_encoder(state)), **heads}, "module.")}


def in_our_words(params):
    return {"stage_conv" if name == "use_v2" else name: value for name, value in params.items()}


SETTINGS = [
    {},
    {"use_v2": True, "in_channels": 3, "out_channels": 4},
    {"depths": (1, 2, 1, 1), "num_heads": (2, 4, 4, 8), "window_size": 4, "mlp_ratio": 2.0},
    {"patch_norm": True, "qkv_bias": False},
]
