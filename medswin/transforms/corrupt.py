"""Corruptions for self-supervised pre-training: what is hidden, overwritten or turned, drawn and then done.

Every random transform (MONAI's dict transforms, channel first) only draws, and hands what it drew to a plain function
here, so that a corruption is repeated by repeating its parameters. They take tensors, `MetaTensor` too, and arrays,
which become tensors, and need nothing else of medswin but its errors.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, Randomizable, Rotate90
from monai.utils import convert_to_tensor
from torch import Tensor

from medswin.errors import ConfigError, ShapeError

Block = tuple[slice, slice, slice]
Plane = tuple[int, int]

SMALLEST, LARGEST = 0.05, 0.25  # sides of a cutout's blocks, as shares of the image's (Tang et al. 2022)


def draw_blocks(
    shape: Sequence[int],
    largest_share: float,
    rng: np.random.RandomState,
    sides: tuple[float, float] = (SMALLEST, LARGEST),
) -> list[Block]:
    """Blocks that together have a share of the voxels, drawn from 0 to ``largest_share``; overlaps count twice.

    The last block may exceed that share by its own size. Sides are drawn between two shares of the image's, and have
    at least one voxel, on thin images too.

    Args:
        shape: spatial shape.
        largest_share: 0 to 1; 0 draws none.
        rng: what draws.
        sides: shortest and longest side of a block over the image's.

    Source: SSL pre-training of Swin UNETR (Tang et al. 2022, arXiv:2111.14791).
    """
    wanted = rng.uniform(0, largest_share) * np.prod(shape)
    blocks: list[Block] = []
    done = 0.0
    while done < wanted:
        lengths = [
            rng.randint(max(1, int(sides[0] * size)), max(1, int(sides[0] * size), int(sides[1] * size)) + 1)
            for size in shape
        ]
        firsts = [rng.randint(0, size - length + 1) for size, length in zip(shape, lengths, strict=True)]
        d, h, w = (slice(a, a + n) for a, n in zip(firsts, lengths, strict=True))
        blocks.append((d, h, w))
        done += float(np.prod(lengths))
    return blocks


def overwrite(image_CDHW: Tensor, blocks: Sequence[Block], filler_CDHW: Tensor) -> Tensor:
    """A copy of an image whose blocks hold what ``filler_CDHW`` has there."""
    filled = image_CDHW.clone()
    for block in blocks:
        filled[(slice(None), *block)] = filler_CDHW[(slice(None), *block)]
    return filled


def noise(image_CDHW: Tensor, seed: int, blocks: Sequence[Block], low: float, high: float) -> Tensor:
    """Normal noise, each block of it rescaled to [low, high]; zeros elsewhere."""
    rng = np.random.RandomState(seed)
    filler = torch.zeros_like(image_CDHW)
    for block in blocks:
        shape = (len(image_CDHW), *(part.stop - part.start for part in block))
        drawn = rng.standard_normal(shape).astype(np.float32)
        spread = max(float(drawn.max() - drawn.min()), 1e-6)
        scaled = torch.from_numpy((drawn - drawn.min()) / spread) * (high - low) + low
        filler[(slice(None), *block)] = scaled.to(filler.dtype)
    return filler


def turned(image_CDHW: Tensor, quarters: int, plane: Plane) -> Tensor:
    """An image turned by so many quarters in the plane of two spatial axes; a `MetaTensor`'s affine goes with it."""
    if isinstance(image_CDHW, MetaTensor):
        done: Tensor = Rotate90(quarters, plane)(image_CDHW)
        return done.contiguous()
    return torch.rot90(image_CDHW, quarters, [axis + 1 for axis in plane]).contiguous()


