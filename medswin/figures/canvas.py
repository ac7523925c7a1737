"""Text, side markers and scale bars on a picture; the drawing itself is Pillow's."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from medswin.figures.fonts import runs
from medswin.figures.outline import gaps

Color = tuple[int, int, int]
BLACK, WHITE, SOFT, AMBER = (0, 0, 0), (255, 255, 255), (190, 196, 204), (255, 196, 77)
TEXT_PX, MARKER_PX, NUMBER_PX, SWATCH_PX = 13, 20, 11, 26


@cache
def font(size_px: int, path: Path | None = None) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A font's file, or Pillow's own built-in font, which looks the same on every machine."""
    return ImageFont.load_default(size_px) if path is None else ImageFont.truetype(path, size_px)


def text_width(text: str, size_px: int = TEXT_PX) -> int:
    """Width of a line of text in pixels, rounded up."""
    return int(np.ceil(sum(font(size_px, path).getlength(part) for part, path in runs(text))))


def fold(text: str, width_px: int, size_px: int = TEXT_PX) -> list[str]:
    """The text in lines no wider than ``width_px``, broken between words; a longer word stays whole."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size_px) <= width_px:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


class Canvas:
    """A black RGB picture to draw on; positions are (x, y) pixels from the top left corner."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self.image = Image.new("RGB", (width_px, height_px), BLACK)
        self._draw = ImageDraw.Draw(self.image)

    def text(self, x: int, y: int, text: str, color: Color = SOFT, size_px: int = TEXT_PX) -> None:
        at, base = float(x), y + font(size_px).getbbox("A", anchor="la")[3]
        for part, path in runs(text):
            self._draw.text((at, base), part, fill=color, font=font(size_px, path), anchor="ls")
            at += font(size_px, path).getlength(part)

    def marker(self, x: int, y: int, letter: str) -> None:
        """A side letter with its middle at (x, y)."""
        self._draw.text((x, y), letter, fill=AMBER, font=font(MARKER_PX), anchor="mm")

    def line(self, x: int, y: int, color: Color, style: int) -> None:
        """The legend of an outline: a piece of it."""
        for at in np.flatnonzero(gaps(np.arange(SWATCH_PX), style)).tolist():
            self._draw.line((x + at, y + 5, x + at, y + 7), fill=color)

    def number(self, x: int, y: int, number: int, anchor: str) -> None:
        """A number in white with a dark rim; ``anchor`` as Pillow has it."""
        self._draw.text(
            (x, y), str(number), fill=WHITE, font=font(NUMBER_PX), anchor=anchor, stroke_width=2, stroke_fill=BLACK
        )

    def dashes(self, x: int, y: int) -> None:
        """The legend of a dashed rim."""
        for start in range(0, SWATCH_PX, 5):
            self._draw.line((x + start, y + 6, x + start + 2, y + 6), fill=WHITE, width=2)

    def scale_bar(self, x: int, y: int, length_px: int, label: str) -> None:
        """A bar with end ticks from (x, y) to the right and its length in words behind it."""
        self._draw.line((x, y, x + length_px, y), fill=WHITE, width=2)
        for end in (x, x + length_px):
            self._draw.line((end, y - 4, end, y + 4), fill=WHITE, width=2)
        self._draw.text((x + length_px + 8, y), label, fill=WHITE, font=font(TEXT_PX), anchor="lm")

    def paste(self, x: int, y: int, picture_HWC: NDArray[np.uint8]) -> None:
        self.image.paste(Image.fromarray(picture_HWC), (x, y))

    def pixels(self) -> NDArray[np.uint8]:
        return np.asarray(self.image, dtype=np.uint8).copy()


def stretch(picture_HW: NDArray[np.uint8], width_px: int, height_px: int, *, smooth: bool) -> NDArray[np.uint8]:
    """The picture at another size: bicubic for grey values, nearest neighbour for label values."""
    how = Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(np.ascontiguousarray(picture_HW)).resize((width_px, height_px), how))


def nice_length_mm(field_mm: float, steps: Sequence[int] = (5, 2, 1)) -> float:
    """The longest of ..., 1, 2, 5, 10, 20, 50, ... mm that is at most a third of the field."""
    decade = 10.0 ** np.floor(np.log10(field_mm / 3))
    return float(next(step * decade for step in steps if step * decade <= field_mm / 3 * (1 + 1e-9)))
