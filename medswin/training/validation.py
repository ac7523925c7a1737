"""Validation: whole cases through the window inferer, scored per structure, some of them pictured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch import Tensor

from medswin.figures import key_image, save_png
from medswin.labels import LabelSet
from medswin.metrics import dice
from medswin.networks import Segmenter
from medswin.networks.outputs import Reading
from medswin.training.data import PreparedCase

Infer = Callable[[Tensor, Segmenter], Tensor]
"""(image (1, C, D, H, W), network) -> logits (1, classes, D, H, W)."""


class Validation:
    """Scores a network on the validation cases, on the network's own grid.

    Args:
        cases: of the people that choose the weights.
        infer: window inference, the same that the package will use.
        label_set: the structures.
        reading: of the network's logits.
        folder: where pictures go.
        pictures: how many cases to picture.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        infer: Infer,
        label_set: LabelSet,
        reading: Reading,
        folder: Path,
        pictures: int = 0,
    ) -> None:
        self.cases, self.infer, self.label_set, self.reading = cases, infer, label_set, reading
        self.folder, self.pictures = folder, pictures

    def __call__(self, network: Segmenter, step: int) -> tuple[dict[str, float], list[Path]]:
        """Mean Dice per structure and over all (``"dice"``), and the pictures made."""
        device = next(network.parameters()).device
        rows, made = [], []
        for i, case in enumerate(self.cases):
            image, label = case.load()
            with torch.inference_mode():
                logits = self.infer(image.as_tensor()[None].to(device), network)
            found = self.reading.labels(self.reading.centred(logits[0])).cpu().numpy()
            truth = label.as_tensor()[0].numpy()
            rows.append([dice(found == part.value, truth == part.value) for part in self.label_set])
            if i < self.pictures:
                made.append(self._picture(case.id, step, image, found, truth))
        means = np.mean(np.array(rows), axis=0)
        scores = {f"dice/{part.name}": float(mean) for part, mean in zip(self.label_set, means, strict=True)}
        return {"dice": float(means.mean()), **scores}, made

    def _picture(self, case: str, step: int, image: MetaTensor, found: NDArray[Any], truth: NDArray[Any]) -> Path:
        path = self.folder / f"step_{step:06d}_{case}.png"
        picture = key_image(
            image[0].numpy(),
            found,
            np.asarray(image.affine),
            self.label_set,
            reference_XYZ=truth.astype(np.uint8),
            title=f"{case}, step {step}; dashed: reference",
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        save_png(path, picture)
        return path
