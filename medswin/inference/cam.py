"""Where a network looks: the strongest pattern of its bottleneck, as a map over the scan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from medswin.figures import key_image, save_png
from medswin.findings import oriented
from medswin.inference.box import Box, cropped
from medswin.inference.predictor import Predictor
from medswin.inference.prepare import Prepared
from medswin.inference.resample import to_grid
from medswin.io.nifti import write_image
from medswin.io.sources import Source
from medswin.ood import View


def eigen_cam(predictor: Predictor, prepared: Prepared) -> NDArray[np.float32]:
    """Eigen-CAM of the bottleneck over a scan.

    The bottleneck's cells of all windows are put on one grid over the scan; their activations, a matrix of cells by
    channels, are projected onto its first right singular vector. No class and no gradient is asked for.

    Source: Muhammad & Yeasin 2020 (arXiv 2008.00299).

    Args:
        predictor: with the model.
        prepared: the scan, `Predictor.prepare`.

    Returns:
        (X, Y, Z) on the grid of what is looked at, 0 to 1.
    """
    strides = predictor.network.encoder.strides[-1]
    shape = prepared.image.shape[1:]
    grid = tuple(max(round(size / stride), 1) for size, stride in zip(shape, strides, strict=True))
    window = {**predictor.model.window, "overlap": 0.0}  # a large scan is not worth more
    model = replace(predictor.model, view=View(grid=grid), judge=None, window=window)
    limit = predictor.memory_limit_gb
    looking = Predictor(
        model, device=predictor.device, precision=predictor.precision, mirror=False, memory_limit_gb=limit
    )
    _, found = looking.segment(prepared)
    cells_CN = found.feature.reshape(-1, int(np.prod(grid))).double()
    strength = torch.linalg.svd(cells_CN.T, full_matrices=False).Vh[0] @ cells_CN
    strength = strength * strength.sum().sign()  # a singular vector may point either way
    strength = (strength - strength.min()) / (strength.max() - strength.min()).clamp_min(1e-12)
    fine = F.interpolate(strength.reshape(1, 1, *grid).float(), shape, mode="trilinear", align_corners=False)[0]
    scan = prepared.looked_at
    padded = torch.cat([torch.zeros_like(fine), fine])  # channel 0 is what lies outside of the field
    moved = to_grid(padded, np.asarray(prepared.image.affine), scan.shape, scan.grid.affine)
    return np.asarray(moved[1].clamp(0, 1).numpy(), dtype=np.float32)


def write_cam(
    predictor: Predictor,
    prepared: Prepared,
    labels_XYZ: NDArray[np.uint8],
    source: Source,
    folder: Path,
    box: str | None = None,
) -> list[Path]:
    """Write the map as NIfTI, on the grid of what was looked at, and over the scan as a picture; returns the files.

    The scan is read again, as it is not kept while the network looks.
    """
    heat, looked_at = eigen_cam(predictor, prepared), prepared.looked_at
    again = source.read()
    image = again if box is None else cropped(again, Box.parse(box).slices(again))
    picture = key_image(
        image.image[0].numpy(),
        labels_XYZ,
        looked_at.grid.affine,
        predictor.model.label_set,
        known=oriented(looked_at.findings),
        heat_XYZ=heat,
        title=f"{prepared.scan.case}: where the network looks (Eigen-CAM, green)",
    )
    files = [folder / f"{prepared.scan.case}_cam.nii.gz", folder / f"{prepared.scan.case}_cam.png"]
    write_image(files[0], heat, looked_at.grid.affine)
    save_png(files[1], picture)
    return files
