"""Attention over groups of windows beside the textbook's matrices, values and gradients."""

import pytest
import torch

from medswin.networks.blocks import mixing
from medswin.networks.blocks.mixing import mix


def _naive(q, k, v, added, sizes, scale):
    whole = 0 if added is None else added.repeat_interleave(torch.tensor(sizes), dim=0)
    return (q @ k.mT * scale + whole).softmax(-1) @ v


@pytest.mark.parametrize("core_bytes", [1, 2**21])  # window by window, and all at once
@pytest.mark.parametrize("heads", [1, 3])  # of what is added
def test_values_and_gradients_are_those_of_a_naive_twin(heads, core_bytes, monkeypatch):
    monkeypatch.setattr(mixing, "CORE_BYTES", core_bytes)
    torch.manual_seed(0)
    q, k, v, wanted = (torch.randn(5, 3, 4, 2, dtype=torch.float64, requires_grad=True) for _ in range(4))
    added = torch.randn(2, heads, 4, 4, dtype=torch.float64).masked_fill(torch.eye(4, dtype=torch.bool), -torch.inf)
    added.requires_grad_()
    results = []
    for attend in (mix, _naive):
        mixed = attend(q, k, v, added, [2, 3], 0.3)
        results.append([mixed, *torch.autograd.grad((mixed * wanted).sum(), [q, k, v, added])])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("masked", [False, True])
def test_what_is_added_need_not_be_learned(masked):
    torch.manual_seed(0)
    q, k, v = (torch.randn(5, 3, 4, 2, requires_grad=True) for _ in range(3))
    added = torch.zeros(2, 1, 4, 4).masked_fill(torch.eye(4, dtype=torch.bool), -torch.inf) if masked else None
    ours, theirs = (attend(q, k, v, added, [4, 1], 0.3) for attend in (mix, _naive))
    torch.testing.assert_close(ours, theirs)
    for a, b in zip(*(torch.autograd.grad(mixed.square().sum(), [q, k, v]) for mixed in (ours, theirs)), strict=True):
        torch.testing.assert_close(a, b)


def test_dropout_leaves_weights_out():
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 1, 2, 2) for _ in range(3))
    added = torch.zeros(1, 1, 2, 2, requires_grad=True)
    assert torch.equal(mix(q, k, v, added, [1], 1.0, dropout=1.0), torch.zeros_like(v))


def test_a_bias_gradient_in_half_precision_is_summed_in_full(monkeypatch):
    """Hundreds of chunks: their sum in bf16 would stop growing."""
    monkeypatch.setattr(mixing, "CORE_BYTES", 1)
    torch.manual_seed(0)
    q, k, v = (torch.randn(600, 1, 8, 4) for _ in range(3))
    grads = []
    for dtype in (torch.float32, torch.bfloat16):
        added = torch.zeros(1, 1, 8, 8, dtype=dtype, requires_grad=True)
        mixed = mix(*(x.to(dtype) for x in (q, k, v)), added, [600], 0.5)
        (mixed.float() * (v + 0.1)).sum().backward()
        grads.append(added.grad.float())
    assert (grads[1] - grads[0]).norm() < 0.02 * grads[0].norm()


def test_autocast_takes_full_precision():
    q, k, v = (torch.randn(4, 1, 8, 4, requires_grad=True) for _ in range(3))
    added = torch.zeros(1, 1, 8, 8, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        mix(q, k, v, added, [4], 0.5).sum().backward()
    assert q.grad.dtype == added.grad.dtype == torch.float32


@pytest.mark.parametrize("masked", [False, True])
def test_narrow_heads_in_bf16_are_mixed_rightly_in_large_windows(masked, monkeypatch):
    monkeypatch.setattr(mixing, "LARGE", 7)
    torch.manual_seed(0)
    q, k, v = (torch.randn(7, 3, 8, 4).bfloat16() for _ in range(3))
    added = torch.randn(2, 1, 8, 8).masked_fill(torch.eye(8, dtype=torch.bool), -torch.inf) if masked else None
    for core_bytes in (1, 2**21):
        monkeypatch.setattr(mixing, "CORE_BYTES", core_bytes)
        with torch.inference_mode():
            ours = mix(q, k, v, None if added is None else added.bfloat16(), [3, 4], 0.5)
        expected = _naive(*(x.float() for x in (q, k, v)), added, [3, 4], 0.5)
        assert ours.dtype == torch.bfloat16
        assert (ours.float() - expected).norm() < 0.01 * expected.norm()
