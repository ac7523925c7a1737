"""The gate for encoders that medswin pre-trained: settings that no tensor tells are told all the same."""

from __future__ import annotations

import pytest
import torch

from medswin.errors import WeightsError
from medswin.networks import NETWORKS
from medswin.networks.weights import encoder_about, load_encoder
from medswin.networks.weights.encoder_file import save_encoder, structure

CSWIN = {"feature_size": 12, "depths": [1, 1], "num_heads": [3, 6], "stripe_width": [2, None], "finest_width": 4}
SWIN = {"feature_size": 12, "depths": [2, 1], "num_heads": [3, 6], "window_size": 3, "finest_width": 4}
ODD = {"merge_strides": [[1, 2, 2], 2], "patch_size": [1, 2, 2], "qkv_bias": False}


def net(name, channels=1, **params):
    return NETWORKS.build(name, in_channels=channels, out_channels=2, **params)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file of an encoder that has learned nothing: its attention is nearly even, whatever its heads."""
    folder, made = tmp_path_factory.mktemp("encoders"), {}
    for name, params in (("cswin_unet", CSWIN), ("swin_unetr", SWIN)):
        encoder = net(name, **params).encoder
        save_encoder(folder / f"{name}.safetensors", encoder, {"network": {"name": name, **params}})
        made[name] = (folder / f"{name}.safetensors", encoder)
    return made


OTHERS = [
    ("cswin_unet", {**CSWIN, "num_heads": [6, 12]}),
    ("cswin_unet", {**CSWIN, "stripe_width": [1, None]}),
    ("cswin_unet", {**CSWIN, "stripe_width": [2, 2]}),
    ("cswin_unet", {**CSWIN, "lepe": "volume"}),
    ("cswin_unet", {**CSWIN, "normalize": False}),
    ("swin_unetr", {**SWIN, "normalize": False}),
    ("swin_unetr", {**SWIN, "downsample": "mergingv2"}),
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("name", "params"), OTHERS)
def test_another_encoder_whose_tensors_fit_is_refused_and_nothing_is_changed(written, name, params, channels):
    path, _ = written[name]
    other = net(name, channels, **params)
    before = {key: tensor.clone() for key, tensor in other.state_dict().items()}
    for how in ("repeat", "fresh") if channels == 2 else (None,):
        with pytest.raises(WeightsError, match=r"it computes something else.*num_heads"):
            load_encoder(other, path, channels=how)
    assert all(torch.equal(tensor, before[key]) for key, tensor in other.state_dict().items())


@pytest.mark.parametrize("name", ["cswin_unet", "swin_unetr"])
def test_the_same_encoder_goes_in_for_one_channel_and_for_two(written, name):
    path, encoder = written[name]
    params = {key: value for key, value in encoder_about(path)["network"].items() if key != "name"}
    one, two = net(name, **params), net(name, 2, **params)
    assert load_encoder(one, path).encoder_coverage == 1
    assert load_encoder(two, path, channels="repeat").adapted == ("encoder.patch.weight",)
    x = torch.randn(1, 1, *(2 * edge for edge in encoder.divisor))
    for found, wanted in zip(one.encoder.eval()(x), encoder.eval()(x), strict=True):
        assert torch.equal(found, wanted)
    for found, wanted in zip(two.encoder.eval()(x.expand(-1, 2, -1, -1, -1))[1:], encoder(x)[1:], strict=True):
        torch.testing.assert_close(found, wanted)


def test_a_structure_is_of_the_settings_and_not_of_the_weights(written):
    """And neither it nor the encoder is changed by looking."""
    first, second = net("swin_unetr", **SWIN, **ODD).encoder.train(), net("swin_unetr", **SWIN, **ODD).encoder
    before = {key: tensor.clone() for key, tensor in first.state_dict().items()}
    assert not torch.equal(first.patch.weight, second.patch.weight)
    assert structure(first) == structure(first) == structure(second)
    assert first.training
    assert all(torch.equal(tensor, before[key]) for key, tensor in first.state_dict().items())
    assert structure(first) != structure(net("swin_unetr", **SWIN, **ODD, normalize=False).encoder)
