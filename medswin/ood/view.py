"""What a judge sees of a scan: one row of numbers, in named parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import ConfigError

FEATURES = "features"
OUTPUTS = ("entropy", "disagreement")
"""Outputs of the network that have no parameter; ``msp@T`` and ``energy@T`` have a temperature."""
WITH_TEMPERATURE = ("msp", "energy")


@dataclass(frozen=True)
class View:
    """Which features of the network, and what else, make up a scan's row.

    A stage's feature maps are laid over the whole scan, gathered into ``grid`` cells (each the mean over what of the
    maps lies in it, by volume), smoothed by average pooling and flattened. The grid is the same for scans of all
    sizes, so that rows are as long; one cell is the mean over the scan.

    Args:
        stages: of the encoder's features; -1 is the bottleneck, 0 the image.
        grid: cells per axis, R, A, S.
        kernel, stride: of average pooling over the cells; 1 and 1 for none.
        flat: pool over the first two axes (in the axial plane) only.
        foreground: cells count by how much of the body they hold, so that air and padding do not dominate.
        outputs: what is taken of the network's answer: ``entropy``, ``disagreement`` (of mirrored passes), ``msp@T``
            and ``energy@T`` at temperature T.
        appearance: add sizes and intensities, see `medswin.ood.appearance`.
        shape: add sizes and forms of the structures found, see `medswin.ood.shape`.

    Raises:
        ConfigError: for a value out of its range.
    """

    stages: tuple[int, ...] = (-1,)
    grid: tuple[int, ...] = (1, 1, 1)
    kernel: int = 1
    stride: int = 1
    flat: bool = False
    foreground: bool = False
    outputs: tuple[str, ...] = ()
    appearance: bool = False
    shape: bool = False

    def __post_init__(self) -> None:
        for name in ("stages", "grid", "outputs"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.stages:
            raise ConfigError("a judge needs at least one stage", where="stages", repair="use [-1], the bottleneck")
        if len(self.grid) != 3 or min(self.grid) < 1 or self.kernel < 1 or self.stride < 1:
            raise ConfigError(
                f"grid {self.grid}, kernel {self.kernel} and stride {self.stride} must be at least 1", where="grid"
            )
        if any(k > cells for k, cells in zip(self.kernels, self.grid, strict=True)):
            raise ConfigError(
                f"a kernel of {self.kernel} is larger than the grid {self.grid}", repair="use a finer grid"
            )
        for name in self.outputs:
            check_output(name)

    @property
    def kernels(self) -> tuple[int, int, int]:
        """Kernel per axis."""
        return (self.kernel, self.kernel, 1 if self.flat else self.kernel)

    @property
    def strides(self) -> tuple[int, int, int]:
        """Stride per axis."""
        return (self.stride, self.stride, 1 if self.flat else self.stride)

    @property
    def cells(self) -> int:
        """Numbers that a channel of a feature map becomes."""
        return prod((g - k) // s + 1 for g, k, s in zip(self.grid, self.kernels, self.strides, strict=True))

    def to_json(self) -> dict[str, Any]:
        """What of it is not the default."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> View:
        """The view that `to_json` gave; raises ConfigError for an unknown key."""
        unknown = sorted(set(row) - {f.name for f in fields(cls)})
        if unknown:
            raise ConfigError(f"a view has no {', '.join(unknown)}", repair="update medswin, or get the package again")
        return cls(**row)


@dataclass(frozen=True)
class Layout:
    """Where the parts of a row lie: names of the parts in order, and of each how many numbers or their names."""

    parts: Mapping[str, int | tuple[str, ...]]

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return sum(_length(part) for part in self.parts.values())

    def place(self, name: str) -> list[int]:
        """Columns of a part, or of one named number.

        Raises:
            ConfigError: if there is none of this name.
        """
        first = 0
        for part, content in self.parts.items():
            columns = range(first, first + _length(content))
            if part == name:
                return list(columns)
            if isinstance(content, tuple) and name in content:
                return [columns[content.index(name)]]
            first = columns.stop
        raise ConfigError(f"a scan's row has no {name!r}", repair=f"use one of: {', '.join(self.parts)}")

    def names(self, part: str) -> tuple[str, ...]:
        """Names of a part's numbers; none where it has none, or is not there."""
        content = self.parts.get(part, ())
        return content if isinstance(content, tuple) else ()

    def to_json(self) -> dict[str, Any]:
        """A number or a list of names for each part."""
        return {name: part if isinstance(part, int) else list(part) for name, part in self.parts.items()}

    @classmethod
    def from_json(cls, row: Mapping[str, int | Sequence[str]]) -> Layout:
        """The layout that `to_json` gave."""
        return cls({name: part if isinstance(part, int) else tuple(map(str, part)) for name, part in row.items()})


def check_output(name: str) -> None:
    """Raise ConfigError unless an output of the network is known by this name."""
    kind, _, temperature = name.partition("@")
    if name in OUTPUTS or (kind in WITH_TEMPERATURE and _positive(temperature)):
        return
    known = ", ".join([*OUTPUTS, *(f"{kind}@T" for kind in WITH_TEMPERATURE)])
    raise ConfigError(f"no output of a network is called {name!r}", repair=f"use one of: {known}")


def is_output(name: str) -> bool:
    """Whether `check_output` finds it good."""
    try:
        check_output(name)
    except ConfigError:
        return False
    return True


def columns(table_ND: NDArray[np.float64], layout: Layout, names: Sequence[str]) -> NDArray[np.float64]:
    """The columns of these parts, one after the other, contiguous."""
    places = [place for name in names for place in layout.place(name)]
    return np.ascontiguousarray(table_ND[:, places])


def _length(part: int | tuple[str, ...]) -> int:
    return part if isinstance(part, int) else len(part)


def _positive(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False
