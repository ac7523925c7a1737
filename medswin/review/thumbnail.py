"""A case as small as a stamp, for a list of many."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image, ImageDraw

from medswin.figures import PLANES, bounding_box, largest_slice, to_gray
from medswin.figures.canvas import AMBER, font
from medswin.review.case import ReviewCase

SIDE_PX = 96
_MARGIN_MM = 30.0
_TINT = 0.45


def thumbnail(case: ReviewCase) -> str:
    """Base64 of a JPEG of at most 96 x 96 pixels: the axial slice where most was found, structures tinted.

    Radiological convention, as in all pictures, or a question mark where sides are unknown; cut to what was found and
    30 mm around it.
    """
    pose, plane = case.pose, PLANES[0]
    labels = pose.turn(case.prediction.labels)
    index = largest_slice(labels > 0, plane.axis)
    box = bounding_box(labels > 0, pose.spacing_mm, _MARGIN_MM)
    part = tuple(slice(index, index + 1) if axis == plane.axis else span for axis, span in enumerate(box))
    gray = plane.cut(to_gray(pose.turn(case.image)[part], case.windows[0]), 0)
    found = plane.cut(labels[part], 0)
    colors = np.zeros((256, 3), dtype=np.float32)
    for label in case.prediction.label_set:
        colors[label.value] = label.color
    share = _TINT * (found > 0)[..., None]
    pixels = (1 - share) * gray[..., None] + share * colors[found]
    rows, columns = gray.shape
    height_mm, width_mm = rows * pose.spacing_mm[plane.down], columns * pose.spacing_mm[plane.across]
    scale = SIDE_PX / max(height_mm, width_mm)
    size = max(1, round(width_mm * scale)), max(1, round(height_mm * scale))
    buffer = io.BytesIO()
    small = Image.fromarray(pixels.astype(np.uint8)).resize(size, Image.Resampling.LANCZOS)
    if not pose.known:
        ImageDraw.Draw(small).text((3, 1), "?", fill=AMBER, font=font(18))
    small.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
