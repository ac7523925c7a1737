"""Which way a scan lies in the patient, and the three planes that it is looked at in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.affines import obliquity, voxel_sizes
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation, ornt2axcodes
from numpy.typing import NDArray

from medswin.errors import InputError

# A tilt below this is what rounding in headers makes; above it a reader should know that no axis is hit exactly.
OBLIQUE_DEG = 1.0


@dataclass(frozen=True)
class Plane:
    """One of the three planes, as cut from a volume in closest RAS+ axes.

    Attributes:
        name: ``"axial"``, ``"coronal"`` or ``"sagittal"``.
        axis: the axis that is cut across (0 = x, 1 = y, 2 = z).
        across: the axis that runs along the picture's rows, from its high end to its low end.
        down: the axis that runs along the picture's columns, from its high end to its low end.
        edges: letters at the left, right, top and bottom of the picture.
    """

    name: str
    axis: int
    across: int
    down: int
    edges: tuple[str, str, str, str]

    def cut(self, volume_XYZ: NDArray[Any], index: int) -> NDArray[Any]:
        """The picture (rows, columns) at ``index``; both in-plane axes of RAS+ run against the picture's."""
        return np.flip(volume_XYZ.take(index, axis=self.axis).T)

    @property
    def coordinate(self) -> str:
        return "xyz"[self.axis]


PLANES = (
    Plane("axial", axis=2, across=0, down=1, edges=("R", "L", "A", "P")),
    Plane("coronal", axis=1, across=0, down=2, edges=("R", "L", "S", "I")),
    Plane("sagittal", axis=0, across=1, down=2, edges=("A", "P", "S", "I")),
)


@dataclass(frozen=True)
class Pose:
    """How a stored grid lies in the patient, and how to turn it to its closest RAS+ axes.

    Attributes:
        affine: (4, 4) index of the *turned* grid -> RAS+ mm.
        shape: (X, Y, Z) of the turned grid.
        orientation: (3, 2) nibabel orientation of the stored grid.
        tilt_deg: largest angle between a grid axis and its closest patient axis, in degrees.
        known: False where the file does not say which way the patient lies; sides are then ``?``.
    """

    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    orientation: NDArray[np.float64]
    tilt_deg: float
    known: bool = True

    @classmethod
    def of(cls, shape: tuple[int, ...], affine: NDArray[np.float64], *, known: bool = True) -> Pose:
        """The pose of a stored (X, Y, Z) grid.

        Raises:
            InputError: for a grid that is not 3D or is empty, or an affine that is not finite or flattens the grid.
        """
        affine = np.asarray(affine, dtype=np.float64)
        if len(shape) != 3 or 0 in shape:
            raise InputError(f"a picture needs a (X, Y, Z) volume with voxels in it, got shape {tuple(shape)}")
        if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
            raise InputError(
                f"a picture needs a finite (4, 4) affine with three axes, got {affine.tolist()}",
                repair="store the voxel spacing and orientation in the file's header",
            )
        orientation = np.asarray(io_orientation(affine))
        turned = np.asarray(affine @ inv_ornt_aff(orientation, shape), dtype=np.float64)
        sizes = [0, 0, 0]
        for stored, patient in enumerate(orientation[:, 0].astype(int)):
            sizes[patient] = int(shape[stored])
        tilt = float(np.degrees(np.max(obliquity(affine))))
        return cls(turned, (sizes[0], sizes[1], sizes[2]), orientation, tilt, known)

    def turn(self, volume_XYZ: NDArray[Any]) -> NDArray[Any]:
        """The stored volume in closest RAS+ axes; flips and swaps only, no value changes."""
        return np.asarray(apply_orientation(volume_XYZ, self.orientation))

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size along the turned x, y and z axes."""
        x, y, z = (float(size) for size in voxel_sizes(self.affine))
        return x, y, z

    @property
    def step_mm(self) -> NDArray[np.float64]:
        """How far the patient coordinate of each axis grows from one slice of it to the next."""
        return np.diag(self.affine[:3, :3]).copy()

    @property
    def origin_mm(self) -> NDArray[np.float64]:
        """Patient coordinate of slice 0 of each axis, at the middle of that slice (it varies over an oblique one)."""
        middle = (np.array(self.shape) - 1) / 2
        return np.asarray(self.affine[:3, :3] @ middle + self.affine[:3, 3] - self.step_mm * middle, dtype=np.float64)

    @property
    def stored_axes(self) -> str:
        """Where the stored grid's first, second and third axis run, as letters: ``"L P S"``."""
        return " ".join(map(str, ornt2axcodes(self.orientation)))

    @property
    def note(self) -> str:
        """What a reader must know about the axes; empty for a scan that lies along the patient's."""
        if not self.known:
            return "orientation not stored: sides unknown"
        return f"oblique ({self.tilt_deg:.0f} deg), nearest axes" if self.tilt_deg > OBLIQUE_DEG else ""

    def edges(self, plane: Plane) -> tuple[str, str, str, str]:
        """Letters at the left, right, top and bottom of ``plane``: ``?`` where the file does not tell."""
        return plane.edges if self.known else ("?", "?", "?", "?")

    def caption(self, plane: Plane, index: int) -> str:
        """Which slice this is: plane, position in mm, number (1 is the lowest coordinate)."""
        count = f"slice {index + 1}/{self.shape[plane.axis]}"
        if not self.known:
            return f"Across axis {plane.axis + 1}, {count}"
        position = self.origin_mm[plane.axis] + self.step_mm[plane.axis] * index
        # Adding 0.0 turns a rounded -0.0 into 0.0.
        return f"{plane.name.capitalize()}, {plane.coordinate} = {round(float(position), 1) + 0.0:.1f} mm, {count}"


def largest_slice(mask_XYZ: NDArray[np.bool_], axis: int) -> int:
    """Index of the slice across ``axis`` in which the mask covers most; the middle one of equals.

    An empty mask gives the volume's middle slice.
    """
    others = tuple(a for a in range(3) if a != axis)
    area = np.count_nonzero(mask_XYZ, axis=others)
    equals = np.flatnonzero(area == area.max())
    return int(equals[len(equals) // 2])


def bounding_box(
    mask_XYZ: NDArray[np.bool_], spacing_mm: tuple[float, float, float], margin_mm: float
) -> tuple[slice, slice, slice]:
    """The box that holds the mask and ``margin_mm`` around it, kept inside the volume; all of it for an empty mask."""
    box = []
    for axis, spacing in enumerate(spacing_mm):
        others = tuple(a for a in range(3) if a != axis)
        held = np.flatnonzero(mask_XYZ.any(axis=others))
        margin = int(np.ceil(margin_mm / spacing))
        size = mask_XYZ.shape[axis]
        first, last = (int(held[0]), int(held[-1])) if held.size else (0, size - 1)
        box.append(slice(max(0, first - margin), min(size, last + 1 + margin)))
    return box[0], box[1], box[2]
