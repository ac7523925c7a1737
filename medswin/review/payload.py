"""What the page's viewer scrolls through: volumes of one byte a voxel and label maps, packed into text."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.figures import PLANES, Pose, Window, bounding_box, largest_slice
from medswin.labels import LabelSet
from medswin.review.safe_html import shown

# Below this there is nothing left to see, so a page that is still too large does without the viewer.
_FEWEST_VOXELS = 20_000
_ZOOM_MARGIN_MM = 15.0
_MERGED = (1, 2, 4, 8)


@dataclass(frozen=True)
class Packed:
    """A volume as the page holds it.

    Attributes:
        key: hash of the full volume, the same for cases that show the same image.
        text: of the volume, see `pack`.
        stride: every so-many-th voxel along x, y and z was kept.
        merged: so many neighbouring levels became one.
    """

    key: str
    text: str
    stride: tuple[int, int, int]
    merged: int = 1


def pack(volume_XYZ: NDArray[np.uint8]) -> str:
    """Base64 of the gzipped steps along x, modulo 256, with x running fastest, then y, then z.

    Steps take an eighth less than values. The same volume gives the same text at any time.
    """
    steps = np.diff(volume_XYZ, axis=0, prepend=np.zeros_like(volume_XYZ[:1]))
    return base64.b64encode(gzip.compress(steps.tobytes(order="F"), 6, mtime=0)).decode("ascii")


def volume_key(volume_XYZ: NDArray[np.uint8]) -> str:
    """A name for a volume by its content: equal volumes are embedded once."""
    head = repr(volume_XYZ.shape).encode()
    return hashlib.sha256(head + volume_XYZ.tobytes(order="F")).hexdigest()[:16]


def fit(
    codes_XYZ: NDArray[np.uint8],
    labels_XYZ: Sequence[NDArray[np.uint8]],
    spacing_mm: tuple[float, float, float],
    budget_bytes: int,
) -> Packed | None:
    """Pack a volume, which with its label maps takes at most ``budget_bytes``: fewer levels or, if need be, slices.

    Two, four or eight neighbouring levels become one: every voxel stays, so that outlines can be corrected. Only where
    that is not enough, every other slice of the finest axis is left out in turn; whole slices, rather than averages,
    so that each picture that remains is one of the scan's own. Returns None where even a coarse volume does not fit.
    """
    key = volume_key(codes_XYZ)
    left_bytes = budget_bytes - sum(len(pack(labels)) for labels in labels_XYZ)
    for merged in _MERGED if left_bytes > 0 else ():
        text = pack(codes_XYZ // merged * merged + merged // 2)
        if len(text) <= left_bytes:
            return Packed(key, text, (1, 1, 1), merged)
    stride = [1, 1, 1]
    while codes_XYZ[:: stride[0], :: stride[1], :: stride[2]].size >= 2 * _FEWEST_VOXELS:
        finest = int(np.argmin([mm * s for mm, s in zip(spacing_mm, stride, strict=True)]))
        stride[finest] *= 2
        text, *thin = (pack(one[:: stride[0], :: stride[1], :: stride[2]]) for one in (codes_XYZ, *labels_XYZ))
        if len(text) + sum(map(len, thin)) <= budget_bytes:
            return Packed(key, text, (stride[0], stride[1], stride[2]))
    return None


def viewer_data(
    pose: Pose,
    labels_XYZ: NDArray[np.uint8],
    label_set: LabelSet,
    packed: Packed,
    levels: NDArray[np.float32],
    windows: Sequence[Window],
) -> dict[str, Any]:
    """All that the viewer needs for one case, ready for JSON; ``labels_XYZ`` is in closest RAS+ axes.

    Slices are given in voxels of the embedded (perhaps thinned) volume, positions in mm of the scan's.
    """
    a, b, c = packed.stride
    thin = labels_XYZ[::a, ::b, ::c]
    step = pose.step_mm * packed.stride
    spacing = (pose.spacing_mm[0] * a, pose.spacing_mm[1] * b, pose.spacing_mm[2] * c)
    zoom = bounding_box(thin > 0, spacing, _ZOOM_MARGIN_MM)
    return {
        "volume": packed.key,
        "labels": pack(thin),
        "shape": list(thin.shape),
        "size": list(pose.shape),
        "spacing": list(spacing),
        "origin": pose.origin_mm.tolist(),
        "step": step.tolist(),
        "stride": list(packed.stride),
        "known": pose.known,
        "levels": [float(f"{level:.6g}") for level in levels],
        "windows": [{"name": window.name, "low": window.low, "high": window.high} for window in windows],
        "zoom": [[part.start, part.stop] for part in zoom],
        "start": [largest_slice(thin > 0, axis) for axis in range(3)],
        "planes": [
            {"name": p.name, "axis": p.axis, "across": p.across, "down": p.down, "edges": list(pose.edges(p))}
            for p in PLANES
        ],
        "structures": [{"value": s.value, "name": shown(s.name), "color": list(s.color)} for s in label_set],
    }
