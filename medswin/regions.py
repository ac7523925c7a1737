"""Overlapping regions: what a network outlines where structures lie inside each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medswin.errors import ConfigError
from medswin.labels import LabelSet

_KEYS = {"of", "paints", "threshold"}


@dataclass(frozen=True)
class Region:
    """Structures that a network outlines as one, with an output of their own.

    Attributes:
        of: values of the structures that it is made of.
        paints: the one of them that it is drawn as, unless a region behind it draws over it.
        threshold: a voxel whose probability is above this lies in the region; in (0, 1).
    """

    of: tuple[int, ...]
    paints: int
    threshold: float = 0.5


@dataclass(frozen=True)
class Regions:
    """The regions of a network, one for each of its outputs, in the order in which they are painted.

    A tumour with its core, where the core is all but the oedema: first the tumour, which paints oedema, then the core,
    which paints core. Cutting a label map into its regions and painting these gives the label map again.

    Raises:
        ConfigError: where it would not, since a structure is not what the last region that holds it paints; for a
            threshold outside (0, 1).
    """

    regions: tuple[Region, ...]
    label_set: LabelSet

    def __post_init__(self) -> None:
        for region in self.regions:
            if not 0 < region.threshold < 1:
                raise ConfigError(f"a threshold lies between 0 and 1, got {region.threshold}", where="regions")
        for label in self.label_set:
            holding = [region for region in self.regions if label.value in region.of]
            if not holding or holding[-1].paints != label.value:
                what = f"is drawn as {self._name(holding[-1].paints)}" if holding else "is in no region"
                raise ConfigError(
                    f"{label.name} {what}, so that no scan could have it",
                    where="regions",
                    repair="let the last region that holds a structure paint it: outer regions first",
                )

    def __iter__(self) -> Iterator[Region]:
        return iter(self.regions)

    def __len__(self) -> int:
        return len(self.regions)

    @classmethod
    def from_json(cls, rows: Sequence[Any], label_set: LabelSet) -> Regions:
        """Regions from rows of ``of`` (names of structures), ``paints`` (a name) and ``threshold`` (0.5).

        Raises:
            ConfigError: for other keys, or a name that no structure has.
        """
        values = {label.name: label.value for label in label_set}
        found = []
        for row in rows:
            if not isinstance(row, Mapping) or not {"of", "paints"} <= {*row} <= _KEYS:
                raise ConfigError(f"a region is told by of, paints and threshold, got {row}", where="regions")
            unknown = sorted({*row["of"], row["paints"]} - {*values})
            if unknown:
                known = ", ".join(values)
                raise ConfigError(f"no structure is called {unknown[0]!r}", where="regions", repair=f"use {known}")
            of = tuple(values[name] for name in row["of"])
            found.append(Region(of, values[row["paints"]], float(row.get("threshold", 0.5))))
        return cls(tuple(found), label_set)

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {"of": [*map(self._name, region.of)], "paints": self._name(region.paints), "threshold": region.threshold}
            for region in self
        ]

    def _name(self, value: int) -> str:
        names = {label.value: label.name for label in self.label_set}
        return names.get(value, str(value))
