"""Scan: an image on its grid, with a name and with what was noticed while it was read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import ArrayLike, NDArray

from medswin.errors import InputError
from medswin.findings import NO_ORIENTATION, Finding, oriented
from medswin.io.grid import Grid, Triple, sizes

LARGEST = 1e18
"""Largest intensity that float32 can still square."""


@dataclass(frozen=True, eq=False)
class Scan:
    """One scan, ready for preprocessing.

    Attributes:
        case: its name, without folder and suffix.
        image: (C, X, Y, Z) float32; its affine is (4, 4) float64, voxel index -> RAS+ mm.
        findings: what was noticed about it.
        path: where it was read from; None for an array.
    """

    case: str
    image: MetaTensor
    findings: tuple[Finding, ...] = ()
    path: Path | None = None

    @classmethod
    def from_array(cls, array: ArrayLike | torch.Tensor, affine: ArrayLike | None = None, case: str = "array") -> Scan:
        """A scan of an array.

        Args:
            array: (X, Y, Z), or (C, X, Y, Z) with the channels first, of any real type.
            affine: (4, 4) voxel index -> RAS+ mm. Where None, that of a MetaTensor is taken; any other array is taken
                as 1 mm RAS, with the finding ``"no-orientation"``.
            case: its name.

        Raises:
            InputError: for another number of axes, an axis of one voxel, values that are not real and finite, a
                constant image, or an affine that cannot be used.
        """
        known = affine is not None or isinstance(array, MetaTensor)
        if isinstance(array, MetaTensor):
            affine = array.affine.cpu().numpy() if affine is None else affine
            array = array.as_tensor()
        values = array.detach().cpu().numpy() if isinstance(array, torch.Tensor) else np.asarray(array)
        if values.ndim not in (3, 4) or min(values.shape[-3:]) < 2:
            raise InputError(
                f"an array of {sizes(values.shape)} is no scan", where=case, repair="give (X, Y, Z) or (C, X, Y, Z)"
            )
        if values.dtype.kind not in "biuf":
            raise InputError(f"an array of {values.dtype} is no scan", where=case, repair="give real numbers")
        grid = Grid.checked(values.shape[-3:], np.eye(4) if affine is None else affine, case)
        with np.errstate(over="ignore"):
            image = np.array(values.reshape(-1, *grid.shape), dtype=np.float32)
        return cls.checked(case, image, grid, () if known else (no_orientation("The array came without an affine"),))

    @classmethod
    def checked(
        cls,
        case: str,
        image_CXYZ: NDArray[np.float32],
        grid: Grid,
        findings: tuple[Finding, ...] = (),
        path: Path | None = None,
    ) -> Scan:
        """A scan whose intensities have been found usable; see `from_array` for the errors."""
        noticed = check_intensities(image_CXYZ, path or case)
        image = MetaTensor(torch.from_numpy(image_CXYZ), affine=torch.from_numpy(grid.affine.copy()))
        return cls(case, image, (*findings, *noticed), path)

    @property
    def grid(self) -> Grid:
        """Shape and affine."""
        x, y, z = (int(n) for n in self.image.shape[1:])
        return Grid((x, y, z), np.asarray(self.image.affine.cpu(), dtype=np.float64))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along the array's axes X, Y, Z."""
        return self.grid.shape

    @property
    def voxel_mm(self) -> Triple:
        """Side of a voxel along each axis of the array, in the order it is stored."""
        return self.grid.voxel_mm

    @property
    def spacing_mm(self) -> Triple:
        """Side of a voxel along R, A, S: each the size along the closest array axis."""
        return self.grid.spacing_mm

    @property
    def fov_mm(self) -> Triple:
        """Field of view along R, A, S."""
        return self.grid.fov_mm

    @property
    def oriented(self) -> bool:
        """Whether the scan says which way it lies, so that left and right can be told."""
        return oriented(self.findings)


def no_orientation(what: str) -> Finding:
    """The finding that left and right cannot be told; ``what`` begins its sentence."""
    return Finding(
        NO_ORIENTATION,
        "warn",
        f"{what}: which side is left and which is right cannot be told.",
        "take the scan from a source that keeps its orientation",
    )


def check_intensities(image_CXYZ: NDArray[np.float32], where: object) -> tuple[Finding, ...]:
    """What is noticed about intensities that can be used.

    Raises:
        InputError: for NaN, infinite or huge values, or one value everywhere.
    """
    _check_finite(image_CXYZ, where)
    lows, highs = (f(image_CXYZ.reshape(len(image_CXYZ), -1), axis=1) for f in (np.min, np.max))
    if lows.min() == highs.max():
        raise InputError(
            f"every voxel is {lows.min():g}: there is no image", where=where, repair="export the scan again"
        )
    if max(-lows.min(), highs.max()) > LARGEST:
        raise InputError(
            f"intensities reach {lows.min():.3g} to {highs.max():.3g}, at most {LARGEST:g} can be computed with",
            where=where,
            repair="rescale the intensities",
        )
    empty = [str(i) for i in np.flatnonzero(lows == highs)]
    if not empty:
        return ()
    return (
        Finding("constant-channel", "warn", f"Channel {', '.join(empty)} is the same everywhere.", "check its file"),
    )


def _check_finite(image_CXYZ: NDArray[np.float32], where: object) -> None:
    finite = np.isfinite(image_CXYZ)
    if finite.all():
        return
    nan = int(np.isnan(image_CXYZ).sum())
    infinite = int(finite.size - finite.sum()) - nan
    raise InputError(
        f"{nan} voxels are NaN and {infinite} are infinite, of {finite.size}",
        where=where,
        repair="replace them by the value of the background",
    )
