"""Lays a key image out: a panel per plane with its sides, scale and position, and below them how to read it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medswin.figures.anatomy import PLANES, Plane
from medswin.figures.canvas import AMBER, SWATCH_PX, WHITE, Canvas, Color, fold, nice_length_mm, stretch, text_width
from medswin.figures.fonts import readable
from medswin.figures.outline import paint_dashes, paint_outlines, style_of
from medswin.figures.scene import Scene
from medswin.figures.window import to_gray
from medswin.labels import Label

BANNER = "Research use only. Not a medical device. Not for diagnosis."
HEAT, HEAT_SHARE = (60, 220, 110), 0.6
GUTTER_PX, LINE_PX, GAP_PX = 26, 20, 14
_NARROWEST_PX, _PAD_PX, _ENTRY_PX = 520, 4, SWATCH_PX + 22
_MOST_ROWS, _REFERENCE = 6, "reference"
_DEEP_PX = 10  # from here on a number has room within its structure

# Words in the legend with the structure that they name; the reference and words alone have none.
_Entry = tuple[str, Label | None]


def lay_out(scene: Scene, heading: str) -> NDArray[np.uint8]:
    """The finished sheet as (H, W, 3) RGB: heading, three panels, legend, notes and the research-use banner."""
    panels = [panel(scene, plane, index) for plane, index in zip(PLANES, scene.slices, strict=True)]
    width = max(_NARROWEST_PX, sum(p.image.width for p in panels) + GAP_PX * (len(panels) - 1))
    heads = fold(heading, width - 2 * _PAD_PX)
    legend = _legend(scene, width)
    notes = [note for note in (scene.pose.note, f"Window: {scene.window}") if note]
    lines = [line for note in notes for line in fold(note, width - 2 * _PAD_PX)]
    top, body = len(heads) * LINE_PX, max(p.image.height for p in panels)
    sheet = Canvas(width, top + body + (len(legend) + len(lines) + 1) * LINE_PX + 2 * _PAD_PX)
    _write(sheet, 0, heads, WHITE)
    x = 0
    for part in panels:
        sheet.image.paste(part.image, (x, top))
        x += part.image.width + GAP_PX
    y = _draw_legend(sheet, top + body, legend)
    y = _write(sheet, y, lines, WHITE)
    _write(sheet, y, [BANNER], AMBER)
    return sheet.pixels()


def panel(scene: Scene, plane: Plane, index: int) -> Canvas:
    """One plane with its caption above, its four side letters around it and its scale bar below."""
    width, height = scene.size_px(plane)
    caption = scene.pose.caption(plane, index)
    full = max(width + 2 * GUTTER_PX, text_width(caption) + 2 * _PAD_PX)
    canvas = Canvas(full, height + 2 * GUTTER_PX + 2 * LINE_PX + _PAD_PX)
    x, y, half = (full - width) // 2, LINE_PX + GUTTER_PX, GUTTER_PX // 2
    canvas.text(_PAD_PX, 3, caption, WHITE)
    canvas.paste(x, y, picture(scene, plane, index))
    if scene.numbered:
        _draw_numbers(canvas, x, y, scene, plane, index)
    left, right, top, bottom = scene.pose.edges(plane)
    canvas.marker(x - half, y + height // 2, left)
    canvas.marker(x + width + half, y + height // 2, right)
    canvas.marker(x + width // 2, y - half, top)
    canvas.marker(x + width // 2, y + height + half, bottom)
    length_mm = nice_length_mm(max(scene.field_mm))
    canvas.scale_bar(x + 1, y + height + GUTTER_PX + 10, round(length_mm * scene.px_per_mm), f"{length_mm:g} mm")
    return canvas


def picture(scene: Scene, plane: Plane, index: int) -> NDArray[np.uint8]:
    """The slice itself, (H, W, 3) RGB: grey values smoothed to size, outlines true to the voxels."""
    width, height = scene.size_px(plane)
    gray = stretch(to_gray(scene.cut(scene.image, plane, index), scene.window), width, height, smooth=True)
    pixels = np.repeat(gray[..., None], 3, axis=2)
    if scene.heat is not None:
        levels = (255 * scene.cut(scene.heat, plane, index).clip(0, 1)).astype(np.uint8)
        share = HEAT_SHARE * stretch(levels, width, height, smooth=True)[..., None] / 255
        pixels = ((1 - share) * pixels + share * np.array(HEAT)).astype(np.uint8)
    labels = stretch(scene.cut(scene.labels, plane, index), width, height, smooth=False)
    paint_outlines(pixels, labels, scene.label_set)
    if scene.reference is not None:
        paint_dashes(pixels, stretch(scene.cut(scene.reference, plane, index), width, height, smooth=False))
    return pixels


def _draw_numbers(canvas: Canvas, x: int, y: int, scene: Scene, plane: Plane, index: int) -> None:
    """Each structure's number in its largest piece, or to the right of one without room, on a panel at (x, y)."""
    labels = stretch(scene.cut(scene.labels, plane, index), *scene.size_px(plane), smooth=False)
    for label in scene.seen:
        depth = ndimage.distance_transform_edt(np.pad(labels == label.value, 1))[1:-1, 1:-1]
        if not depth.any():
            continue
        row, column = np.unravel_index(depth.argmax(), depth.shape)
        if depth[row, column] >= _DEEP_PX:
            canvas.number(x + int(column), y + int(row), label.value, "mm")
        else:
            right = int(column) + np.argmin(labels[row, column:] == label.value, axis=0)
            canvas.number(x + int(right) + 4, y + int(row), label.value, "lm")


