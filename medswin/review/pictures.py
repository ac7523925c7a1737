"""Key images as a page holds them: as fine as there is room for."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

from PIL import Image

from medswin.figures import KeyImage
from medswin.review.case import ReviewCase, key_images

QUALITIES = (90, 75, 60, 45)
"""Of JPEG, tried in this order; at the last one, names and outlines are still clear."""

Figure = dict[str, Any]


def embedded(pictures: Sequence[KeyImage], quality: int = QUALITIES[0]) -> list[Figure]:
    """Pictures as a template takes them: ``data`` is base64 of a JPEG, beside words and size in pixels."""
    return [_embedded(picture, quality) for picture in pictures]


def fitted(case: ReviewCase, pictures: Sequence[KeyImage], budget_bytes: float) -> list[Figure]:
    """A case's pictures within a budget: coarser ones, then fewer, those of the largest structures.

    That of the whole field is never left out, whatever it takes.
    """
    for quality in QUALITIES:
        found = embedded(pictures, quality)
        if bytes_of(found) <= budget_bytes:
            return found
    while len(found) > 1 and bytes_of(found) > budget_bytes:
        fewer = int(len(found) * budget_bytes / bytes_of(found))
        found = embedded(key_images(case, max(1, fewer)), QUALITIES[-1])
    return found


def bytes_of(figures: Sequence[Figure]) -> int:
    """What pictures take on a page."""
    return sum(len(figure["data"]) for figure in figures)


def _embedded(picture: KeyImage, quality: int) -> Figure:
    buffer = io.BytesIO()
    # Full colour resolution: thin coloured outlines would bleed otherwise.
    Image.fromarray(picture.pixels).save(buffer, format="JPEG", quality=quality, subsampling=0)
    height, width = picture.pixels.shape[:2]
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"data": data, "words": picture.words, "width": width, "height": height}
