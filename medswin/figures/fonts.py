"""Fonts for names in any alphabet: one that is always there, and for what it lacks those that the system has."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

_SPECIAL = ("bold", "italic", "oblique", "black", "light", "thin", "mono", "serif")
_NO_LETTERS = ("lastresort", "blank")
"""In the names of fonts that have a box, or nothing, for every letter."""


def always(*, bold: bool = False) -> Path:
    """DejaVu Sans, which comes with matplotlib and has the letters of most alphabets."""
    import matplotlib as mpl

    return Path(mpl.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"


@cache
def letters(path: Path) -> frozenset[int]:
    """Code points that a font has; none where it cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(str(path)).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@cache
def installed() -> tuple[Path, ...]:
    """Fonts of the system, plain ones first."""
    from matplotlib.font_manager import findSystemFonts

    found = [Path(path) for path in findSystemFonts()]
    kept = [path for path in found if not any(word in path.name.lower() for word in _NO_LETTERS)]
    return tuple(sorted(kept, key=lambda path: (any(word in path.name.lower() for word in _SPECIAL), path.name)))


def fonts_with(letter: str) -> Iterator[Path]:
    """Fonts that have a letter, the one that is always there first."""
    if ord(letter) in letters(always()):
        yield always()
    yield from (path for path in installed() if ord(letter) in letters(path))


@cache
def font_of(letter: str) -> Path | None:
    """The font to draw a letter with; None where none has it."""
    return next(fonts_with(letter), None)


def readable(text: str) -> bool:
    """Whether there is a font for each letter."""
    return all(letter.isascii() or not letter.isprintable() or font_of(letter) for letter in text)


def runs(text: str) -> list[tuple[str, Path | None]]:
    """The text in parts of one font each; None stands for Pillow's own, which has ASCII.

    Spaces, which all that cannot be printed becomes, stay within the words of another alphabet, which may run from
    right to left. A letter that no font has is written as its code point.
    """
    parts: list[tuple[str, Path | None]] = []
    for letter in text:
        shown, path = letter if letter.isprintable() else " ", None
        if not shown.isascii():
            path = font_of(letter)
            shown = letter if path else f"[U+{ord(letter):04X}]"
        if parts and (parts[-1][1] == path or shown == " "):
            parts[-1] = (parts[-1][0] + shown, parts[-1][1])
        else:
            parts.append((shown, path))
    return parts
