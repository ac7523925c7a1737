"""What every registered encoder promises. A new one needs a line in ENCODERS, and one here only if it has needs."""

import copy
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from medswin.errors import ShapeError
from medswin.networks import DECODERS, ENCODERS

SMALL = {
    "cswin": {"feature_size": 12, "depths": (1, 1, 1), "stripe_width": (1, (2, 1, 2), None)},
    "swin": {"feature_size": 12, "depths": (2, 2), "window_size": (2, 4, 3)},
}
THIN = {"patch_size": (1, 2, 2), "merge_strides": ((1, 2, 2), 1)}
OPTIONS = {  # beside what is registered: options that change what is computed
    "cswin, thin volumes": {"feature_size": 12, "depths": (1, 1), "stripe_width": 2, "lepe": "volume", **THIN},
    "swin, as in Swin V2": {"feature_size": 12, "depths": (1, 2), "window_size": 3, "cosine": True, "log_cpb": True},
    "swin, with convolutions": {"feature_size": 12, "depths": (1, 1), "window_size": 4, "stage_conv": True, **THIN},
}
CASES = [*sorted(ENCODERS), *OPTIONS]


@pytest.fixture(params=CASES)
def encoder(request):
    torch.manual_seed(0)
    return build(request.param)


def build(case):
    return ENCODERS.build(case.split(",")[0], in_channels=2, **{**SMALL, **OPTIONS}.get(case, {})).eval()


def image(encoder, batch=1, times=(3, 2, 4)):
    return torch.randn(batch, encoder.channels[0], *(d * t for d, t in zip(encoder.divisor, times, strict=True)))


def test_features_have_the_promised_channels_and_strides(encoder):
    x = image(encoder)
    features = encoder(x)
    assert features[0] is x
    assert encoder.strides[0] == (1, 1, 1)
    assert len(features) == len(encoder.channels) == len(encoder.strides)
    for feature, channels, stride in zip(features, encoder.channels, encoder.strides, strict=True):
        size = tuple(s // step for s, step in zip(x.shape[2:], stride, strict=True))
        assert tuple(feature.shape) == (1, channels, *size)


def test_forward_is_embed_then_encode(encoder):
    x = image(encoder)
    for whole, part in zip(encoder(x)[1:], encoder.encode(encoder.embed(x)), strict=True):
        assert torch.equal(whole, part)


def test_every_parameter_gets_a_gradient(encoder):
    encoder.train()
    sum(feature.square().sum() for feature in encoder(image(encoder, 2))[1:]).backward()
    silent = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not silent


@torch.inference_mode()
def test_batch_items_do_not_know_each_other(encoder):
    x = image(encoder, 2)
    for both, alone in zip(encoder(x)[1:], encoder(x[:1])[1:], strict=True):
        torch.testing.assert_close(both[:1], alone)


@pytest.mark.parametrize("name", CASES)
def test_builds_on_the_meta_device(name):
    with torch.device("meta"):
        empty = build(name)
    assert all(p.is_meta for p in empty.parameters())
    assert [p.shape for p in empty.parameters()] == [p.shape for p in build(name).parameters()]


@pytest.mark.parametrize("name", CASES)
def test_runs_on_the_meta_device(name):
    """A dry run tells the shapes without computing."""
    with torch.device("meta"):
        empty = build(name)
    dry = empty(image(empty).to("meta"))
    assert [f.shape for f in dry] == [f.shape for f in build(name)(image(empty))]


@torch.inference_mode()
def test_compiled_it_says_the_same(encoder):
    x = image(encoder)
    compiled = torch.compile(encoder, backend="aot_eager")
    for a, b in zip(compiled(x), encoder(x), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("axis", [2, 3, 4])
def test_an_odd_size_is_answered_with_its_repair(encoder, axis):
    x = image(encoder).narrow(axis, 0, 1)
    if encoder.divisor[axis - 2] == 1:
        encoder(x)
        return
    with pytest.raises(ShapeError, match="must be divisible by") as error:
        encoder(x)
    padded = [int(n) for n in re.search(r"pad to \((\d+), (\d+), (\d+)\)", str(error.value)).groups()]
    assert encoder(torch.zeros(1, 2, *padded))[0].shape[2:] == torch.Size(padded)


@torch.inference_mode()
def test_weights_survive_a_file(encoder, tmp_path):
    save_file(encoder.state_dict(), tmp_path / "encoder.safetensors")
    clone = copy.deepcopy(encoder)
    for p in clone.parameters():
        p.zero_()
    clone.load_state_dict(load_file(tmp_path / "encoder.safetensors"))
    x = image(encoder)
    assert all(torch.equal(a, b) for a, b in zip(encoder(x), clone(x), strict=True))


@torch.inference_mode()
def test_bf16_is_close_to_fp32(encoder):
    x = image(encoder)
    with torch.autocast("cpu", torch.bfloat16):
        low = encoder(x)
    for a, b in zip(encoder(x)[1:], low[1:], strict=True):
        assert (a - b.float()).norm() / a.norm() < 0.05


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_every_decoder_takes_it(encoder, name):
    decoder = DECODERS.build(name, channels=encoder.channels, strides=encoder.strides)
    x = image(encoder)
    assert decoder(encoder(x)).shape == (1, decoder.out_channels, *x.shape[2:])
