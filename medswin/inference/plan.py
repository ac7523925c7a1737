"""How a whole volume fits into memory: in which order its windows come, in how many parts, and how many at once."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations, product
from math import ceil, prod
from operator import itemgetter
from pathlib import Path
from typing import cast

from medswin.inference.blend import Index, Spans, kept_bytes
from medswin.inference.paint import gathered_bytes
from medswin.inference.windows import Tiling

MAPS_HELD = 10  # feature maps at full resolution that a network holds at once, about
FIRST_RUN = 2.5e8  # bytes that the libraries take once the network runs: code, buffers of threads; machines differ


@dataclass(frozen=True)
class Plan:
    """A way through the windows of a scan.

    Attributes:
        order: the axes, outermost first.
        parts: of the padded scan, one after the other, each all of it along ``order[0]``. Windows on the border of
            parts are computed for each.
        windows: per call of the network.
        bytes: estimate of the peak memory of the process.
    """

    order: Index
    parts: tuple[Spans, ...]
    windows: int
    bytes: int

    def starts(self, tiling: Tiling, part: Spans, halo: int) -> list[list[int]]:
        """First voxels per axis of the windows that reach into a part, or ``halo`` voxels before it."""
        return [
            [start for start in starts if start < last and start + roi > first - halo]
            for starts, roi, (first, last) in zip(tiling.axes, tiling.roi, part, strict=True)
        ]


@dataclass(frozen=True)
class _Cut:
    """One axis cut into spans.

    Attributes:
        spans: all of the axis together.
        longest: voxels of a span, with those that it needs of the one before it.
        windows: of all spans together.
    """

    spans: Spans
    longest: int
    windows: int


def make_plan(
    tiling: Tiling,
    channels: int,
    width: int,
    windows: int,
    held_bytes: int,
    limit_bytes: float,
    *,
    exact: bool,
    mirrored: bool = False,
) -> Plan:
    """The plan of least work that fits.

    Args:
        tiling: where windows lie.
        channels: of the logits.
        width: channels of the network's finest feature maps.
        windows: per call of the network, at most.
        held_bytes: what the process holds beside, the scan and its labels included.
        limit_bytes: for all; where nothing fits, the plan of least memory is returned, and says what it takes.
        exact: whether the network's grid and the scan's are one; else logits are interpolated.
        mirrored: whether logits are averaged over mirrored passes, which holds four of them.
    """
    maps = 4 * prod(tiling.roi) * MAPS_HELD * width
    logits = 4 * prod(tiling.roi) * channels * (4 if mirrored else 1)
    axes, orders = tiling.axes, cast("Iterator[Index]", permutations((2, 1, 0)))  # innermost 0 is the fastest
    cuts = [_cuts(*axis, 0 if exact else 1) for axis in zip(axes, tiling.roi, tiling.padded, strict=True)]
    tried = []
    for order in orders:
        for chosen in product(cuts[order[0]][:1], cuts[order[1]], cuts[order[2]]):
            cut = [chosen[order.index(axis)] for axis in range(3)]
            part = [one.longest for one in cut]
            rims, block = (0, 0) if exact else gathered_bytes(tiling.roi, order, part, channels)
            kept = round(held_bytes + FIRST_RUN) + kept_bytes(axes, tiling.roi, order, part, channels) + rims
            work = prod(one.windows for one in cut)
            for n in {windows, 1}:  # the network's maps are gone when a block is interpolated
                tried.append((work, -n, kept + n * logits + max(n * maps, block), order, cut))
    fits = [plan for plan in tried if plan[2] <= limit_bytes]
    _, n, needed, order, cut = min(fits, key=itemgetter(0, 1, 2)) if fits else min(tried, key=itemgetter(2, 0))
    by_order = product(*(cut[axis].spans for axis in order))
    return Plan(order, tuple(tuple(spans[order.index(axis)] for axis in range(3)) for spans in by_order), -n, needed)


def _cuts(starts: Sequence[int], roi: int, end: int, halo: int) -> list[_Cut]:
    """An axis whole, in halves, and so on, down to a span for each window; borders are where windows begin."""
    cuts = []
    for count in sorted({ceil(len(starts) / windows) for windows in range(1, len(starts) + 1)}):
        borders = {min((abs(start - end * i / count), start) for start in starts)[1] for i in range(count)}
        spans = tuple(pairwise([*sorted(borders), end]))
        longest = max(last - max(first - halo, 0) for first, last in spans)
        reach = sum(start < last and start + roi > first - halo for start in starts for first, last in spans)
        cuts.append(_Cut(spans, longest, reach))
    return cuts


def resident_bytes() -> int:
    """Memory that this process holds now."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return peak_bytes()


def peak_bytes() -> int:
    """Memory that this process held at most so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def shape_text(plan: Plan, voxels: Sequence[int], needed_bytes: int) -> str:
    """The plan in words."""
    parts = "" if len(plan.parts) == 1 else f", in {len(plan.parts)} parts"
    return f"{' x '.join(map(str, voxels))} voxels{parts}: about {gigabytes(needed_bytes)} of memory"


def gigabytes(count: float) -> str:
    """Bytes in words, to a hundredth of a GB."""
    return f"{count / 1e9:.2f} GB"
