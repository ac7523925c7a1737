"""Cutting a grid into windows: pictures, an inverse, and who may see whom."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medswin.networks.layouts import Bars, Cubes, Whole
from medswin.networks.partition import Partition, relative_index

sizes = st.tuples(*[st.integers(1, 7)] * 3)


@given(grid=sizes, window=sizes, shift=st.tuples(*[st.integers(0, 3)] * 3))
def test_join_undoes_cut(grid, window, shift):
    part = Partition.fit(grid, window, tuple(min(s, w - 1) for s, w in zip(shift, window, strict=True)))
    x = torch.arange(2 * grid[0] * grid[1] * grid[2] * 3.0).reshape(2, *grid, 3)
    assert torch.equal(part.join(part.cut(x)), x)


def test_cut_keeps_neighbours_together():
    """A 2x4 grid in windows of 2x2: the left four tokens, then the right four."""
    x = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]]).reshape(1, 1, 2, 4, 1)
    windows = Partition.fit((1, 2, 4), (1, 2, 2)).cut(x)[:, 0, :, 0]
    assert windows.tolist() == [[0, 1, 4, 5], [2, 3, 6, 7]]


def test_a_bar_spans_its_axis():
    x = torch.arange(6).reshape(1, 1, 2, 3, 1)
    assert Partition.fit((1, 2, 3), (1, 1, 9)).cut(x)[:, 0, :, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_shifted_windows_do_not_see_across_the_edge():
    """A line of four, windows of two, shifted by one: the last window holds tokens 3 and 0, strangers."""
    part = Partition.fit((1, 1, 4), (1, 1, 2), (0, 0, 1))
    assert part.cut(torch.arange(4).reshape(1, 1, 1, 4, 1))[:, 0, :, 0].tolist() == [[1, 2], [3, 0]]
    first, last = part.groups()
    assert first == (1, None)
    assert last.windows == 1
    assert last.visible.tolist() == [[True, False], [False, True]]


def test_windows_at_an_end_come_last_one_group_for_each_set_of_ends():
    """A 4x4 grid in shifted windows of 2x2: inside, then the end of one axis, the other's, and the corner."""
    part = Partition.fit((1, 4, 4), (1, 2, 2), (0, 1, 1))
    x = torch.arange(16).reshape(1, 1, 4, 4, 1)
    assert part.cut(x)[:, 0, :, 0].tolist() == [[5, 6, 9, 10], [13, 14, 1, 2], [7, 4, 11, 8], [15, 12, 3, 0]]
    assert [group.windows for group in part.groups()] == [1, 1, 1, 1]
    rows, columns = ([[p // n % 2 == q // n % 2 for q in range(4)] for p in range(4)] for n in (2, 1))
    corner = torch.eye(4, dtype=torch.bool).tolist()
    assert [group.visible.tolist() for group in part.groups()[1:]] == [rows, columns, corner]


@settings(deadline=None)
@given(
    grid=st.tuples(st.integers(1, 24), st.integers(1, 9), st.integers(1, 5)),
    window=sizes,
    shifted=st.booleans(),
    mask_pads=st.booleans(),
)
def test_groups_hold_the_masks_of_a_naive_twin(grid, window, shifted, mask_pads):
    """Two tokens see each other if they are both real, or both pads, and nothing but their window parts them."""
    part = Partition.fit(grid, window, [n // 2 if shifted else 0 for n in window])
    voxels = torch.stack(torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij"), -1)[None] + 1.0
    cut = part.cut(voxels)[:, 0]
    seen = [g.visible for g in part.groups(mask_pads) for _ in range(g.windows)]
    assert len(seen) == len(cut)
    for places, visible in zip(cut, seen, strict=True):
        real = places.amin(-1) > 0
        near = torch.ones(len(places), len(places), dtype=torch.bool)
        for axis, n in enumerate(part.window):
            near &= (places[:, None, axis] - places[None, :, axis]).abs() < n
        both = real[:, None] & real[None, :]
        found = torch.ones_like(near) if visible is None else visible
        assert torch.equal(found[both], near[both])
        if mask_pads:
            assert not found[real[:, None] & ~real[None, :]].any()
            assert found.diagonal().all()


def test_pads_are_hidden_unless_asked():
    """A line of three, windows of two: the second window holds token 2 and a pad."""
    part = Partition.fit((1, 1, 3), (1, 1, 2))
    assert part.groups(mask_pads=False) == ((2, None),)
    full, half = part.groups()
    assert full == (1, None)
    assert half.visible.tolist() == [[True, False], [False, True]]
    assert part.real(torch.device("cpu")).tolist() == [[True, True], [True, False]]


def test_a_window_over_the_whole_axis_is_not_shifted():
    assert Partition.fit((3, 8, 4), (4, 4, 4), (2, 2, 2)) == Partition((3, 8, 4), (3, 4, 4), (0, 2, 0))


@given(window=sizes, full=sizes)
def test_relative_index_of_a_clipped_window_is_the_full_windows_own(window, full):
    """Naive twin: the row of a pair is told by its offset alone, whatever the window was clipped to."""
    window = tuple(min(w, f) for w, f in zip(window, full, strict=True))
    index = relative_index(window, full)
    tokens = [(i, j, k) for i in range(window[0]) for j in range(window[1]) for k in range(window[2])]
    for a, p in enumerate(tokens[:5]):
        for b, q in enumerate(tokens[:5]):
            d, h, w = (p[n] - q[n] + full[n] - 1 for n in range(3))
            assert index[a, b] == (d * (2 * full[1] - 1) + h) * (2 * full[2] - 1) + w


@given(grid=sizes, width=sizes, block=st.integers(0, 3))
def test_each_bar_spans_its_axis_and_join_undoes_cut(grid, width, block):
    x = torch.arange(2 * grid[0] * grid[1] * grid[2] * 3.0).reshape(2, *grid, 3)
    bars = Bars(width)(grid, block)
    for along, bar in enumerate(bars):
        assert torch.equal(bar.join(bar.cut(x)), x)
        if len(bars) == 3:
            across = [axis for axis in range(3) if axis != along]
            assert bar.window[along] == grid[along]
            assert [bar.window[axis] for axis in across] == [min(width[axis], grid[axis]) for axis in across]
        else:
            assert bar.window == grid


def test_a_cross_of_bars():
    """The 2x3 faces of a 1x2x3 grid: along the first axis single tokens, then columns, then rows."""
    x = torch.arange(6).reshape(1, 1, 2, 3, 1)
    cut = [bar.cut(x)[:, 0, :, 0].tolist() for bar in Bars((1, 1, 1))((1, 2, 3), 0)]
    assert cut == [[[0], [1], [2], [3], [4], [5]], [[0, 3], [1, 4], [2, 5]], [[0, 1, 2], [3, 4, 5]]]


def test_cubes_shift_in_every_second_block():
    cubes = Cubes((4, 2, 3))
    assert [part.shift for block in (0, 1, 2) for part in cubes((8, 8, 8), block)] == [(0, 0, 0), (2, 1, 1), (0, 0, 0)]
    assert Whole()((3, 4, 5), 1) == (Partition((3, 4, 5), (3, 4, 5)),)
