"""Small NIfTI files, with headers that can be bent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

# Rows that differ along every axis, so that a flip or a permutation shows.
RAMP = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)


@pytest.fixture
def ramp() -> np.ndarray:
    return RAMP.copy()


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """``save(array, name, affine, sform=1, qform=1, **header fields)`` -> path; fields are set raw, after all else."""

    def write(
        array: np.ndarray = RAMP,
        name: str = "scan.nii",
        affine: np.ndarray | None = None,
        sform: int = 1,
        qform: int = 1,
        **fields: Any,
    ) -> Path:
        path = tmp_path / name
        place = np.eye(4) if affine is None else affine
        image = nib.Nifti1Image(array, place, dtype=array.dtype)
        image.set_sform(place, sform)
        image.set_qform(place, qform)
        content = bytearray(image.to_bytes())
        header = nib.Nifti1Header(bytes(content[:348]), check=False)
        for field, value in fields.items():
            header[field] = value
        content[:348] = header.binaryblock
        path.write_bytes(bytes(content))
        return path

    return write
