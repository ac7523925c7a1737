"""A sweep: one pass of windows over a batch of scans."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property

import torch
from monai.data import MetaTensor
from torch import Tensor
from torch.nn import functional as F

from medswin.errors import ShapeError
from medswin.inference.stitch import Canvas, Place
from medswin.inference.windows import Tiling


class Sweep:
    """Cuts windows out of scans, and puts together what a network makes of them.

    Args:
        inputs: (B, C, *spatial); results come in its number format, and with its affine where it is a `MetaTensor`.
        tiling: where windows lie.
        weights: importance of a window's voxels.
        windows: how many at once.
        padding: mode and fill value, for scans smaller than a window.
        sw_device: where windows are sent; the inputs' device where None.
        device: where results are put together; the inputs' device where None.
    """

    def __init__(
        self,
        inputs: Tensor,
        tiling: Tiling,
        weights: Tensor,
        windows: int,
        padding: tuple[str, float],
        sw_device: torch.device | str | None,
        device: torch.device | str | None,
    ) -> None:
        self.inputs, self.tiling, self.weights, self.windows, self.padding = inputs, tiling, weights, windows, padding
        self.image = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        self.sw_device = torch.device(sw_device) if sw_device is not None else self.image.device
        self.device = torch.device(device) if device is not None else self.image.device
        self.canvases: dict[Hashable, Canvas] = {}

    def batches(self) -> Iterator[tuple[list[Place], Tensor]]:
        """Windows (N, C, *roi), scan after scan, with their places."""
        places = [(scan, start) for scan in range(len(self.image)) for start in self.tiling.starts]
        for first in range(0, len(places), self.windows):
            some = places[first : first + self.windows]
            yield some, self.cut(some)

    def cut(self, places: Sequence[Place]) -> Tensor:
        """The windows (N, C, *roi) at these places."""
        cut = [self._padded[scan][(slice(None), *self.tiling.window(start))] for scan, start in places]
        return torch.stack(cut).to(self.sw_device)

    def add(self, places: list[Place], outputs: Mapping[Hashable, Tensor]) -> None:
        """Add the parts of a network's output (N, C, *roi) for N windows, by their names."""
        for name, part in outputs.items():
            if name not in self.canvases:
                self.canvases[name] = Canvas(self.tiling, self.weights, len(self.image), part, self.device)
            self.canvases[name].add(places, part)

    def results(self) -> dict[Hashable, Tensor]:
        """The whole scans (B, C, *spatial) of each part."""
        return {name: self._like_inputs(canvas.result()) for name, canvas in self.canvases.items()}

    def _like_inputs(self, result: Tensor) -> Tensor:
        result = result.to(self.image.dtype) if self.image.is_floating_point() else result
        return MetaTensor(result).copy_meta_from(self.inputs) if isinstance(self.inputs, MetaTensor) else result

    @cached_property
    def _padded(self) -> Tensor:
        pads = [width for pair in reversed(self.tiling.pads) for width in pair]
        mode, fill = self.padding
        if not any(pads):
            return self.image
        try:
            return F.pad(self.image, pads, mode, fill if mode == "constant" else None)
        except (RuntimeError, NotImplementedError) as error:
            raise ShapeError(
                f"a scan of {self.tiling.shape} voxels cannot be padded to {self.tiling.padded} by {mode!r}",
                where="padding_mode",
                repair='use padding_mode="constant" or "replicate"',
            ) from error
