"""Fingerprint of a data set: the sizes, spacings and intensities that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from medswin.training.data import PreparedCase


def fingerprint(cases: Sequence[PreparedCase], label_names: Sequence[str]) -> dict[str, Any]:
    """Smallest, middle and largest field of view (mm) and spacing (mm) per RAS axis, sizes and label shares.

    Args:
        cases: the training cases, on the network's grid.
        label_names: of the values 1, 2, ...

    Returns:
        JSON-able values; ``size_voxels`` is on the network's grid, ``volume_share`` the mean share of voxels per
        structure, and ``intensities`` holds the percentiles 0.5, 50 and 99.5 of each channel of the scans as they came.
    """
    sizes, shares = [], []
    for case in cases:
        _, label = case.load()
        sizes.append(tuple(label.shape[1:]))
        counts = np.bincount(label.numpy().ravel(), minlength=len(label_names) + 1)
        shares.append(counts[1:] / counts.sum())
    return {
        "cases": len(cases),
        "fov_mm": _spread([case.geometry["fov_mm"] for case in cases]),
        "spacing_mm": _spread([case.geometry["spacing_mm"] for case in cases]),
        "size_voxels": _spread(sizes),
        "volume_share": dict(zip(label_names, np.mean(shares, axis=0).round(6).tolist(), strict=True)),
        "intensities": [_spread(channel) for channel in np.swapaxes([case.intensities for case in cases], 0, 1)],
    }


def _spread(rows: Any) -> dict[str, list[float]]:
    table = np.asarray(rows, dtype=float)
    return {
        "min": table.min(axis=0).round(4).tolist(),
        "median": np.median(table, axis=0).round(4).tolist(),
        "max": table.max(axis=0).round(4).tolist(),
    }
