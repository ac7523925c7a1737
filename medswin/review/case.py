"""One case of a review page, and what the page shows of it beside the viewer."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from medswin.errors import InputError
from medswin.figures import KeyImage, Pose, Window, auto_window, key_image
from medswin.prediction import Prediction
from medswin.review.volumes import significant, volume_rows
from medswin.review.words import numbers, verdict_words

_JPEG_QUALITY = 90


@dataclass(frozen=True)
class ReviewCase:
    """One case of a page.

    Attributes:
        prediction: what the model says; its case name is shown, so it must be a pseudonym.
        image: (X, Y, Z) intensities on the prediction's own grid (one channel).
        window: the grey window; by default the 0.5th to the 99.5th percentile.

    Raises:
        InputError: if image and label map differ in shape.
    """

    prediction: Prediction
    image: NDArray[Any]
    window: Window | None = None

    def __post_init__(self) -> None:
        if self.image.shape != self.prediction.labels.shape:
            raise InputError(
                f"the image has shape {self.image.shape}, the label map {self.prediction.labels.shape}",
                where=self.prediction.case,
                repair="give the image on the prediction's own grid, without a channel axis",
            )

    @property
    def pose(self) -> Pose:
        """How the scan lies in the patient; unknown where its file does not say, or contradicts itself."""
        return Pose.of(self.prediction.labels.shape, self.prediction.affine, known=self.prediction.oriented)


def describe(case: ReviewCase, window: Window) -> dict[str, Any]:
    """The case in the words and pictures that the template puts on the page."""
    prediction, pose = case.prediction, case.pose
    return {
        "name": prediction.case,
        "verdict": prediction.ood.verdict,
        "words": verdict_words(prediction.ood.verdict),
        "numbers": numbers(prediction.ood),
        "reasons": prediction.ood.reasons,
        "rows": [(row, significant(row.volume_ml)) for row in volume_rows(prediction)],
        "findings": prediction.findings,
        "known": pose.known,
        "pose_note": pose.note,
        "figures": [_embed(picture) for picture in _key_images(case, window)],
        "provenance": [*provenance_rows(prediction.provenance), *_grid_rows(pose)],
    }


def window_of(case: ReviewCase) -> Window:
    """The case's grey window, or the automatic one."""
    return case.window or auto_window(case.image)


def _key_images(case: ReviewCase, window: Window) -> list[KeyImage]:
    """The whole field first, then each structure that was found, from nearby."""
    prediction = case.prediction
    found = [name for name, volume_ml in prediction.volumes_ml.items() if volume_ml > 0]
    return [
        key_image(
            case.image, prediction.labels, prediction.affine, prediction.label_set,
            structure=structure, known=case.pose.known, window=window, title=prediction.case,
        )
        for structure in (None, *found)
    ]  # fmt: skip


def _embed(picture: KeyImage) -> dict[str, Any]:
    buffer = io.BytesIO()
    # Full colour resolution: thin coloured outlines would bleed otherwise.
    Image.fromarray(picture.pixels).save(buffer, format="JPEG", quality=_JPEG_QUALITY, subsampling=0)
    height, width = picture.pixels.shape[:2]
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"data": data, "words": picture.words, "width": width, "height": height}


def provenance_rows(provenance: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Provenance as (name, value) pairs; nested keys are joined, and of an absolute path only the last part is kept.

    Folders may carry the name of a person or a machine, so they do not go onto a page.
    """
    for key, value in provenance.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from provenance_rows(value, f"{name}: ")
        else:
            yield name, _value_in_words(value)


def _value_in_words(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return " x ".join(_value_in_words(part) for part in value) or "none"
    text = str(value)
    for path in (PurePosixPath(text), PureWindowsPath(text)):
        if path.is_absolute():
            return path.name
    return text


def _grid_rows(pose: Pose) -> list[tuple[str, str]]:
    x, y, z = (f"{mm:.3g}" for mm in pose.spacing_mm)
    size = " x ".join(str(count) for count in pose.shape)
    return [("voxel spacing", f"{x} x {y} x {z} mm"), ("grid", f"{size} voxels")]
