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


def test_a_collapse_is_told_and_health_is_not():
    torch.manual_seed(0)
    watch = CollapseWatch()
    assert watch.look(torch.randn(16, 20))["effective_rank"] > 10
    assert watch.warning(watch.look(torch.randn(16, 20))) is None
    assert "collapsed" in str(watch.warning(watch.look(1 + 1e-3 * torch.randn(16, 20))))  # a cloud around one point
    line = torch.linspace(-1, 1, 16)[:, None] * torch.ones(20)
    assert "effective rank 1.0" in str(watch.warning(watch.look(line)))  # one direction


def test_two_scans_are_no_collapse():
    watch = CollapseWatch()
    two = torch.eye(2, 7)[[0, 1] * 8]
    assert watch.look(two)["effective_rank"] == pytest.approx(1)
    assert watch.warning(watch.look(two)) is None
