"""Names, colours and codes of the structures that a model segments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from medswin.errors import InputError

# Okabe and Ito's eight colours without black: told apart by colour-blind readers too.
_FIRST = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
# Each the farthest in OKLab (Ottosson 2020) from all before it, among those that are neither dark nor grey: lightness
# above 0.5, chroma above 0.08. One hexadecimal digit for red, green and blue.
_FURTHER = (
    "90f fcf 4fe 0d0 f2f a18 760 04f f06 77f 6c9 f8f b12 758 8a0 fb9 6f8 b5d 64c baf ffb f76 076 984 f5b 9df 080 "
    "d0a f9b a56 09b ac0 87b bd9 09f 60f 0a0 90b c0f 1f0 e10 c16 c86 bf0 8a7 0dd 07e a8f bb6 d56 bfa a50 0bb d6f "
    "0c6 b59 fb4 fd9 95f 55f 94a 89d 683 ff0 0ea aff f50 66c eaf c9c f96 d99 f0c f09 b1c f58 b90 0b8 388 8d7 58c "
    "d3d 373 6cf 8e2 c7d dc0 c43 fbc a36 be6 9ec d5a 569 b70 e70 f7a b65 35d 84d 5b0 5a5 a8b ef8 b3a f6e 0e6 96d "
    "969 da7 d38 7b6 6fb"
)
PALETTE: tuple[tuple[int, int, int], ...] = (
    *_FIRST,
    *((17 * int(rgb[0], 16), 17 * int(rgb[1], 16), 17 * int(rgb[2], 16)) for rgb in _FURTHER.split()),
)
"""120 colours that differ; the first seven do for colour-blind readers too."""

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
        """Labels 1, 2, ... with these names, in the colours of `PALETTE`, which begin again after 120."""
        return cls(tuple(Label(i + 1, name, PALETTE[i % len(PALETTE)]) for i, name in enumerate(names)))

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]]) -> LabelSet:
        return cls(tuple(Label(**{**row, "color": tuple(row["color"]), **_codes(row)}) for row in rows))

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(label) for label in self.labels]


def _codes(row: dict[str, Any]) -> dict[str, Code | None]:
    return {key: Code(**row[key]) if row.get(key) else None for key in ("code", "modifier")}
