"""What is measured of a label map: size, place and pieces of each structure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medswin.io.grid import Triple
from medswin.prediction import Prediction

TOUCHING = np.ones((3, 3, 3))  # by a face, an edge or a corner


@dataclass(frozen=True)
class Measured:
    """One structure.

    Attributes:
        name: of the structure.
        value: in the label map.
        voxels: how many it holds.
        volume_ml: voxels times the volume of one, in millilitres.
        components: pieces that do not touch each other by a face, an edge or a corner.
        touches_edge: whether it reaches the edge of what was looked at, so that its volume may be too small.
        centroid_mm: mean position of its voxels in RAS+ mm; None where there are none.
    """

    name: str
    value: int
    voxels: int
    volume_ml: float
    components: int
    touches_edge: bool
    centroid_mm: Triple | None

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return dict(vars(self))


def measure(prediction: Prediction) -> tuple[Measured, ...]:
    """Each structure of the label set, also those that were not found."""
    boxes = ndimage.find_objects(prediction.labels, max_label=max(label.value for label in prediction.label_set))
    found = []
    for label in prediction.label_set:
        box = boxes[label.value - 1]
        voxels, middle, pieces = (0, None, 0) if box is None else _inside(prediction.labels[box] == label.value)
        centroid = None
        if box is not None and middle is not None:
            corner = [axis.start for axis in box]
            x, y, z = (prediction.affine @ [*(middle + corner), 1.0])[:3].tolist()
            centroid = (x, y, z)
        volume = voxels * prediction.voxel_volume_mm3 / 1000.0
        edge = label.name in prediction.cut_off
        found.append(Measured(label.name, label.value, voxels, volume, pieces, edge, centroid))
    return tuple(found)


def _inside(mask: NDArray[np.bool_]) -> tuple[int, NDArray[np.float64], int]:
    """Voxels, their mean index, and pieces."""
    voxels = int(mask.sum())
    sums = [mask.sum(axis=tuple(other for other in range(3) if other != axis)) for axis in range(3)]
    middle = np.array([one @ np.arange(len(one)) / voxels for one in sums])
    return voxels, middle, int(ndimage.label(mask, TOUCHING)[1])
