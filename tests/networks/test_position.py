"""Positional terms: closed forms, and what must not depend on the window."""

import math

import pytest
import torch

from medswin.errors import ConfigError
from medswin.networks.blocks.position import LePE, LogCPB, RelativeBias, crop_table
from medswin.networks.partition import Partition


@pytest.mark.parametrize("bias", [RelativeBias((4, 3, 5), 2), LogCPB((4, 3, 5), 2, hidden=8)])
@torch.no_grad()
def test_a_clipped_window_reads_the_same_bias_for_the_same_offset(bias):
    """The corner of the full window, as a window of its own: two by one by three of its tokens."""
    whole, clipped = bias((4, 3, 5)), bias((2, 1, 3))
    corner = [d * 15 + w for d in range(2) for w in range(3)]
    torch.testing.assert_close(clipped, whole[:, corner][:, :, corner])


@torch.no_grad()
def test_a_cropped_table_is_the_same_bias():
    large, small = RelativeBias((4, 3, 5), 2), RelativeBias((2, 3, 1), 2)
    small.table.copy_(crop_table(large.table, large.window, small.window))
    assert torch.equal(small((2, 3, 1)), large((2, 3, 1)))


@torch.no_grad()
def test_log_cpb_in_closed_form():
    """With an identity for an MLP: an offset of the window less one is 8 units, hence log2(9) / 3 in log space."""
    bias = LogCPB((1, 1, 3), 1, hidden=1)
    bias.hidden.weight.copy_(torch.tensor([[0.0, 0.0, 1.0]]))
    bias.hidden.bias.fill_(2.0)  # keeps the ReLU open
    bias.out.weight.fill_(1.0)
    expected = [16 / (1 + math.exp(-2 - s * math.log2(x + 1) / 3)) for s, x in [(1, 0), (-1, 4), (-1, 8)]]
    assert bias((1, 1, 3))[0, 0].tolist() == pytest.approx(expected)
    assert bias((1, 1, 5)).shape == (1, 5, 5)  # larger than it was built for


@torch.no_grad()
def test_lepe_stops_at_the_faces_of_its_window_unless_asked():
    """A line of four ones in windows of two under a kernel of ones: each token sees itself and its neighbours."""
    part = Partition.fit((1, 1, 4), (1, 1, 2))
    line = torch.ones(2, 1, 2, 1)
    for within, expected in [("window", [[2, 2], [2, 2]]), ("volume", [[2, 3], [3, 2]])]:
        lepe = LePE(1, within)
        lepe.conv.weight.fill_(1.0)
        lepe.conv.bias.zero_()
        assert lepe(line, part)[:, 0, :, 0].tolist() == expected


@torch.no_grad()
def test_lepe_sees_no_pads_and_its_own_channels():
    part = Partition.fit((1, 1, 3), (1, 1, 2))
    lepe = LePE(4)
    lepe.conv.weight.copy_(torch.arange(4.0)[:, None, None, None, None].expand(4, 1, 3, 3, 3))
    lepe.conv.bias.zero_()
    found = lepe(torch.full((2, 1, 2, 2), 5.0), part, group=1)  # the pad holds a 5, as a bias would leave there
    assert found[:, 0, :, 0].tolist() == [[20, 20], [10, 10]]  # channel 2: weight 2
    assert found[1, 0, 0].tolist() == [10, 15]
    with pytest.raises(ConfigError, match="'window' or 'volume'"):
        LePE(4, "stripe")
