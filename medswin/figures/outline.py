"""Outlines of label maps: the structure's rim, so that what lies inside stays to be seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medswin.labels import LabelSet


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
    """Draw the outline of each structure onto an RGB picture, in place and in the structure's colour."""
    for label in label_set:
        picture_HWC[outline(labels_HW == label.value, width_px)] = label.color


def paint_dashes(
    picture_HWC: NDArray[np.uint8], labels_HW: NDArray[np.uint8], color: Sequence[int] = (255, 255, 255)
) -> None:
    """Draw a dashed rim of each value of a reference label map onto an RGB picture, in place."""
    rows, columns = np.indices(labels_HW.shape)
    dash = (rows + columns) // 5 % 2 == 0
    for value in np.unique(labels_HW[labels_HW > 0]):
        picture_HWC[outline(labels_HW == value) & dash] = color
