"""Real scans, usual and unusual, through a model once: what every detector of `ood_study.py` is judged on.

In distribution are hippocampus crops of people whom the model has never met. Out of distribution are the same crops
degraded, wrongly described or cut; other anatomy and contrast; and crops of the MNI152 brain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.cli import brain
from medswin.inference import Model, Predictor
from medswin.inference.predictor import geometry
from medswin.io import Scan, read_labels, read_nifti
from medswin.io.dicom import find_series, read_series
from medswin.metrics import dice
from medswin.ood import View
from medswin.transforms.degrade import DEGRADATIONS, STRENGTHS, degrade

WIDE = View(
    stages=(1, 2, 3, 4),
    grid=(4, 4, 4),
    outputs=("msp@1", "msp@2", "msp@5", "msp@10", "msp@100", "energy@1", "energy@10", "entropy", "disagreement"),
    appearance=True,
    shape=True,
)
CROP = (40, 52, 36)
HEADERS = {"spacing x 0.6": 0.6, "spacing x 0.8": 0.8, "spacing x 1.25": 1.25}
CUTS = (0.85, 0.75, 0.65, 0.55, 0.45)


@dataclass(frozen=True)
class Sample:
    """A scan to be judged.

    Attributes:
        kind: ``"clean"``, a degradation, or what else it shows.
        strength: 1 to 5; 0 where it has none.
        scan: with its affine.
        truth: labels; None where there are none.
    """

    case: str
    kind: str
    strength: int
    scan: Scan
    truth: NDArray[np.uint8] | None = None


def clean(data: Path, case: str) -> Sample:
    """A hippocampus crop as it is."""
    scan = read_nifti(data / "imagesTr" / f"{case}.nii.gz")
    return Sample(case, "clean", 0, scan, read_labels(data / "labelsTr" / f"{case}.nii.gz", like=scan))


def degraded(sample: Sample, strengths: tuple[int, ...] = STRENGTHS, seed: int = 0) -> Iterator[Sample]:
    """Every degradation at every strength."""
    number = int(sample.case.rpartition("_")[2])
    for name in DEGRADATIONS:
        for strength in strengths:
            image = degrade(sample.scan.image[0].numpy(), name, strength, seed + number)
            yield replace(sample, kind=name, strength=strength, scan=_scan(image, sample))


def misdescribed(sample: Sample) -> Iterator[Sample]:
    """Wrong spacing in the header, mirrored and turned arrays, cut fields of view; the labels follow."""
    image, truth = sample.scan.image[0].numpy(), sample.truth
    if truth is None:
        raise ValueError("without labels nothing can be told of the Dice")
    for name, factor in HEADERS.items():
        affine = sample.scan.grid.affine @ np.diag([factor, factor, factor, 1])
        yield replace(sample, kind=name, scan=Scan.from_array(image, affine, sample.case))
    for name, change in {
        "upside down": lambda a: np.flip(a, 2),
        "back to front": lambda a: np.flip(a, 1),
        "turned axially": lambda a: np.rot90(a, axes=(0, 1)),
        "turned sagittally": lambda a: np.rot90(a, axes=(1, 2)),
    }.items():
        yield replace(sample, kind=name, scan=_scan(change(image), sample), truth=np.ascontiguousarray(change(truth)))
    for strength, share in enumerate(CUTS, start=1):
        part = tuple(slice(0, max(round(size * share), 8)) for size in image.shape)
        yield replace(sample, kind="cut", strength=strength, scan=_scan(image[part], sample), truth=truth[part])


def others(shared: Path, count: int, seed: int) -> Iterator[Sample]:
    """Crops of other anatomy and contrast, each said to have 1 mm voxels, so that sizes do not give them away."""
    rng = np.random.default_rng(seed)
    volumes = {
        "trunk CT": read_nifti(shared / "nifti" / "ct_trunk_3mm.nii.gz").image[0].numpy(),
        "trunk MR": read_nifti(shared / "nifti" / "mr_trunk_3mm.nii.gz").image[0].numpy(),
    }
    head = read_series(find_series(shared / "dicom" / "mr_t1post_oblique", key=b"study").series[0])
    volumes["whole head after contrast"] = _isotropic(head)
    for name, volume in volumes.items():
        for i in range(count):
            yield Sample(f"{name} {i}", name, 0, Scan.from_array(_crop(volume, rng), np.eye(4), f"{name} {i}"))


def template(count: int, seed: int) -> Iterator[Sample]:
    """Crops of MNI152 around the hippocampi, the cerebellum and the cortex, moved a little."""
    rng, scan = np.random.default_rng(seed), brain.template()
    image, inverse = scan.image[0].numpy(), np.linalg.inv(scan.grid.affine)
    places = {
        "MNI hippocampus": list(brain.CENTRES_MM.values()),
        "MNI cerebellum": [(-25, -65, -35), (25, -65, -35)],
        "MNI cortex": [(-35, 20, 40), (35, 20, 40), (0, -75, 20), (0, 45, 10)],
    }
    for name, centers in places.items():
        for i in range(count):
            at = np.array(centers[i % len(centers)]) + rng.uniform(-3, 3, 3)
            middle = (inverse @ [*at, 1])[:3].round().astype(int)
            part = tuple(slice(m - size // 2, m - size // 2 + size) for m, size in zip(middle, CROP, strict=True))
            yield Sample(f"{name} {i}", name, 0, Scan.from_array(image[part], np.eye(4), f"{name} {i}"))


def wide(model: Model) -> Predictor:
    """A predictor that keeps all that any detector may read."""
    return Predictor(replace(model, view=WIDE, judge=None), threads=1)


def observed(predictor: Predictor, sample: Sample) -> dict[str, Any]:
    """Row, sizes, and Dice where it can be told."""
    prepared = predictor.prepare(sample.scan)
    labels, found = predictor.segment(prepared)
    row = predictor.row(prepared, labels, found.feature.numpy())
    scores = [dice(labels == v, sample.truth == v) for v in (1, 2)] if sample.truth is not None else [np.nan]
    sizes = geometry(prepared.looked_at)
    about = {"case": sample.case, "kind": sample.kind, "strength": sample.strength, "dice": float(np.mean(scores))}
    return about | {"row": row.astype(np.float32), "fov_mm": sizes["fov_mm"], "spacing_mm": sizes["spacing_mm"]}


def _scan(image: NDArray[Any], sample: Sample) -> Scan:
    return Scan.from_array(np.ascontiguousarray(image), sample.scan.grid.affine, sample.case)


def _crop(volume: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A crop that is not air."""
    while True:
        start = [int(rng.integers(max(size - crop, 0) + 1)) for size, crop in zip(volume.shape, CROP, strict=True)]
        part = volume[tuple(slice(s, s + crop) for s, crop in zip(start, CROP, strict=True))]
        if part.std() > 0.25 * volume.std():
            return np.ascontiguousarray(part)


def _isotropic(scan: Scan) -> NDArray[np.float32]:
    from scipy.ndimage import zoom

    voxels = np.linalg.norm(scan.grid.affine[:3, :3], axis=0)
    resampled: NDArray[np.float32] = zoom(scan.image[0].numpy(), voxels, order=1)
    return resampled
