"""Outlines of label maps: the structure's rim, so that what lies inside stays to be seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray
from scipy.spatial import KDTree

from medswin.labels import Label, LabelSet

STYLES = ((1, 0), (9, 6), (3, 4))
"""Pixels of an outline that are drawn, and left out, in turn: solid, dashed and dotted, so that three structures can be
told apart without their colours."""


def outline(mask_HW: NDArray[np.bool_], width_px: int = 1) -> NDArray[np.bool_]:
    """The pixels of a mask that are within ``width_px`` steps (up, down, left, right) of a pixel outside it.

    The rim lies inside the mask, so it never claims tissue that was not segmented. Beyond the picture the mask is
    taken to go on: a structure that leaves the picture stays open there.
    """
    mask: NDArray[np.bool_] = np.asarray(mask_HW, dtype=bool)
    core = mask
    for _ in range(width_px):
        padded = np.pad(core, 1, constant_values=True)
        core = core & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rim: NDArray[np.bool_] = mask & ~core
    return rim


def paint_outlines(
    picture_HWC: NDArray[np.uint8], labels_HW: NDArray[np.uint8], label_set: LabelSet, width_px: int = 2
) -> None:
    """Draw the outline of each structure onto an RGB picture, in place, in the structure's colour and style.

    A dark rim of one pixel around it, and dark gaps, set it off from tissue that is as bright.
    """
    found = [label for label in label_set if (labels_HW == label.value).any()]
    masks = {label.value: labels_HW == label.value for label in found}
    for mask in masks.values():
        picture_HWC[outline(~mask) | outline(mask, width_px)] = 0
    for label in found:
        rim = outline(masks[label.value], width_px)
        drawn = np.argwhere(rim)[gaps(_along(masks[label.value], rim), style_of(label))]
        picture_HWC[tuple(drawn.T)] = label.color


def style_of(label: Label) -> int:
    """The style of a structure's outline, of `STYLES`."""
    return (label.value - 1) % len(STYLES)


def gaps(along_px: NDArray[np.floating | np.integer], style: int) -> NDArray[np.bool_]:
    """Whether an outline is drawn at these lengths along it."""
    drawn, left_out = STYLES[style]
    shown: NDArray[np.bool_] = along_px % (drawn + left_out) < drawn
    return shown


def _along(mask: NDArray[np.bool_], rim: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How far along the outline each pixel of a rim lies, by the closest point of it, in pixels."""
    padded = np.pad(mask, 1).astype(np.float64)
    lines = [np.asarray(line) for line in contour_generator(z=padded).lines(0.5)]
    lengths = [np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))]) for line in lines]
    _, nearest = KDTree(np.concatenate(lines)[:, ::-1] - 1).query(np.argwhere(rim))
    return np.asarray(np.concatenate(lengths)[nearest], dtype=np.float64)


def paint_dashes(
    picture_HWC: NDArray[np.uint8], labels_HW: NDArray[np.uint8], color: Sequence[int] = (255, 255, 255)
) -> None:
    """Draw a dashed rim of each value of a reference label map onto an RGB picture, in place."""
    rows, columns = np.indices(labels_HW.shape)
    dash = (rows + columns) // 5 % 2 == 0
    for value in np.unique(labels_HW[labels_HW > 0]):
        picture_HWC[outline(labels_HW == value) & dash] = color
