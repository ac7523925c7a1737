"""Norm, skip and activation in one step beside PyTorch's own, one after the other."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from medswin.errors import ConfigError
from medswin.networks.blocks import norm
from medswin.networks.blocks.conv import ResidualConv
from medswin.networks.blocks.norm import norm_act

LAST = torch.channels_last_3d


def _plain(x, layer, skip, slope):
    x = layer(x)
    return F.leaky_relu(x if skip is None else x + skip, slope)


@pytest.mark.parametrize("layer", [nn.InstanceNorm3d(3), nn.InstanceNorm3d(3, affine=True), nn.GroupNorm(3, 3)])
@pytest.mark.parametrize("shape", [(1, 3, 4, 4, 4), (2, 3, 3, 5, 1), (2, 3, 2, 4, 6)])
@pytest.mark.parametrize("with_skip", [False, True])
@pytest.mark.parametrize("slope", [0.01, 1.0])
@pytest.mark.parametrize("chunk", [1, 2**18])
def test_values_and_gradients_are_those_of_the_plain_way(layer, shape, with_skip, slope, chunk, monkeypatch):
    monkeypatch.setattr(norm, "CHUNK_VALUES", chunk)
    torch.manual_seed(0)
    inputs = [5 + 2 * torch.randn(shape).to(memory_format=LAST).requires_grad_() for _ in range(1 + with_skip)]
    results = []
    for way in (norm_act, _plain):
        y = way(inputs[0] * 1, layer, inputs[1] if with_skip else None, slope)
        results.append([y, *torch.autograd.grad(y.square().sum() + (y * inputs[0].detach()).sum(), inputs)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_far_mean_costs_no_precision():
    torch.manual_seed(0)
    x = (1000 + torch.randn(1, 2, 8, 8, 8)).to(memory_format=LAST)
    expected = F.instance_norm(x.double())
    torch.testing.assert_close(
        norm_act(x.clone(memory_format=LAST), nn.InstanceNorm3d(2), slope=1.0).double(), expected, rtol=0, atol=1e-3
    )


def test_half_precision_is_averaged_in_full():
    torch.manual_seed(0)
    x = torch.randn(1, 4, 8, 8, 8).to(memory_format=LAST).bfloat16().requires_grad_()
    exact = x.detach().float().requires_grad_()
    results = []
    for values in (x, exact):
        y = norm_act(values * 1, nn.InstanceNorm3d(4))
        results.append([y.float(), torch.autograd.grad((y.float() ** 3).sum(), values)[0].float()])
    for half, full in zip(*results, strict=True):
        assert (half - full).norm() < 0.02 * full.norm()


def test_hooks_are_called_and_pruned_weights_count():
    """A layer that something waits for is called as it is."""
    block = ResidualConv(4, 6)
    x, called = torch.rand(1, 4, 6, 6, 6), []
    before = block(x)
    block.norm1.register_forward_hook(lambda *_: called.append("norm"))
    block.conv1.register_forward_hook(lambda *_: called.append("conv"))
    torch.testing.assert_close(block(x), before, rtol=0, atol=1e-4)
    assert called == ["conv", "norm"]
    kept: list[torch.Tensor] = []
    block.conv2.register_forward_hook(lambda module, args, result: kept.extend([result, result.clone()]))
    block(x)
    torch.testing.assert_close(*kept)  # what a hook keeps is not written over
    prune.l1_unstructured(block.conv2, "weight", amount=1.0)
    assert not torch.equal(block(x), before)


@pytest.mark.parametrize("channels", [(4, 4), (1, 7)])
def test_parts_are_as_good_as_their_concatenation(channels):
    parts = [torch.rand(2, c, 5, 4, 6) for c in channels]
    for block in (ResidualConv(8, 8), ResidualConv(8, 3)):
        torch.testing.assert_close(block(*parts), block(torch.cat(parts, 1)), rtol=0, atol=1e-5)


def test_compiled_it_says_the_same_and_what_would_be_garbage_is_refused():
    """PyTorch 2.13 compiles this block, in bf16 and for CPUs, into NaN; the backend here only takes the graph."""
    block, x = ResidualConv(64, 64).eval(), torch.randn(1, 64, 8, 8, 8).to(memory_format=LAST)
    compiled = torch.compile(block, backend="aot_eager")
    with torch.inference_mode():
        torch.testing.assert_close(compiled(x), block(x), rtol=0, atol=1e-4)
        with torch.autocast("cpu", torch.bfloat16), pytest.raises(ConfigError, match=r"bf16.*leave torch.compile out"):
            compiled(x)


def test_traced_it_says_the_same():
    block, x = ResidualConv(4, 6).eval(), torch.rand(1, 4, 6, 5, 4)
    with torch.no_grad():
        traced = torch.jit.trace(block, x, check_trace=False)
        for given in (x, 3 * x.flip(2)):
            torch.testing.assert_close(traced(given), block(given), rtol=0, atol=1e-5)


def test_group_norm_is_as_exact_with_channels_last():
    """Where the mean is far from zero PyTorch's own way with channels last is off by 1e-2."""
    torch.manual_seed(0)
    x, layer = 20 + torch.randn(1, 12, 32, 32, 32), nn.GroupNorm(4, 12)
    exact = F.group_norm(x.double(), 4)
    found = norm_act(x.contiguous(memory_format=LAST), layer, slope=1.0)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-4)