def draw_mask(shape: Sequence[int], unit: Sequence[int], ratio: float, rng: np.random.RandomState) -> Tensor:
    """Which units of an image are hidden: exactly ``ratio`` of them, rounded, never none and never all.

    Args:
        shape: spatial shape, which ``unit`` divides.
        unit: voxels of a unit per axis.
        ratio: 0 to 1.
        rng: what draws.

    Returns:
        float32 (1, D / unit, H / unit, W / unit), 1 where hidden.

    Raises:
        ShapeError: if the unit does not divide the shape.
    """
    if len(shape) != len(unit) or any(size % edge for size, edge in zip(shape, unit, strict=True)):
        raise ShapeError(
            f"units of {tuple(unit)} voxels do not divide {tuple(shape)}",
            where="unit",
            repair="choose a unit that divides each axis, or crop or pad the image before",
        )
    grid = [size // edge for size, edge in zip(shape, unit, strict=True)]
    units = int(np.prod(grid))
    hidden = min(max(round(ratio * units), 1), max(units - 1, 1))
    mask = np.zeros(units, dtype=np.float32)
    mask[rng.permutation(units)[:hidden]] = 1
    return torch.from_numpy(mask.reshape(1, *grid))


class RandTurnd(Randomizable, MapTransform):
    """Turn images by 0 to 3 quarters (0 or 2 where ``halves``), the same for all keys; how many goes under ``to``.

    Raises:
        ConfigError: if ``plane`` is not two axes out of 0, 1 and 2.
        ShapeError: for an image that is not (C, D, H, W).
    """

    def __init__(self, keys: KeysCollection, to: str, plane: Plane = (1, 2), halves: bool = False) -> None:
        super().__init__(keys)
        if tuple(plane) not in list(permutations(range(3), 2)):
            raise ConfigError(
                f"must be two different axes out of 0, 1 and 2, got {plane}", where="plane", repair="write (1, 2)"
            )
        self.to, self.plane, self.halves = to, plane, halves

    def randomize(self, data: Any = None) -> None:
        self.quarters = 2 * int(self.R.randint(2)) if self.halves else int(self.R.randint(4))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        self.randomize()
        done = {key: turned(_image(data, key), self.quarters, self.plane) for key in self.key_iterator(data)}
        return {**data, **done, self.to: torch.tensor(self.quarters)}


class RandCutoutd(Randomizable, MapTransform):
    """Overwrite blocks (`draw_blocks`) of images with noise, or with another image.

    Args:
        keys: the images.
        share: largest share of the voxels.
        filler: key of an image of the same shape whose voxels are taken; normal noise where None.
        value_range: that noise is scaled to; the image's own range where None.

    ``drawn`` has the blocks and the seed of `noise` of each key of the last call.

    Raises:
        ConfigError: for a share outside 0 to 1, a range that falls, or a filler that a sample does not have.
        ShapeError: for an image that is not (C, D, H, W), or a filler of another shape.
    """

    def __init__(
        self,
        keys: KeysCollection,
        share: float = 0.3,
        filler: str | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        super().__init__(keys)
        _check_share("share", share)
        if value_range is not None and not value_range[0] <= value_range[1]:
            raise ConfigError(f"must rise, got {value_range}", where="value_range", repair="write (low, high)")
        self.share, self.filler, self.value_range = share, filler, value_range

    def randomize(self, shape: Sequence[int]) -> None:
        self.blocks = draw_blocks(shape, self.share, self.R)
        self.seed = int(self.R.randint(2**31))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        done = dict(data)
        self.drawn: dict[Hashable, tuple[list[Block], int]] = {}
        for key in self.key_iterator(data):
            image = _image(data, key)
            self.randomize(image.shape[1:])
            self.drawn[key] = (self.blocks, self.seed)
            if self.filler is not None:
                filler = _filler(data, self.filler, image)
            else:
                low, high = self.value_range or (float(image.min()), float(image.max()))
                filler = noise(image, self.seed, self.blocks, low, high)
            done[key] = overwrite(image, self.blocks, filler)
        return done


class RandMaskd(Randomizable, MapTransform):
    """Draw which units of an image are hidden (`draw_mask`) and put that under ``to``; the image is left as it is.

    A masked task hides tokens, not voxels: it needs to know where.

    Raises:
        ConfigError: for a ratio outside 0 to 1, or a unit without voxels.
        ShapeError: if the unit does not divide an image.
    """

    def __init__(self, keys: KeysCollection, to: str, unit: Sequence[int], ratio: float = 0.6) -> None:
        super().__init__(keys)
        _check_share("ratio", ratio)
        if not unit or min(unit) < 1:
            raise ConfigError(
                f"needs a voxel per axis at least, got {tuple(unit)}", where="unit", repair="write (8, 8, 8)"
            )
        self.to, self.unit, self.ratio = to, tuple(unit), ratio

    def randomize(self, shape: Sequence[int]) -> None:
        self.mask = draw_mask(shape, self.unit, self.ratio, self.R)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        self.randomize(data[self.first_key(data)].shape[1:])
        return {**data, self.to: self.mask}


def _check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ConfigError(f"must lie in 0 to 1, got {share}", where=name, repair="write 0.3 for 30 %")


def _image(data: Mapping[Hashable, Any], key: Hashable) -> Tensor:
    image: Tensor = data[key] if isinstance(data[key], Tensor) else convert_to_tensor(data[key])
    if image.ndim != 4:
        raise ShapeError(
            f"must be (C, D, H, W), got {tuple(image.shape)}",
            where=key,
            repair="put the channels first, and give a 2D image a third axis of one voxel",
        )
    return image


def _filler(data: Mapping[Hashable, Any], key: Hashable, image_CDHW: Tensor) -> Tensor:
    if key not in data:
        raise ConfigError(f"the sample has no {key!r} to fill with", where="filler", repair="name a key that it has")
    filler = _image(data, key)
    if filler.shape != image_CDHW.shape:
        raise ShapeError(
            f"must have the shape of what it fills, {tuple(image_CDHW.shape)}, got {tuple(filler.shape)}",
            where=key,
            repair="crop or pad both to one size, and turn patches that are not square by halves alone",
        )
    return filler
