"""What the three panels of a key image share: volumes in closest RAS+ axes, the box shown, and one scale."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.figures.anatomy import PLANES, Plane, Pose, bounding_box, largest_slice
from medswin.figures.outline import style_of
from medswin.figures.window import Window, auto_window
from medswin.labels import Label, LabelSet

MARGIN_MM = 15.0


@dataclass(frozen=True)
class Scene:
    """A scan turned for looking at.

    Attributes:
        pose: how the stored grid lies in the patient.
        image: (X, Y, Z) intensities in closest RAS+ axes; ``labels``, ``reference`` and ``heat`` likewise.
        mask: (X, Y, Z) voxels of the structure that is shown.
        box: the part of the volume that is shown.
        panel_px: length of the longest side shown.
    """

    pose: Pose
    image: NDArray[Any]
    labels: NDArray[np.uint8]
    reference: NDArray[np.uint8] | None
    heat: NDArray[np.float32] | None
    mask: NDArray[np.bool_]
    label_set: LabelSet
    window: Window
    box: tuple[slice, slice, slice]
    panel_px: int

    @property
    def field_mm(self) -> tuple[float, float, float]:
        """Size of the box along x, y and z."""
        x, y, z = ((part.stop - part.start) * mm for part, mm in zip(self.box, self.pose.spacing_mm, strict=True))
        return x, y, z

    @property
    def px_per_mm(self) -> float:
        """One scale for all three panels, so that they can be compared."""
        return self.panel_px / max(self.field_mm)

    @property
    def slices(self) -> tuple[int, int, int]:
        """Index of the slice of the axial, coronal and sagittal plane in which the structure covers most."""
        axial, coronal, sagittal = (largest_slice(self.mask, plane.axis) for plane in PLANES)
        return axial, coronal, sagittal

    @cached_property
    def seen(self) -> dict[Label, int]:
        """Structures in the three panels, and how many voxels of each."""
        cuts = [self.cut(self.labels, plane, index) for plane, index in zip(PLANES, self.slices, strict=True)]
        counts = np.bincount(np.concatenate([cut.ravel() for cut in cuts]), minlength=256)
        return {label: int(counts[label.value]) for label in self.label_set if counts[label.value]}

    @property
    def numbered(self) -> bool:
        """Whether outlines of one style are seen, so that numbers tell the structures apart."""
        return len({style_of(label) for label in self.seen}) < len(self.seen)

    def size_px(self, plane: Plane) -> tuple[int, int]:
        """Width and height of a panel: millimetres decide, so voxels of any shape come out in proportion."""
        width, height = (max(1, round(self.field_mm[axis] * self.px_per_mm)) for axis in (plane.across, plane.down))
        return width, height

    def cut(self, volume_XYZ: NDArray[Any], plane: Plane, index: int) -> NDArray[Any]:
        """The part of a slice that lies in the box, as a picture (rows, columns); ``index`` counts in the volume."""
        shown = list(self.box)
        shown[plane.axis] = slice(index, index + 1)
        return plane.cut(volume_XYZ[tuple(shown)], 0)


def set_scene(
    image_XYZ: NDArray[Any],
    labels_XYZ: NDArray[np.uint8],
    affine: NDArray[np.float64],
    label_set: LabelSet,
    *,
    structure: str | None,
    known: bool,
    window: Window | None,
    reference_XYZ: NDArray[np.uint8] | None,
    panel_px: int,
    heat_XYZ: NDArray[np.float32] | None = None,
) -> Scene:
    """Turn a stored scan to its closest axes; a named structure is shown from nearby, None shows the whole field.

    Raises:
        InputError: for volumes that differ in shape, a singular affine, or a structure that is not in ``label_set``.
    """
    _same_shape("label map", labels_XYZ, image_XYZ)
    if reference_XYZ is not None:
        _same_shape("reference", reference_XYZ, image_XYZ)
    if heat_XYZ is not None:
        _same_shape("map of heat", heat_XYZ, image_XYZ)
    pose = Pose.of(image_XYZ.shape, affine, known=known)
    labels = pose.turn(labels_XYZ)
    mask = labels > 0 if structure is None else labels == _value(label_set, structure)
    whole = np.ones((1, 1, 1), dtype=bool) if structure is None else mask
    box = bounding_box(np.broadcast_to(whole, labels.shape), pose.spacing_mm, MARGIN_MM)
    return Scene(
        pose=pose,
        image=pose.turn(image_XYZ),
        labels=labels,
        reference=None if reference_XYZ is None else pose.turn(reference_XYZ),
        heat=None if heat_XYZ is None else pose.turn(heat_XYZ),
        mask=mask,
        label_set=label_set,
        window=window or auto_window(image_XYZ),
        box=box,
        panel_px=panel_px,
    )


def _same_shape(name: str, volume: NDArray[Any], image: NDArray[Any]) -> None:
    if volume.shape != image.shape:
        raise InputError(
            f"the {name} has shape {volume.shape}, the image {image.shape}", repair="give both on one grid"
        )


def _value(label_set: LabelSet, structure: str) -> int:
    for label in label_set:
        if label.name == structure:
            return label.value
    raise InputError(f"no structure is named {structure!r}", repair=f"use one of: {', '.join(label_set.names)}")
