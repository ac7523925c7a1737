"""Which partitions the blocks of a stage attend over: cubes (Swin), a cross of bars (CSwin), or the whole grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from medswin.networks.contract import Triple
from medswin.networks.partition import Partition


class Layout(Protocol):
    """Which partitions the blocks of a stage attend over: one, or one per group of heads.

    Attributes:
        groups: the number of heads must be a multiple of this.
    """

    groups: ClassVar[int]

    def __call__(self, grid: Triple, block: int) -> tuple[Partition, ...]:
        """The partitions of block number ``block`` of a stage on this grid: one for all heads, or ``groups``."""
        ...


@dataclass(frozen=True)
class Cubes:
    """One window for all heads, shifted by half its size in every second block (Swin)."""

    window: Triple
    groups: ClassVar[int] = 1

    def __call__(self, grid: Triple, block: int) -> tuple[Partition, ...]:
        shift = [n // 2 if block % 2 else 0 for n in self.window]
        return (Partition.fit(grid, self.window, shift),)


@dataclass(frozen=True)
class Bars:
    """A cross of bars: a third of the heads along each axis, each bar as long as the grid and ``width`` across (CSwin).

    Attributes:
        width: tokens of a bar along each axis that it does not run along.
    """

    width: Triple
    groups: ClassVar[int] = 3

    def __call__(self, grid: Triple, block: int) -> tuple[Partition, ...]:
        windows = [
            [g if i == along else w for i, (g, w) in enumerate(zip(grid, self.width, strict=True))]
            for along in range(3)
        ]
        bars = tuple(Partition.fit(grid, window) for window in windows)
        return bars if len(set(bars)) > 1 else bars[:1]


@dataclass(frozen=True)
class Whole:
    """One window over the whole grid: full attention."""

    groups: ClassVar[int] = 1

    def __call__(self, grid: Triple, block: int) -> tuple[Partition, ...]:
        return (Partition.fit(grid, grid),)
