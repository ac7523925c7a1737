"""Predictors for other processes: slow ones, and ones whose process dies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import nibabel
import numpy as np
from inference_fakes import threshold_model

from medswin.inference import Predictor


def write_scans(folder: Path, names: str) -> Path:
    """Scans of 6 x 6 x 6 voxels of 2 mm: the n-th has n + 3 bright voxels in a row."""
    folder.mkdir(exist_ok=True)
    for i, name in enumerate(names):
        image = np.zeros(216, dtype=np.float32)
        image[97 : 100 + i] = 1
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        nibabel.save(nibabel.Nifti1Image(image.reshape(6, 6, 6), affine), folder / f"{name}.nii.gz")
    return folder


def plain() -> Predictor:
    return Predictor(threshold_model(spacing_mm=None))


class Slow(Predictor):
    """Takes 0.3 s a case."""

    def predict(self, prepared):
        time.sleep(0.3)
        return super().predict(prepared)


def slow() -> Predictor:
    return Slow(threshold_model(spacing_mm=None))


class Deadly(Predictor):
    """Its process is killed by case ``b``: once where ``mark`` says so, else always."""

    mark: Path | None = None

    def predict(self, prepared):
        if prepared.scan.case == "b" and not (self.mark and self.mark.exists()):
            if self.mark:
                self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(prepared)


def deadly(mark: Path | None = None) -> Predictor:
    made = Deadly(threshold_model(spacing_mm=None))
    made.mark = mark
    return made


class Hanging(Predictor):
    """Never ends with case ``b``."""

    def predict(self, prepared):
        while prepared.scan.case == "b":
            time.sleep(1)
        return super().predict(prepared)


def hanging() -> Predictor:
    return Hanging(threshold_model(spacing_mm=None))
