"""Key images: the three planes of a scan where a structure is largest, with all that is needed to read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medswin.figures.scene import Scene, set_scene
from medswin.figures.sheet import lay_out, name_of
from medswin.figures.window import Window
from medswin.io.files import replacing
from medswin.labels import LabelSet

WHOLE = "whole field"


@dataclass(frozen=True)
class KeyImage:
    """A finished picture.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        words: what is shown in a sentence or two, for readers who cannot see it.
        slices: index of the slice in the axial, coronal and sagittal panel, in closest RAS+ axes.
    """

    pixels: NDArray[np.uint8]
    words: str
    slices: tuple[int, int, int]


def key_image(
    image_XYZ: NDArray[Any],
    labels_XYZ: NDArray[np.uint8],
    affine: NDArray[np.float64],
    label_set: LabelSet,
    *,
    structure: str | None = None,
    known: bool = True,
    window: Window | None = None,
    reference_XYZ: NDArray[np.uint8] | None = None,
    heat_XYZ: NDArray[np.float32] | None = None,
    panel_px: int = 360,
    title: str = "",
) -> KeyImage:
    """Draw the axial, coronal and sagittal slice in which a structure covers most, side by side at one scale.

    Args:
        image_XYZ: intensities, stored in any orientation.
        labels_XYZ: label map on the same grid; structures are outlined in the colours of ``label_set``, solid, dashed
            or dotted; where two of one style are seen, each has its number.
        affine: (4, 4) voxel index -> RAS+ mm. It alone decides which way the picture is turned.
        label_set: names and colours of the structures.
        structure: name of the structure to show, from nearby; None shows the whole field through all structures.
        known: False where the file stores no orientation: sides are printed as ``?`` and positions are left out.
        window: the grey window; by default the 0.5th to the 99.5th percentile.
        reference_XYZ: a second label map (a person's), drawn dashed in white.
        heat_XYZ: a map from 0 to 1, laid over the grey values in green, stronger where it is higher.
        panel_px: length of the longest side shown.
        title: words for the top line; no name of a patient.

    Raises:
        InputError: for volumes that differ in shape, a singular affine, or a structure that is not in ``label_set``.
    """
    scene = set_scene(
        image_XYZ, labels_XYZ, affine, label_set, structure=structure, known=known, window=window,
        reference_XYZ=reference_XYZ, heat_XYZ=heat_XYZ, panel_px=panel_px,
    )  # fmt: skip
    drawn = [name_of(label, numbered=scene.numbered) for label in label_set if label.name == structure]
    words = f"{_heading(scene, structure or WHOLE, title)}. {scene.pose.note}"
    sheet = lay_out(scene, _heading(scene, (drawn or [WHOLE])[0], title))
    return KeyImage(sheet, " ".join(words.split()), scene.slices)


def save_png(path: Path | str, picture: KeyImage) -> None:
    """Write the picture as PNG, whole or not at all."""
    with replacing(Path(path)) as temporary:
        Image.fromarray(picture.pixels).save(temporary, format="PNG")


def _heading(scene: Scene, shown: str, title: str) -> str:
    where = "slices of largest area" if scene.mask.any() else "nothing segmented"
    x, y, z = scene.field_mm
    return f"{title + ': ' if title else ''}{shown}, {where}, field {x:.0f} x {y:.0f} x {z:.0f} mm"
