"""Does a label map on the disk say what was meant? It is read again by another reader and measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from medswin.errors import InputError
from medswin.io.grid import Grid
from medswin.io.statistics import Measured
from medswin.prediction import Prediction

_VOXELS = 0.01  # by which a centroid may differ, as a share of the smallest voxel side: affines are stored in float32
_VOLUME = 1e-3  # likewise, as a share of a volume


def check_written(path: Path, prediction: Prediction, measured: Sequence[Measured], where: Path) -> None:
    """Compare a written label map with memory: every voxel, geometry, and each structure's volume and centroid in mm.

    It is read by nibabel, not by medswin's own reader, whose mistakes it could share. Where the header says twice where
    the voxels lie, by sform and by qform, both must say the same: programs differ in which of the two they take.

    Args:
        path: of the label map.
        prediction: what it was made of.
        measured: what was measured of that.
        where: what an error calls it.

    Raises:
        InputError: if it differs.
    """
    image = nibabel.load(path)
    labels, affine = np.asarray(image.dataobj, dtype=np.uint8), np.asarray(image.affine, dtype=np.float64)
    grid = Grid.checked(prediction.labels.shape, prediction.affine)
    wrong = grid.difference(Grid(labels.shape, affine)) or _other_qform(grid, image.header)
    if not wrong and not np.array_equal(labels, prediction.labels):
        wrong = f"{int((labels != prediction.labels).sum())} voxels have another value"
    if not wrong:
        wrong = next((said for one in measured if (said := _moved(one, grid, affine))), "")
    if wrong:
        raise InputError(f"was not written as it was meant: {wrong}", where=where, repair="check the disk, run again")


def _other_qform(grid: Grid, header: Any) -> str:
    """How a coded qform puts the voxels elsewhere."""
    qform = header.get_qform(coded=True)[0]
    if qform is None or grid.same_place(qform):
        return ""
    return f"its qform puts voxels up to {grid.apart_mm(qform):.3g} mm away from where they should be"


def _moved(meant: Measured, grid: Grid, affine: np.ndarray) -> str:
    """What the affine on the disk makes of a structure, where that is something else."""
    volume_ml = meant.voxels * abs(float(np.linalg.det(affine[:3, :3]))) / 1000.0
    if abs(volume_ml - meant.volume_ml) > _VOLUME * meant.volume_ml:
        return f"{meant.name} has {volume_ml:.4g} ml, not {meant.volume_ml:.4g}"
    if meant.centroid_mm is None:
        return ""
    place = np.array([*meant.centroid_mm, 1.0])
    apart_mm = float(np.linalg.norm(affine @ np.linalg.solve(grid.affine, place) - place))
    too_far = apart_mm > _VOXELS * min(grid.voxel_mm)
    return f"{meant.name} lies {apart_mm:.3g} mm away from where it was found" if too_far else ""
