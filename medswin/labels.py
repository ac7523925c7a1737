"""Names, colours and codes of the structures that a model segments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from medswin.errors import InputError

# Okabe and Ito's eight colours without black: told apart by colour-blind readers too.
PALETTE = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))


_SIDES = {"left", "right", "l", "r"}


@dataclass(frozen=True)
class Code:
    """A coded concept as DICOM writes it: value, coding scheme (``"SCT"``) and meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One structure: its voxel value in a label map, its name, its colour (0-255) and its SNOMED codes.

    ``code`` names the structure; ``modifier`` the part of it, where a model tells parts apart.
    """

    value: int
    name: str
    color: tuple[int, int, int]
    code: Code | None = None
    modifier: Code | None = None


LARGEST_VALUE = 255


@dataclass(frozen=True)
class LabelSet:
    """The structures of a model in ascending voxel value; 0 is the background and is never listed.

    Raises:
        InputError: for values that are not 1, 2, ... in order, more than 255 of them, or a name that is used twice.
    """

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        values = [label.value for label in self.labels]
        if values != list(range(1, len(values) + 1)):
            raise InputError(f"label values must be 1, 2, ... in order, got {values}", repair="renumber the labels")
        if len(values) > LARGEST_VALUE:
            raise InputError(f"a label map has one byte per voxel: {len(values)} labels are too many", repair="use 255")
        names = [label.name for label in self.labels]
        if len(set(names)) != len(names):
            raise InputError(f"label names must differ, got {names}", repair="rename the labels")

    def __iter__(self) -> Iterator[Label]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    @property
    def sided(self) -> bool:
        """Whether a structure's name says left or right."""
        return any(_SIDES & set(re.split(r"[^a-z]+", name.lower())) for name in self.names)

    @classmethod
    def from_names(cls, names: list[str]) -> LabelSet:
        """Labels 1, 2, ... with these names, in colours that colour-blind readers can tell apart."""
        return cls(tuple(Label(i + 1, name, PALETTE[i % len(PALETTE)]) for i, name in enumerate(names)))

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]]) -> LabelSet:
        return cls(tuple(Label(**{**row, "color": tuple(row["color"]), **_codes(row)}) for row in rows))

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(label) for label in self.labels]


def _codes(row: dict[str, Any]) -> dict[str, Code | None]:
    return {key: Code(**row[key]) if row.get(key) else None for key in ("code", "modifier")}
