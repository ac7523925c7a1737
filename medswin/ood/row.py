"""A scan's row, put together from what the network tells and what can be seen without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medswin.ood import appearance, shape
from medswin.ood.view import FEATURES, Layout, View


def layout(view: View, features: int, channels: Sequence[str], structures: Sequence[str]) -> Layout:
    """The layout of rows.

    Args:
        view: what is in them.
        features: numbers of the pooled features, all stages together.
        channels: names of the image's channels.
        structures: names of the structures, in the order of their values.
    """
    parts: dict[str, int | tuple[str, ...]] = {FEATURES: features}
    if view.outputs:
        parts["outputs"] = view.outputs
    if view.appearance:
        parts["appearance"] = appearance.names(channels)
    if view.shape:
        parts["shape"] = shape.names(structures)
    return Layout(parts)


def row(
    view: View,
    told_D: ArrayLike,
    image_CXYZ: NDArray[np.float32],
    geometry: Mapping[str, Sequence[float]],
    labels_XYZ: NDArray[np.uint8],
    affine: ArrayLike,
    values: Sequence[int],
) -> NDArray[np.float64]:
    """One scan's row, laid out as `layout` says.

    Args:
        view: what is in it.
        told_D: pooled features, and the outputs after them, of the inference pass.
        image_CXYZ: as the network got it.
        geometry: ``fov_mm`` and ``spacing_mm`` of the scan as it came.
        labels_XYZ, affine: the label map and its grid.
        values: of the structures.
    """
    parts = [np.asarray(told_D, dtype=np.float64)]
    if view.appearance:
        parts.append(appearance.appearance(image_CXYZ, geometry))
    if view.shape:
        parts.append(shape.shape(labels_XYZ, affine, values))
    return np.concatenate(parts)
