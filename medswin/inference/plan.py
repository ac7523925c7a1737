"""How a whole volume fits into memory: in which order its windows come, in how many strips, and how many at once."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from math import prod
from pathlib import Path

from medswin.inference.blend import Index, kept_bytes
from medswin.inference.resample import CHUNK_VALUES
from medswin.inference.windows import Tiling

MAPS_HELD = 10  # feature maps at full resolution that a network holds at once, about
FIRST_RUN = 2.5e8  # bytes that the libraries take once the network runs: code, buffers of threads; machines differ


@dataclass(frozen=True)
class Plan:
    """A way through the windows of a scan.

    Attributes:
        order: the axes, outermost first.
        strips: parts along ``order[1]``, one after the other: first and last voxel, on the padded scan. Windows on the
            border of two strips are computed for both.
        windows: per call of the network.
        bytes: estimate of the peak memory of the process.
    """

    order: Index
    strips: tuple[tuple[int, int], ...]
    windows: int
    bytes: int

    def starts(self, tiling: Tiling, strip: tuple[int, int], halo: int) -> list[list[int]]:
        """First voxels per axis of the windows that reach into a strip, or ``halo`` voxels before it."""
        axis = self.order[1]
        starts = [list(one) for one in tiling.axes]
        starts[axis] = [s for s in starts[axis] if s < strip[1] and s + tiling.roi[axis] > strip[0] - halo]
        return starts


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
        exact: whether the network's grid and the scan's are one; else a slab is interpolated.
        mirrored: whether logits are averaged over mirrored passes, which holds four of them.
    """
    per_window = 4 * prod(tiling.roi) * (channels * (4 if mirrored else 1) + MAPS_HELD * width)
    axes: tuple[Index, ...] = tuple(permutations((2, 1, 0)))  # type: ignore[arg-type]  # innermost 0 is the fastest
    tried: list[Plan] = []
    for count in range(1, max(map(len, tiling.axes)) + 1):
        for at_once in (windows, 1):
            held = round(held_bytes + FIRST_RUN + at_once * per_window) + (0 if exact else 4 * CHUNK_VALUES)
            plans = [_plan(tiling, order, count, at_once, channels, held, exact=exact) for order in axes]
            best = min(plans, key=lambda plan: plan.bytes)
            if best.bytes <= limit_bytes:
                return best
            tried.append(best)
    return min(tried, key=lambda plan: plan.bytes)


def _plan(tiling: Tiling, order: Index, count: int, windows: int, channels: int, held: int, *, exact: bool) -> Plan:
    starts, end = tiling.axes[order[1]], tiling.padded[order[1]]
    count = min(count, len(starts))
    edges = [starts[len(starts) * i // count] for i in range(count)] + [end]
    plan = Plan(order, tuple(pairwise(edges)), windows, 0)
    peak = 0
    for strip in plan.strips:
        halo = 0 if exact else 1
        used = plan.starts(tiling, strip, halo)
        kept = kept_bytes(used, tiling.roi, order, (max(strip[0] - halo, 0), strip[1]), channels)
        steps = max((b - a for a, b in pairwise(used[order[0]])), default=tiling.roi[order[0]])
        slab = 4 * (channels + 1) * (max(steps, tiling.roi[order[0]]) + 1) * (strip[1] - strip[0] + 1)
        peak = max(peak, kept + (0 if exact else slab * tiling.padded[order[2]]))
    return Plan(order, plan.strips, windows, held + peak)


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
    strips = "" if len(plan.strips) == 1 else f", in {len(plan.strips)} strips"
    return f"{' x '.join(map(str, voxels))} voxels{strips}: about {needed_bytes / 1e9:.2g} GB of memory"
