"""A picture of what a pre-training task hid and found again: three planes, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medswin.figures.anatomy import PLANES
from medswin.figures.canvas import MARKER_PX, TEXT_PX, Canvas
from medswin.figures.key_image import KeyImage
from medswin.figures.window import auto_window, to_gray

GAP = 8


def reconstruction(patches_XYZ: Mapping[str, NDArray[Any]], *, title: str = "", panel_px: int = 200) -> KeyImage:
    """Middle slices of several patches on one grid in one grey window, a row for each plane.

    Args:
        patches_XYZ: (X, Y, Z) in closest RAS axes, by what they are called; the first sets the grey window. A turned
            patch lies as it was turned: sides are not printed.
        title: words for the top line; no name of a patient.
        panel_px: length of the longest side shown.
    """
    first = next(iter(patches_XYZ.values()))
    window = auto_window(first)
    scale = max(panel_px // max(first.shape), 1)
    top = TEXT_PX + MARKER_PX
    rows = []
    for plane in PLANES:
        cuts = [plane.cut(to_gray(patch, window), patch.shape[plane.axis] // 2) for patch in patches_XYZ.values()]
        rows.append([np.kron(cut, np.ones((scale, scale), dtype=np.uint8)) for cut in cuts])
    cell = max(row[0].shape[1] for row in rows)
    width = GAP + len(patches_XYZ) * (cell + GAP)
    height = 2 * top + sum(row[0].shape[0] + GAP for row in rows)
    canvas = Canvas(width, height)
    canvas.text(GAP, GAP, title)
    for i, name in enumerate(patches_XYZ):
        canvas.text(GAP + i * (cell + GAP), top, name)
    y = 2 * top
    for row in rows:
        for i, cut in enumerate(row):
            canvas.paste(GAP + i * (cell + GAP), y, np.asarray(Image.fromarray(cut).convert("RGB")))
        y += row[0].shape[0] + GAP
    middle = tuple(size // 2 for size in first.shape)
    return KeyImage(
        np.asarray(canvas.image), f"{title}: {', '.join(patches_XYZ)}; middle slices", (middle[2], middle[1], middle[0])
    )
