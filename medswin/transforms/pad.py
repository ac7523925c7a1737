"""Padding that does not tell how an image is turned afterwards."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform, Pad, Randomizable
from torch import Tensor

from medswin.errors import ShapeError


def padded(image_CDHW: Tensor, size: Sequence[int], shares: Sequence[float]) -> Tensor:
    """An image whose rim is repeated until it has ``size`` voxels per axis; a longer axis is left as it is.

    Args:
        image_CDHW: a `MetaTensor`'s affine goes with it; an array becomes a tensor, as in MONAI's transforms.
        size: per axis.
        shares: 0 to below 1 per axis: of the places where the image may lie, from the first to the last.

    Raises:
        ShapeError: for an image with another number of axes.
    """
    if len(image_CDHW.shape) != 1 + len(size):
        raise ShapeError(
            f"{tuple(image_CDHW.shape)} is no image to be padded to {tuple(size)}",
            where="size",
            repair="put the channels first, and give a size for each other axis",
        )
    gaps = [max(wanted - length, 0) for wanted, length in zip(size, image_CDHW.shape[1:], strict=True)]
    before = [int(share * (gap + 1)) for share, gap in zip(shares, gaps, strict=True)]
    rims = [(first, gap - first) for first, gap in zip(before, gaps, strict=True)]
    done: Tensor = Pad([(0, 0), *rims], mode="edge")(image_CDHW)
    return done


class RandEdgePadd(Randomizable, MapTransform):
    """Repeat the rim of images that are smaller than ``size`` (`padded`), which then lie at a drawn place.

    Of rims made equal, an odd gap leaves the last one longer: that would tell an image from its half turn. Each place
    is drawn as often as any other, the same for all keys of one shape; ``shares`` has what the last call drew.

    Args:
        keys: the images.
        size: voxels per axis.
    """

    def __init__(self, keys: KeysCollection, size: Sequence[int]) -> None:
        super().__init__(keys)
        self.size = tuple(size)

    def randomize(self, data: Any = None) -> None:
        self.shares = self.R.uniform(size=len(self.size))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        self.randomize()
        return {**data, **{key: padded(data[key], self.size, self.shares) for key in self.key_iterator(data)}}
