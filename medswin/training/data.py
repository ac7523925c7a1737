"""Data for training: cases preprocessed once onto disk, and patches that depend on nothing but their number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from medswin.errors import InputError, TrainingError
from medswin.io import Case, read_labels, read_nifti, replacing
from medswin.io.dicom import Series, read_series
from medswin.io.scan import Scan
from medswin.training.recipe import Recipe
from medswin.transforms import Preprocessing

CACHE_VERSION = 1
PERCENTILES = (0.5, 50.0, 99.5)


@dataclass(frozen=True)
class PreparedCase:
    """A case on the network's grid, kept in one file.

    Attributes:
        id: the case's name in its dataset.
        path: safetensors file with ``image`` (C, D, H, W), ``label`` (1, D, H, W) and ``affine`` (4, 4).
        geometry: ``fov_mm`` and ``spacing_mm`` of the scan as it came, per RAS axis.
        intensities: (C, 3) `PERCENTILES` of each channel of the scan as it came.
    """

    id: str
    path: Path
    geometry: Mapping[str, tuple[float, float, float]]
    intensities: NDArray[np.float64]

    def load(self) -> tuple[MetaTensor, MetaTensor]:
        """Image float32 and label map uint8, both MetaTensor with the grid's affine.

        Raises:
            TrainingError: where the file is damaged.
        """
        with opened(self.path) as file:
            affine = file.get_tensor("affine")
            return (
                MetaTensor(file.get_tensor("image"), affine=affine),
                MetaTensor(file.get_tensor("label"), affine=affine),
            )


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file of a run's cache, to read from; raises TrainingError where it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except SafetensorError as error:
        raise TrainingError("it is damaged", where=path, repair="delete it; it is made again") from error


def read_case(case: Case | Series, channels: int | None = None) -> Scan:
    """One scan of all the channels of a case; ``channels`` is how many there must be.

    Raises:
        InputError: if there are more or fewer channels, or they do not lie on one grid.
    """
    scan = read_series(case) if isinstance(case, Series) else _stacked(case)
    if channels is not None and len(scan.image) != channels:
        raise InputError(
            f"it has {len(scan.image)} channel(s), the others or the data set say {channels}",
            where=scan.path or scan.case,
            repair="correct the channels in dataset.json, or the case",
        )
    return scan


def _stacked(case: Case) -> Scan:
    scans = [read_nifti(path) for path in case.images]
    first = scans[0]
    for scan in scans[1:]:
        if scan.shape != first.shape or not torch.allclose(scan.image.affine, first.image.affine, atol=1e-3):
            raise InputError(
                f"its grid differs from that of {case.images[0].name}",
                where=scan.path,
                repair="resample the channels of a case onto one grid",
            )
    image = torch.cat([scan.image.as_tensor() for scan in scans])
    return Scan(case.id, MetaTensor(image, affine=first.image.affine), first.findings, first.path)


def prepare(case: Case, preprocessing: Preprocessing, channels: int, classes: int, cache: Path) -> PreparedCase:
    """Preprocess a labelled case, or find it in ``cache`` under a name that changes with the files and the settings.

    Args:
        channels: number of channels that the case must have.
        classes: number of label values, the background included.

    Raises:
        InputError: for a missing or damaged file, or a label that does not match its image in grid or values.
        TrainingError: for a damaged file in ``cache``.
    """
    if case.label is None:
        raise InputError("the case has no label", where=case.id, repair="add its label, or remove the case")
    path = cache / f"{case.id}-{_key([*case.images, case.label], preprocessing, classes)}.safetensors"
    if not path.exists():
        scan = read_case(case, channels)
        label = read_labels(case.label, like=scan, values=range(classes))
        image = preprocessing(scan.image)
        on_grid = preprocessing.label(MetaTensor(torch.from_numpy(label[None]).float(), affine=scan.image.affine))
        tensors = {
            "image": image.as_tensor().contiguous(),
            "label": on_grid.as_tensor().to(torch.uint8).contiguous(),
            "affine": torch.as_tensor(image.affine, dtype=torch.float64).contiguous(),
        }
        raw = np.percentile(scan.image.numpy().reshape(channels, -1), PERCENTILES, axis=1).T
        about = {"fov_mm": scan.fov_mm, "spacing_mm": scan.spacing_mm, "intensities": raw.tolist()}
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={"about": json.dumps(about)})
    with opened(path) as file:
        about = json.loads(file.metadata()["about"])
    return PreparedCase(
        case.id, path, {key: tuple(about[key]) for key in ("fov_mm", "spacing_mm")}, np.array(about["intensities"])
    )


def _key(files: Sequence[Path], preprocessing: Preprocessing, classes: int) -> str:
    stats = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.exists()]
    text = json.dumps([CACHE_VERSION, stats, preprocessing.to_json(), classes])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Patches(Dataset[dict[str, Any]]):
    """Endless augmented patches: patch ``k`` depends on ``k`` and the seed only, so a resumed run sees the same ones.

    Every run of ``len(cases)`` patches shows each case once, in an order drawn anew.
    """

    def __init__(self, cases: Sequence[PreparedCase], augmentation: Compose, seed: int) -> None:
        self.cases, self.augmentation, self.seed = cases, augmentation, seed

    def __getitem__(self, k: int) -> dict[str, Any]:
        turn, position = divmod(k, len(self.cases))
        case = self.cases[order(self.seed, turn, len(self.cases))[position]]
        image, label = case.load()
        self.augmentation.set_random_state(seed=seed_of(self.seed, k))
        sample: Any = self.augmentation({"image": image, "label": label})
        sample = sample[0] if isinstance(sample, list) else sample
        return {"image": sample["image"].as_tensor(), "label": sample["label"].as_tensor(), "case": case.id}


def seed_of(seed: int, k: int) -> int:
    """Seed of what is drawn for sample ``k`` of a run."""
    return int(np.random.SeedSequence([seed, k]).generate_state(1)[0])


@lru_cache(maxsize=4)
def order(seed: int, turn: int, n: int) -> list[int]:
    """The order in which ``n`` cases are shown in a turn."""
    return [int(i) for i in np.random.default_rng([seed, turn]).permutation(n)]


class FromStep(Sampler[int]):
    """Patch numbers from a step on; its length is that of the whole schedule, as Lightning counts."""

    def __init__(self, step: int, max_steps: int, batch_size: int) -> None:
        self.first, self.end = step * batch_size, max_steps * batch_size

    def __len__(self) -> int:
        return self.end

    def __iter__(self) -> Iterator[int]:
        yield from range(self.first, self.end)


class TrainingData(L.LightningDataModule):
    """The training cases as a Lightning data module that goes on at the trainer's own step."""

    def __init__(self, cases: Sequence[PreparedCase], augmentation: Compose, recipe: Recipe) -> None:
        super().__init__()
        self.patches, self.recipe = Patches(cases, augmentation, recipe.seed), recipe

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        step = self.trainer.global_step if self.trainer is not None else 0
        return DataLoader(
            self.patches,
            batch_size=self.recipe.batch_size,
            sampler=FromStep(step, self.recipe.max_steps, self.recipe.batch_size),
            num_workers=self.recipe.workers,
            persistent_workers=self.recipe.workers > 0,
        )
