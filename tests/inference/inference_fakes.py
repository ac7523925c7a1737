"""Tiny networks whose answers can be told beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from medswin.inference import Model
from medswin.labels import LabelSet
from medswin.ood import Judge, View
from medswin.transforms import Preprocessing

# The 48 ways to store one volume: which axis comes where, and which way each runs.
ORIENTATIONS = [(p, s) for p in permutations(range(3)) for s in product((1, -1), repeat=3)]


def reoriented(values, affine, permutation, signs):
    """The same volume stored another way: ``stored[j] = values[i]`` with i and j at the same place in the world."""
    moved = np.eye(4)
    moved[:3, :3] = 0
    stored = np.transpose(values, permutation)
    for axis, (source, sign) in enumerate(zip(permutation, signs, strict=True)):
        moved[source, axis] = sign
        if sign < 0:
            stored = np.flip(stored, axis)
            moved[source, 3] = values.shape[source] - 1
    return np.ascontiguousarray(stored), affine @ moved


def threshold_model(
    channels: Sequence[str] = ("T1",),
    labels: Sequence[str] = ("bright",),
    spacing_mm: tuple[float, float, float] | None = (1.0, 1.0, 1.0),
    judge: Judge | None = None,
    window: dict[str, object] | None = None,
) -> Model:
    """A model that labels what is brighter than 0.5; intensities are taken as they are within 0 to 1."""
    return Model(
        name="bright",
        version="1.0.0",
        package="ab" * 32,
        network=Threshold(len(channels)),
        preprocessing=Preprocessing(spacing_mm, {"name": "window", "low": 0.0, "high": 1.0}),
        label_set=LabelSet.from_names(list(labels)),
        channels=tuple(channels),
        window=window or {"roi_size": [8, 8, 8], "overlap": 0.5, "mode": "gaussian", "mirror_axes": []},
        view=View(),
        judge=judge,
    )


class Threshold(nn.Module):
    """Two classes: above 0.5 of the (normalised) image, or not. Its bottleneck is the image in cells of 2 voxels."""

    def __init__(self, in_channels: int = 1, cell: int = 2) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.cell = in_channels, 2, cell
        self.bias = nn.Parameter(torch.full((1,), 0.5))
        self.decoder = SimpleNamespace(out_channels=2)
        self.encoded: list[int] = []
        self.decoded: list[int] = []

    def encode(self, x_BCDHW: Tensor) -> list[Tensor]:
        self.encoded.append(len(x_BCDHW))
        return [x_BCDHW, F.avg_pool3d(x_BCDHW, self.cell)]

    def decode(self, features: Sequence[Tensor]) -> Tensor:
        self.decoded.append(len(features[0]))
        image = features[0][:, :1]
        return torch.cat([torch.zeros_like(image), image - self.bias], 1)

    def forward(self, x_BCDHW: Tensor) -> Tensor:
        return self.decode(self.encode(x_BCDHW))
