"""Scans without labels: brought to the network's grid, cropped to the body, kept on disk; and views of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset

from medswin.io import Case, replacing
from medswin.io.dicom import Series
from medswin.io.files import read_bytes, sha256
from medswin.training.data import FromStep, opened, order, read_case, seed_of
from medswin.training.recipe import PretrainRecipe
from medswin.transforms import Preprocessing, Turns
from medswin.transforms.foreground import body_box
from medswin.transforms.views import PLANES, fair_in

CACHE_VERSION = 2


def prepare_unlabelled(
    case: Case | Series, preprocessing: Preprocessing, channels: int | None, margin: int, cache: Path
) -> Path:
    """Preprocess a scan, crop it to the body with ``margin`` voxels around, and keep it in ``cache``.

    The name in ``cache`` changes with the content of the files and the settings, not with the place of the files: a
    folder that was moved, or copied anew, holds the same scans. What is there already is not made again.

    Raises:
        InputError: for a missing or damaged file, or another number of channels.
    """
    files = case.images if isinstance(case, Case) else case.files
    contents = [sha256(read_bytes(file)) for file in files]
    text = json.dumps([CACHE_VERSION, contents, preprocessing.to_json(), margin])
    path = cache / f"{case.id}-{sha256(text.encode())[:16]}.safetensors"
    if not path.exists():
        scan = read_case(case, channels)
        image = preprocessing(scan.image)
        body = image.as_tensor()[(slice(None), *body_box(image.as_tensor(), margin))]
        with replacing(path) as temporary:
            save_file({"image": body.contiguous()}, temporary, metadata={"spacing_mm": json.dumps(scan.spacing_mm)})
    return path


def channels_of(path: Path) -> int:
    """Channels of a prepared scan; raises TrainingError where its file is damaged."""
    with opened(path) as file:
        return int(file.get_slice("image").get_shape()[0])


def fitting_turns(
    scans: Sequence[Path], patch_size: Sequence[int], spacing_mm: Sequence[float] | None
) -> tuple[Turns, str]:
    """How patches of prepared scans may be turned, see `Turns.fitting`.

    Voxels must be square twice: as the scans came, since a resampled axis is blurred, and as they were prepared, since
    anatomy is stretched where they are not.

    Args:
        scans: prepared.
        patch_size: voxels per axis.
        spacing_mm: that they were resampled to; None where they were not.

    Returns:
        The turns, and what is in the way of quarter turns, which one scan among many may be; empty for nothing.

    Raises:
        TrainingError: for a damaged file.
    """
    grid, spacings, shapes = [] if spacing_mm is None else [spacing_mm], [], []
    for path in scans:
        with opened(path) as file:
            spacings.append(json.loads(file.metadata()["spacing_mm"]))
            shapes.append(file.get_slice("image").get_shape()[1:])
    turns = Turns.fitting(patch_size, [*grid, *spacings], shapes)
    rows = list(zip(map(_case, scans), spacings, shapes, strict=True))
    return turns, _in_the_way(patch_size, grid, rows) if turns.halves else ""


def _in_the_way(
    patch_size: Sequence[int], grid: Sequence[Sequence[float]], rows: Sequence[tuple[str, Any, Any]]
) -> str:
    """What rules out quarter turns, in the plane where the fewest scans do."""
    planes = [plane for plane in PLANES if fair_in(plane, patch_size, grid, ())]
    if not planes:
        return "patches, or the voxels of spacing_mm, are square in no plane"
    guilty = {
        plane: [(name, mm) for name, mm, shape in rows if not fair_in(plane, patch_size, [mm], [shape])]
        for plane in planes
    }
    plane, found = min(guilty.items(), key=lambda item: len(item[1]))
    name, mm = found[0]
    why = "smaller than the patch" if fair_in(plane, patch_size, [mm], ()) else "its voxels are not square"
    return f"{len(found)} of {len(rows)} scans ({name}: {why})"


class UnlabelledPatches(Dataset[dict[str, Any]]):
    """Endless views: sample ``k`` depends on ``k`` and the seed only, so a resumed run sees the same ones.

    Every run of ``len(scans)`` samples shows each scan once, in an order drawn anew; the next one in that order is the
    other scan that fillers are taken from.
    """

    def __init__(self, scans: Sequence[Path], views: Compose, keys: frozenset[str], seed: int) -> None:
        self.scans, self.views, self.keys, self.seed = scans, views, keys, seed

    def __getitem__(self, k: int) -> dict[str, Any]:
        turn, position = divmod(k, len(self.scans))
        drawn = order(self.seed, turn, len(self.scans))
        image, other = (self.scans[drawn[(position + i) % len(drawn)]] for i in (0, 1))
        self.views.set_random_state(seed=seed_of(self.seed, k))
        sample: Any = self.views({"image": _load(image), "other": _load(other)})
        wanted = self.keys | {"image"}
        made: dict[str, Any] = {name: torch.as_tensor(sample[name]).clone() for name in sorted(wanted)}
        return {**made, "case": _case(image)}


def _case(path: Path) -> str:
    """The name of the case that a prepared scan is of."""
    return path.stem.rsplit("-", 1)[0]


def _load(path: Path) -> MetaTensor:
    with opened(path) as file:
        return MetaTensor(file.get_tensor("image"))


class UnlabelledData(L.LightningDataModule):
    """Views as a Lightning data module that goes on at the trainer's own step."""

    def __init__(self, patches: UnlabelledPatches, recipe: PretrainRecipe) -> None:
        super().__init__()
        self.patches, self.recipe = patches, recipe

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        step = self.trainer.global_step if self.trainer is not None else 0
        samples = self.recipe.accumulate * self.recipe.batch_size
        return DataLoader(
            self.patches,
            batch_size=samples,
            sampler=FromStep(step, self.recipe.max_steps, samples),
            num_workers=self.recipe.workers,
            persistent_workers=self.recipe.workers > 0,
        )
