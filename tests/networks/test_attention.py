"""Window attention beside a naive twin that loops over windows, heads and tokens."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

from medswin.errors import ConfigError
from medswin.networks import CSwinUNet, SwinUNETR
from medswin.networks.blocks.attention import WindowAttention
from medswin.networks.blocks.position import LePE, LogCPB, RelativeBias
from medswin.networks.layouts import Bars
from medswin.networks.partition import Partition


def naive(attention, x_DHWC, parts, mixes=None):
    """Every token attends the tokens of its (shifted, unwrapped) window that exist; no padding, no masks.

    ``mixes`` overrules softmax logits: (q, k, head) -> logit.
    """
    grid, (c, heads) = x_DHWC.shape[:3], (x_DHWC.shape[3], attention.heads)
    width = c // heads
    q, k, v = attention.qkv(x_DHWC).chunk(3, dim=-1)
    out = torch.zeros_like(x_DHWC)
    tokens = list(itertools.product(*(range(n) for n in grid)))
    for h in range(heads):
        part = parts[h * len(parts) // heads]
        home = {p: tuple((p[a] - part.shift[a]) // part.window[a] for a in range(3)) for p in tokens}
        s = slice(h * width, (h + 1) * width)
        for p in tokens:
            seen = [t for t in tokens if home[t] == home[p]]
            logits = [
                mixes(q[p][s], k[t][s], h)
                if mixes
                else q[p][s] @ k[t][s] / math.sqrt(width) + table(attention, p, t, h)
                for t in seen
            ]
            weights = torch.softmax(torch.stack(logits), 0)
            out[p][s] = sum(w * v[t][s] for w, t in zip(weights, seen, strict=True))
            if attention.lepe is not None:
                out[p][s] += local(attention.lepe.conv, v, p, [t for t in seen if near(p, t)], s)
    return attention.proj(out)


def table(attention, p, t, h):
    if attention.bias is None:
        return 0.0
    full = attention.bias.window
    d, e, f = (p[a] - t[a] + full[a] - 1 for a in range(3))
    return attention.bias.table[(d * (2 * full[1] - 1) + e) * (2 * full[2] - 1) + f, h]


def near(p, t):
    return max(abs(a - b) for a, b in zip(p, t, strict=True)) <= 1


def local(conv, v, p, neighbours, s):
    taps = [conv.weight[s, 0, t[0] - p[0] + 1, t[1] - p[1] + 1, t[2] - p[2] + 1] * v[t][s] for t in neighbours]
    return conv.bias[s] + sum(taps)


@pytest.mark.parametrize(
    ("grid", "window", "shift"),
    [
        ((4, 4, 4), (2, 2, 2), (0, 0, 0)),
        ((4, 2, 4), (2, 2, 2), (1, 0, 1)),
        ((3, 5, 2), (2, 2, 2), (0, 0, 0)),  # pads
        ((3, 5, 3), (2, 4, 3), (1, 2, 0)),  # pads, shifts and a clipped axis
        ((2, 3, 2), (4, 4, 4), (0, 0, 0)),  # a window larger than the grid
    ],
)
@torch.no_grad()
def test_equals_the_naive_twin(grid, window, shift):
    torch.manual_seed(0)
    part = Partition.fit(grid, window, shift)
    attention = WindowAttention(6, 2, RelativeBias(window, 2)).double()
    attention.bias.table.copy_(torch.randn_like(attention.bias.table))
    x = torch.randn(1, *grid, 6, dtype=torch.float64)
    torch.testing.assert_close(attention(x, [part])[0], naive(attention, x[0], [part]), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("grid", "width"),
    [((4, 2, 4), (2, 2, 2)), ((5, 3, 4), (2, 2, 1)), ((1, 4, 3), (1, 1, 1)), ((3, 5, 2), (2, 4, 9))],
)
@torch.no_grad()
def test_a_cross_of_bars_equals_the_naive_twin(grid, width):
    """Six heads, two along each axis; the second case has pads on every axis, which LePE must not see either."""
    torch.manual_seed(0)
    parts = Bars(width)(grid, 0)
    attention = WindowAttention(12, 6, None, LePE(12)).double()
    x = torch.randn(1, *grid, 12, dtype=torch.float64)
    torch.testing.assert_close(attention(x, parts)[0], naive(attention, x[0], parts), rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_cosine_attention_equals_the_naive_twin():
    """s cos(q, k) + bias, keys without bias, and a scale that stops at 100."""
    torch.manual_seed(0)
    part = Partition.fit((3, 2, 4), (2, 2, 2), (1, 0, 1))
    attention = WindowAttention(6, 2, LogCPB((2, 2, 2), 2), cosine=True).double()
    attention.qkv.bias.copy_(torch.randn(18))
    attention.logit_scale.copy_(torch.tensor([0.5, 9.0]).log())
    x = torch.randn(1, 3, 2, 4, 6, dtype=torch.float64)
    without = WindowAttention(6, 2, None, cosine=False).double()
    without.load_state_dict(attention.state_dict(), strict=False)
    without.qkv.bias[6:12] = 0
    scales, attention.bias = (0.5, 9.0), None
    expected = naive(without, x[0], [part], lambda q, k, h: scales[h] * F.cosine_similarity(q, k, dim=0))
    torch.testing.assert_close(attention(x, [part])[0], expected, rtol=1e-8, atol=1e-8)
    attention.logit_scale.fill_(50.0)
    at_limit = attention(x, [part])
    attention.logit_scale.fill_(math.log(100))
    assert torch.equal(at_limit, attention(x, [part]))


@torch.no_grad()
def test_bars_as_wide_as_the_grid_are_full_attention():
    torch.manual_seed(0)
    attention = WindowAttention(6, 3, None, LePE(6))
    x = torch.randn(2, 3, 4, 2, 6)
    bars, whole = Bars((4, 4, 4))((3, 4, 2), 0), [Partition((3, 4, 2), (3, 4, 2))]
    assert torch.equal(attention(x, bars), attention(x, whole))


def test_heads_must_divide_the_channels():
    with pytest.raises(ConfigError, match="50 channels cannot be shared among 3 heads"):
        WindowAttention(50, 3, RelativeBias((2, 2, 2), 3))


@pytest.mark.parametrize("network", [SwinUNETR, CSwinUNet])
def test_layers_with_something_on_them_are_called_as_they_are(network):
    """Hooks fire, pruned weights count and can be trained, and a layer that was put in another's place is used."""
    torch.manual_seed(0)
    net, x, called = network(1, 2, feature_size=12), torch.rand(1, 1, 64, 32, 32), []
    before = net(x)
    layers = [part.qkv for part in net.modules() if isinstance(part, WindowAttention)]
    for layer in (layers[0], net.head):
        layer.register_forward_hook(lambda *_: called.append("called"))
    torch.testing.assert_close(net(x), before, rtol=0, atol=1e-5)
    assert len(called) >= 2
    prune.l1_unstructured(layers[1], "weight", amount=0.9)
    for _ in range(2):
        net(x).square().mean().backward()
    assert not torch.equal(net(x), before)
    attention = next(part for part in net.modules() if isinstance(part, WindowAttention))
    attention.qkv = nn.Sequential(attention.qkv, nn.Linear(attention.qkv.out_features, attention.qkv.out_features))
    assert not torch.allclose(net(x), before, atol=1e-3)
