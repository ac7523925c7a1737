"""One case of a review page, and what the page shows of it beside the viewer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.figures import KeyImage, Pose, Window, key_image
from medswin.io.facts import ModelFacts
from medswin.prediction import Prediction
from medswin.review.answers import REVIEW_VERSION
from medswin.review.levels import windows_for
from medswin.review.volumes import VolumeRow, significant, volume_rows
from medswin.review.words import numbers, verdict_words

MOST_PICTURES = 13


@dataclass(frozen=True)
class ReviewCase:
    """One case of a page.

    Attributes:
        prediction: what the model says; its case name is shown, so it must be a pseudonym.
        image: (X, Y, Z) intensities on the prediction's own grid (one channel).
        window: the grey window to begin with; by default soft tissue for CT, else the 0.5th to the 99.5th percentile.
        modality: of the scan as DICOM has it, for the windows to choose from; empty where it is not known.
        facts: of the model; None where they are not known.
        labels_sha256: of the label map's file, which an answer names; empty where there is none to answer on.
        channels: how many the scan has; the image is the first.

    Raises:
        InputError: if image and label map differ in shape.
    """

    prediction: Prediction
    image: NDArray[Any]
    window: Window | None = None
    modality: str = ""
    facts: ModelFacts | None = None
    labels_sha256: str = ""
    channels: int = 1

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

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """Grey windows to choose from; pictures are drawn in the first."""
        return windows_for(self.image, self.modality, self.window)

    @property
    def channel(self) -> str:
        """Which channel is shown: ``"channel 1 of 4 (FLAIR)"``; empty where there is only one."""
        if self.channels < 2:
            return ""
        names = self.facts.channels if self.facts else ()
        return f"channel 1 of {self.channels}" + (f" ({names[0]})" if len(names) == self.channels else "")

    @property
    def cautions(self) -> tuple[str, ...]:
        """What must be known before the pictures are looked at: unknown sides, and that only a part was looked at."""
        unknown = (
            "" if self.pose.known else "The file does not say which way the patient lies: left and right are unknown."
        )
        return tuple(filter(None, (unknown, self.part)))

    @property
    def part(self) -> str:
        """See `part_looked_at`."""
        return part_looked_at(self.prediction)

    @property
    def outliers(self) -> tuple[str, ...]:
        """Structures of a volume that no training scan had."""
        return outliers_of(self.prediction, self.facts)


def outliers_of(prediction: Prediction, facts: ModelFacts | None) -> tuple[str, ...]:
    """Structures of a volume that no training scan had; none where these are not known."""
    found = prediction.volumes_ml.items()
    return () if facts is None else tuple(name for name, volume_ml in found if facts.outside(name, volume_ml))


def describe(case: ReviewCase) -> dict[str, Any]:
    """The case in the words that the template puts on the page."""
    prediction, pose = case.prediction, case.pose
    return {
        "name": prediction.case,
        "verdict": prediction.ood.verdict,
        "words": verdict_words(prediction.ood.verdict),
        "numbers": numbers(prediction.ood),
        "reasons": prediction.ood.reasons,
        "rows": [(row, significant(row.volume_ml), expected_text(case, row)) for row in volume_rows(prediction)],
        "outliers": case.outliers,
        "dice": prediction.ood.expected_dice,
        "findings": prediction.findings,
        "known": pose.known,
        "part": case.part,
        "pose_note": pose.note,
        "facts": case.facts,
        "answers": identity(case) if case.labels_sha256 else None,
        "found": sum(volume > 0 for volume in prediction.volumes_ml.values()),
        "provenance": [*provenance_rows(prediction.provenance), *_grid_rows(pose)],
    }


def identity(case: ReviewCase) -> dict[str, Any]:
    """What an answer says that it answers to, see `medswin.review.answers`, and how the scan's array is stored.

    ``name`` is what the files are called that the page saves.
    """
    prediction, pose = case.prediction, case.pose
    return {
        "review_version": REVIEW_VERSION,
        "name": _file_name(prediction.case),
        "case": prediction.case,
        "package": prediction.provenance.get("package", ""),
        "model": prediction.provenance.get("model", ""),
        "input_sha256": prediction.provenance.get("input_sha256"),
        "labels_sha256": case.labels_sha256,
        "shape": list(prediction.labels.shape),
        "affine": prediction.affine.tolist(),
        "structures": [{"value": label.value, "name": label.name} for label in prediction.label_set],
        "verdict": prediction.ood.verdict,
        "stored": {
            "axes": pose.orientation[:, 0].astype(int).tolist(),
            "signs": pose.orientation[:, 1].astype(int).tolist(),
            "affine": prediction.affine.tolist(),
            "known": pose.known,
            "voxel_ml": prediction.voxel_volume_mm3 / 1000.0,
        },
    }


def part_looked_at(prediction: Prediction) -> str:
    """That only a part of the scan was looked at, and how large it is, in mm; empty where all of it was."""
    if prediction.region is None:
        return ""
    pose = Pose.of(prediction.labels.shape, prediction.affine)
    counts = [0, 0, 0]
    for (first, stop), axis in zip(prediction.region, pose.orientation[:, 0].astype(int), strict=True):
        counts[axis] = stop - first
    part, whole = (_extent(voxels, pose.spacing_mm) for voxels in (counts, pose.shape))
    return f"Only a part of the scan was looked at, {part} of {whole} mm: nothing outside of it is outlined."


def _extent(counts: Sequence[int], spacing_mm: Sequence[float]) -> str:
    return " x ".join(f"{count * mm:.0f}" for count, mm in zip(counts, spacing_mm, strict=True))


def axes_in_words(pose: Pose) -> str:
    """Which way the axes of sizes and spacings run; empty where it is not known."""
    return " (right, front, up)" if pose.known else ""


def _file_name(case: str) -> str:
    """A case name as browsers leave it when they save a file: without signs that some system refuses, and not long."""
    return re.sub(r"[^\w ()+,=@-]+|(?<!\w)\.|\.(?!\w)", "_", case)[:100].strip(" .") or "case"


def expected_text(case: ReviewCase, row: VolumeRow) -> str:
    """Volumes of the training scans: ``"1.15 to 2.58"``; empty where they are not known."""
    known = case.facts.expected_ml.get(row.label.name) if case.facts else None
    return " to ".join(map(significant, known)) if known else ""


def key_images(case: ReviewCase, most: int = MOST_PICTURES) -> list[KeyImage]:
    """The whole field first, then each structure that was found, from nearby; the largest where these are too many."""
    prediction, volumes = case.prediction, case.prediction.volumes_ml
    largest = sorted((name for name in volumes if volumes[name] > 0), key=lambda name: -volumes[name])[: most - 1]
    title = ", ".join(filter(None, (prediction.case, case.channel)))
    return [
        key_image(
            case.image, prediction.labels, prediction.affine, prediction.label_set,
            structure=structure, known=case.pose.known, window=case.windows[0], title=title,
        )
        for structure in (None, *(name for name in volumes if name in largest))
    ]  # fmt: skip


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
    if value is None:
        return "none"
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
    rows = [("voxel spacing", f"{x} x {y} x {z} mm"), ("grid", f"{size} voxels{axes_in_words(pose)}")]
    return [*rows, ("stored axes", f"run towards {pose.stored_axes}")] if pose.known else rows
