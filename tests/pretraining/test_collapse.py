"""Collapse in closed form."""

from __future__ import annotations

import pytest
import torch

from medswin.pretraining.collapse import CollapseWatch, effective_rank, spread


def test_effective_rank_counts_directions():
    """Points on the axes of a cube, both ways: as many directions as axes; all at one point, or on a line: 1."""
    for axes in (1, 2, 5):
        eye = torch.eye(axes, 7)
        assert effective_rank(torch.cat([eye, -eye])) == pytest.approx(axes)
    assert effective_rank(torch.ones(4, 3)) == 1.0


def test_spread_is_0_for_one_direction_and_1_where_they_cancel():
    assert spread(torch.tensor([[1.0, 1], [2, 2], [3, 3]])) == pytest.approx(0, abs=1e-9)
    assert spread(torch.tensor([[1.0, 0], [-2, 0]])) == pytest.approx(1)


def test_a_collapse_is_told_once_there_are_enough_samples():
    torch.manual_seed(0)
    watch = CollapseWatch(samples=16)
    assert watch.look(torch.randn(8, 6)) == {}
    healthy = watch.look(torch.randn(8, 6))
    assert healthy["effective_rank"] > 4
    assert watch.warning(healthy) is None
    again = CollapseWatch(samples=16)
    again.load_state_dict(watch.state_dict())
    for one in (watch, again):
        one.look(1 + 1e-3 * torch.randn(8, 6))
        found = one.look(1 + 1e-3 * torch.randn(8, 6))
        assert "collapsed" in str(one.warning(found))
