"""Window attention beside a naive twin that loops over windows, heads and tokens."""

import itertools
import math

import pytest
import torch

from medswin.errors import ConfigError
from medswin.networks.blocks.attention import WindowAttention
from medswin.networks.blocks.bias import RelativeBias
from medswin.networks.partition import Partition


def naive(attention, x_DHWC, window, shift):
    """Every token attends the tokens of its (shifted, unwrapped) window that exist; no padding, no masks."""
    grid, (c, heads) = x_DHWC.shape[:3], (x_DHWC.shape[3], attention.heads)
    width = c // heads
    q, k, v = attention.qkv(x_DHWC).chunk(3, dim=-1)
    table, full = attention.bias.table, attention.bias.window
    out = torch.zeros_like(x_DHWC)
    tokens = list(itertools.product(*(range(n) for n in grid)))

    def home(p):
        return tuple((p[a] - shift[a]) // window[a] for a in range(3))

    for p in tokens:
        seen = [t for t in tokens if home(t) == home(p)]
        for h in range(heads):
            s = slice(h * width, (h + 1) * width)
            logits = []
            for t in seen:
                d, e, f = (p[a] - t[a] + full[a] - 1 for a in range(3))
                row = (d * (2 * full[1] - 1) + e) * (2 * full[2] - 1) + f
                logits.append(q[p][s] @ k[t][s] / math.sqrt(width) + table[row, h])
            weights = torch.softmax(torch.stack(logits), 0)
            out[p][s] = sum(w * v[t][s] for w, t in zip(weights, seen, strict=True))
    return attention.proj(out)


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
    expected = naive(attention, x[0], part.window, part.shift)
    torch.testing.assert_close(attention(x, part)[0], expected, rtol=1e-10, atol=1e-10)


def test_heads_must_divide_the_channels():
    with pytest.raises(ConfigError, match="50 channels cannot be shared among 3 heads"):
        WindowAttention(50, 3, RelativeBias((2, 2, 2), 3))
