"""Where the voxels of a scan lie: shape and affine, and what follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from nibabel.orientations import io_orientation
from numpy.typing import ArrayLike, NDArray

from medswin.errors import InputError

Triple = tuple[float, float, float]

SAME = 0.1
"""Two grids are one if no corner differs by more than this share of the smallest voxel side."""

_SHORTEST_MM = 1e-6
_FLATTEST = 1e-6  # volume of a voxel over that of a box with its sides; 1 where the axes are at right angles


@dataclass(frozen=True, eq=False)
class Grid:
    """Shape and affine of a volume.

    Attributes:
        shape: voxels along the array's axes X, Y, Z.
        affine: (4, 4) float64, voxel index -> RAS+ position in mm. Oblique and sheared ones are fine.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]

    @classmethod
    def checked(cls, shape: Sequence[int], affine: ArrayLike, where: object = None) -> Grid:
        """A grid whose affine has been found usable.

        Raises:
            InputError: for an affine that is not (4, 4), not finite, singular, or has a spacing of zero.
        """
        x, y, z = shape
        return cls((int(x), int(y), int(z)), checked_affine(affine, where))

    @property
    def voxel_mm(self) -> Triple:
        """Side of a voxel along each axis of the array, in the order it is stored."""
        return _triple(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def ras_axes(self) -> tuple[int, int, int]:
        """The array axis that lies closest to right-left, to anterior-posterior and to superior-inferior."""
        right, anterior, superior = np.argsort(io_orientation(self.affine)[:, 0])
        return int(right), int(anterior), int(superior)

    @property
    def spacing_mm(self) -> Triple:
        """Side of a voxel along R, A, S: `voxel_mm` in the order of `ras_axes`."""
        return _triple(self.voxel_mm[axis] for axis in self.ras_axes)

    @property
    def fov_mm(self) -> Triple:
        """Field of view along R, A, S: voxels times spacing of the closest array axis."""
        return _triple(self.shape[axis] * self.voxel_mm[axis] for axis in self.ras_axes)

    def apart_mm(self, affine: NDArray[np.float64]) -> float:
        """How far another affine moves the corner that it moves most."""
        corners = np.array([(*corner, 1) for corner in product(*((0, n - 1) for n in self.shape))], dtype=np.float64)
        return float(np.linalg.norm(corners @ (self.affine - affine).T, axis=1).max())

    def same_place(self, affine: NDArray[np.float64]) -> bool:
        """Whether another affine leaves every corner where it is, within `SAME` of the smallest voxel side."""
        return self.apart_mm(affine) <= SAME * min(self.voxel_mm)

    def difference(self, other: Grid) -> str:
        """In words, how another grid differs from this one; empty if it does not."""
        if self.shape != other.shape:
            return f"its shape is {sizes(other.shape)}, not {sizes(self.shape)}"
        if not self.same_place(other.affine):
            return f"its affine puts voxels up to {self.apart_mm(other.affine):.3g} mm away from where they should be"
        return ""


def checked_affine(affine: ArrayLike, where: object = None) -> NDArray[np.float64]:
    """The affine as (4, 4) float64; see `Grid.checked` for the errors."""
    repair = "correct the header with a NIfTI tool, or export the scan again"
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise InputError("its affine must be 4 x 4 finite numbers", where=where, repair=repair)
    if not np.array_equal(matrix[3], (0, 0, 0, 1)):
        raise InputError(f"the last row of its affine must be 0 0 0 1, got {matrix[3].tolist()}", where=where)
    sides = np.linalg.norm(matrix[:3, :3], axis=0)
    if sides.min() < _SHORTEST_MM:
        text = sizes(f"{side:.3g}" for side in sides)
        raise InputError(f"its voxel spacing is {text} mm, each must be above 0", where=where, repair=repair)
    if abs(np.linalg.det(matrix[:3, :3] / sides)) < _FLATTEST:
        raise InputError("its affine is singular: two of its axes are one", where=where, repair=repair)
    return matrix


def sizes(values: Any) -> str:
    """``"35 x 51 x 35"``."""
    return " x ".join(str(value) for value in values)


def _triple(values: Any) -> Triple:
    x, y, z = (float(value) for value in values)
    return x, y, z
