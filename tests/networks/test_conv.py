"""Convolutions of parts, by whichever kernel."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medswin.networks.blocks.conv import LAST, Conv3d, convolve, pointwise


@pytest.mark.parametrize("shape", [(1, 24, 6, 8, 10), (2, 24, 6, 8, 10), (1, 48, 30, 30, 3), (1, 1, 4, 4, 4)])
@pytest.mark.parametrize("kernel", [1, 3])
def test_a_convolution_and_its_gradients_equal_pytorchs(shape, kernel):
    """Small samples, for which another kernel is called, large ones, and few channels."""
    conv = nn.Conv3d(shape[1], 8, kernel, padding=kernel // 2)
    x = torch.randn(shape, requires_grad=True)
    parts = [part.contiguous(memory_format=LAST) for part in x.split(max(shape[1] // 2, 1), dim=1)]
    found, expected = convolve(conv, parts), F.conv3d(x, conv.weight, conv.bias, padding=kernel // 2)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    for ours, theirs in zip(*(gradients(y, x, conv) for y in (found, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def gradients(y, x, conv):
    return torch.autograd.grad(y.square().sum(), [x, conv.weight, conv.bias], retain_graph=True)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this build of PyTorch has no oneDNN")
def test_a_small_sample_goes_to_onednn_and_a_large_one_pytorchs_way():
    conv = nn.Conv3d(24, 8, 3, padding=1)
    for size, name in ((8, "MkldnnConvolutionBackward0"), (30, "ConvolutionBackward0")):
        x = torch.randn(1, 24, size, size, 3).contiguous(memory_format=LAST)
        assert type(convolve(conv, [x]).grad_fn).__name__ == name


def test_a_small_convolution_obeys_autocast_and_the_switch_of_onednn():
    conv, x = nn.Conv3d(8, 8, 3, padding=1), torch.randn(1, 8, 4, 4, 4).contiguous(memory_format=LAST)
    with torch.autocast("cpu", torch.bfloat16):
        assert convolve(conv, [x]).dtype == torch.bfloat16
    with torch.backends.mkldnn.flags(enabled=False):
        plain = convolve(conv, [x])
    torch.testing.assert_close(convolve(conv, [x]), plain, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("half", [False, True])
def test_a_convolution_to_channels_first_and_its_gradients_equal_pytorchs(half):
    """The logits have channels first, so that losses read them in a row, and the gradient has them last."""
    conv = nn.Conv3d(6, 3, 1)
    x = torch.randn(2, 6, 3, 4, 5).contiguous(memory_format=LAST).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        found = pointwise(conv, x)
    expected = F.conv3d(x, conv.weight, conv.bias)
    assert found.dtype == (torch.bfloat16 if half else torch.float32)
    assert found.is_contiguous()
    ours, theirs = gradients(found.float(), x, conv), gradients(expected, x, conv)
    assert ours[0].is_contiguous(memory_format=LAST)
    for a, b in zip([found.float(), *ours], [expected, *theirs], strict=True):
        assert a.dtype == b.dtype
        assert (a - b).norm() < (0.02 if half else 1e-5) * b.norm()


@pytest.mark.parametrize("groups", [1, 16])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_weights_gradient_in_bf16_takes_nothing_from_memory_that_nobody_wrote(depth, groups):
    """PyTorch's own is NaN at a depth of 2, where freed memory held NaN."""
    conv, x = Conv3d(16, 16, 3, padding=1, groups=groups), torch.randn(2, 16, depth, 4, 4)
    conv(x).square().sum().backward()
    expected, conv.weight.grad = conv.weight.grad, None
    for dtype in (torch.float32, torch.bfloat16):  # what oneDNN gets as scratch space
        freed = [torch.full((2**power,), torch.nan, dtype=dtype) for power in range(4, 22) for _ in range(8)]
        del freed
    with torch.autocast("cpu", torch.bfloat16):
        found = conv(x.contiguous(memory_format=LAST))
    assert found.dtype == torch.bfloat16
    found.float().square().sum().backward()
    assert (conv.weight.grad - expected).norm() < 0.02 * expected.norm()
