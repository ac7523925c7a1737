"""Lays a key image out: a panel per plane with its sides, scale and position, and below them how to read it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medswin.figures.anatomy import PLANES, Plane
from medswin.figures.canvas import AMBER, WHITE, Canvas, Color, fold, nice_length_mm, stretch, text_width
from medswin.figures.outline import paint_dashes, paint_outlines
from medswin.figures.scene import Scene
from medswin.figures.window import to_gray

BANNER = "Research use only. Not a medical device. Not for diagnosis."
HEAT, HEAT_SHARE = (60, 220, 110), 0.6
GUTTER_PX, LINE_PX, GAP_PX = 26, 20, 14
_NARROWEST_PX, _PAD_PX, _SWATCH_PX = 520, 4, 34

# A name in the legend with its colour; None is the dashed reference.
_Entry = tuple[str, Color | None]


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


def _legend(scene: Scene, width_px: int) -> list[list[_Entry]]:
    """Names with their colours, in rows that fit."""
    entries: list[_Entry] = [(label.name, label.color) for label in scene.label_set]
    if scene.reference is not None:
        entries.append(("reference", None))
    rows: list[list[_Entry]] = []
    used = width_px
    for entry in entries:
        need = text_width(entry[0]) + _SWATCH_PX
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
        for name, color in row:
            if color is None:
                canvas.dashes(x, y + 4)
            else:
                canvas.swatch(x, y + 4, color)
            canvas.text(x + 18, y + 3, name)
            x += text_width(name) + _SWATCH_PX
        y += LINE_PX
    return y


def _write(canvas: Canvas, y: int, lines: list[str], color: Color) -> int:
    """Write lines from ``y`` down; returns where they end."""
    for line in lines:
        canvas.text(_PAD_PX, y + 3, line, color)
        y += LINE_PX
    return y
