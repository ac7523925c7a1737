"""Data for training: cases preprocessed once onto disk, and patches that depend on nothing but their number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from medswin.errors import InputError
from medswin.io import Case, read_labels, read_nifti, replacing
from medswin.io.scan import Scan
from medswin.training.recipe import Recipe
from medswin.transforms import Preprocessing

CACHE_VERSION = 1


@dataclass(frozen=True)
class PreparedCase:
    """A case on the network's grid, kept in one file.

    Attributes:
        id: the case's name in its dataset.
        path: safetensors file with ``image`` (C, D, H, W), ``label`` (1, D, H, W) and ``affine`` (4, 4).
        geometry: ``fov_mm`` and ``spacing_mm`` of the scan as it came, per RAS axis.
    """

    id: str
    path: Path
    geometry: Mapping[str, tuple[float, float, float]]

    def load(self) -> tuple[MetaTensor, MetaTensor]:
        """Image float32 and label map uint8, both MetaTensor with the grid's affine."""
        with safe_open(self.path, framework="pt") as file:
            affine = file.get_tensor("affine")
            return (
                MetaTensor(file.get_tensor("image"), affine=affine),
                MetaTensor(file.get_tensor("label"), affine=affine),
            )


def read_case(case: Case) -> Scan:
    """One scan of all the channels of a case.

    Raises:
        InputError: if the channels do not lie on one grid.
    """
    scans = [read_nifti(path) for path in case.images]
    first = scans[0]
    for scan in scans[1:]:
        if scan.shape != first.shape or not torch.allclose(scan.image.affine, first.image.affine, atol=1e-3):
            raise InputError(
                f"its grid differs from that of {case.images[0].name}",
                where=scan.path,
                repair="resample the channels of a case onto one grid",
            )
    channels = torch.cat([scan.image.as_tensor() for scan in scans])
    return Scan(case.id, MetaTensor(channels, affine=first.image.affine), first.findings, first.path)


def prepare(case: Case, preprocessing: Preprocessing, classes: int, cache: Path) -> PreparedCase:
    """Preprocess a labelled case, or find it in ``cache`` under a name that changes with the files and the settings.

    Args:
        classes: number of label values, the background included.

    Raises:
        InputError: for a missing or damaged file, or a label that does not match its image in grid or values.
    """
    if case.label is None:
        raise InputError("the case has no label", where=case.id, repair="add its label, or remove the case")
    path = cache / f"{case.id}-{_key([*case.images, case.label], preprocessing)}.safetensors"
    if not path.exists():
        scan = read_case(case)
        label = read_labels(case.label, like=scan, values=range(classes))
        image = preprocessing(scan.image)
        on_grid = preprocessing.label(MetaTensor(torch.from_numpy(label[None]).float(), affine=scan.image.affine))
        tensors = {
            "image": image.as_tensor().contiguous(),
            "label": on_grid.as_tensor().to(torch.uint8).contiguous(),
            "affine": torch.as_tensor(image.affine, dtype=torch.float64).contiguous(),
        }
        geometry = {"fov_mm": scan.fov_mm, "spacing_mm": scan.spacing_mm}
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={"geometry": json.dumps(geometry)})
    with safe_open(path, framework="pt") as file:
        geometry = json.loads(file.metadata()["geometry"])
    return PreparedCase(case.id, path, {key: tuple(value) for key, value in geometry.items()})


def _key(files: Sequence[Path], preprocessing: Preprocessing) -> str:
    stats = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files if f.exists()]
    text = json.dumps([CACHE_VERSION, stats, preprocessing.to_json()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Patches(Dataset[dict[str, Any]]):
    """Endless augmented patches: patch ``k`` depends on ``k`` and the seed only, so a resumed run sees the same ones.

    Every run of ``len(cases)`` patches shows each case once, in an order drawn anew.
    """

    def __init__(self, cases: Sequence[PreparedCase], augmentation: Compose, seed: int) -> None:
        self.cases, self.augmentation, self.seed = cases, augmentation, seed

    def __getitem__(self, k: int) -> dict[str, Any]:
        turn, position = divmod(k, len(self.cases))
        case = self.cases[_order(self.seed, turn, len(self.cases))[position]]
        image, label = case.load()
        self.augmentation.set_random_state(seed=int(np.random.SeedSequence([self.seed, k]).generate_state(1)[0]))
        sample: Any = self.augmentation({"image": image, "label": label})
        sample = sample[0] if isinstance(sample, list) else sample
        return {"image": sample["image"].as_tensor(), "label": sample["label"].as_tensor(), "case": case.id}


@lru_cache(maxsize=4)
def _order(seed: int, turn: int, n: int) -> list[int]:
    return [int(i) for i in np.random.default_rng([seed, turn]).permutation(n)]


class FromStep(Sampler[int]):
    """Patch numbers of this process from a step on; its length is that of the whole schedule, as Lightning counts."""

    def __init__(self, step: int, recipe: Recipe, rank: int, world: int) -> None:
        self.step, self.recipe, self.rank, self.world = step, recipe, rank, world

    def __len__(self) -> int:
        return self.recipe.max_steps * self.recipe.batch_size

    def __iter__(self) -> Iterator[int]:
        for i in range(self.step * self.recipe.batch_size, len(self)):
            yield i * self.world + self.rank


class TrainingData(L.LightningDataModule):
    """The training cases as a Lightning data module that goes on at the trainer's own step."""

    def __init__(self, cases: Sequence[PreparedCase], augmentation: Compose, recipe: Recipe) -> None:
        super().__init__()
        self.patches, self.recipe = Patches(cases, augmentation, recipe.seed), recipe

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        trainer = self.trainer
        if trainer is None:
            step, rank, world = 0, 0, 1
        else:
            step, rank, world = trainer.global_step, trainer.global_rank, trainer.world_size
        return DataLoader(
            self.patches,
            batch_size=self.recipe.batch_size,
            sampler=FromStep(step, self.recipe, rank, world),
            num_workers=self.recipe.workers,
            persistent_workers=self.recipe.workers > 0,
        )