def name_of(label: Label, *, numbered: bool) -> str:
    """A structure's name in a picture, with its number where that is drawn; the number alone where no font has it."""
    if not readable(label.name):
        return f"structure {label.value}"
    told = label.name.startswith(f"{label.value} ")
    return f"{label.value} {label.name}" if numbered and not told else label.name


def _legend(scene: Scene, width_px: int) -> list[list[_Entry]]:
    """What is seen, in rows that fit; where that is too much, the largest of it."""
    largest = sorted(scene.seen, key=lambda label: -scene.seen[label])
    end: list[_Entry] = [(_REFERENCE, None)] if scene.reference is not None else []
    for left_out in range(len(largest) + 1):
        kept = set(largest[: len(largest) - left_out])
        entries: list[_Entry] = [(name_of(one, numbered=scene.numbered), one) for one in scene.seen if one in kept]
        more: list[_Entry] = [(f"and {left_out} more", None)] if left_out else []
        rows = _rows([*entries, *more, *end], width_px)
        if len(rows) <= _MOST_ROWS:
            break
    return rows


def _rows(entries: list[_Entry], width_px: int) -> list[list[_Entry]]:
    rows: list[list[_Entry]] = []
    used = width_px
    for entry in entries:
        need = text_width(entry[0]) + _ENTRY_PX
        if used + need > width_px:
            rows.append([])
            used = _PAD_PX
        rows[-1].append(entry)
        used += need
    return rows


def _draw_legend(canvas: Canvas, y: int, rows: list[list[_Entry]]) -> int:
    """Draw the legend from ``y`` down; returns where it ends."""
    for row in rows:
        x = _PAD_PX
        for name, drawn in row:
            if isinstance(drawn, Label):
                canvas.line(x, y + 4, drawn.color, style_of(drawn))
            elif name == _REFERENCE:
                canvas.dashes(x, y + 4)
            canvas.text(x + SWATCH_PX + 6, y + 3, name)
            x += text_width(name) + _ENTRY_PX
        y += LINE_PX
    return y


def _write(canvas: Canvas, y: int, lines: list[str], color: Color) -> int:
    """Write lines from ``y`` down; returns where they end."""
    for line in lines:
        canvas.text(_PAD_PX, y + 3, line, color)
        y += LINE_PX
    return y
