"""Which of a NIfTI header's three ways to say where the voxels lie is taken, and what is odd about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.findings import SIDES_CONTRADICT, Finding
from medswin.io.grid import Grid, checked_affine, sizes
from medswin.io.header import Header
from medswin.io.scan import no_orientation

_UNITS = {1: "metres", 3: "micrometres"}
_SPACING_SHARE = 0.01


def geometry(header: Header, path: Path) -> tuple[Grid, tuple[Finding, ...]]:
    """The grid of a NIfTI volume: its sform, else its qform, else its spacing alone.

    The last tells no side. The array is then laid out as nibabel and MONAI do it (first axis to the left, centre at
    0), so that results fall on the same place in other programs, and the finding ``"no-orientation"`` says so.

    Raises:
        InputError: for a spacing that is missing, zero, negative or not finite, or an affine that cannot be used.
    """
    spacing = _spacing(header.raw, path)
    shape = header.shape[:3]
    sform, qform = int(header.raw["sform_code"]) > 0, int(header.raw["qform_code"]) > 0
    findings = list(_units(header.raw))
    if sform:
        grid = Grid.checked(shape, header.raw.get_sform(), path)
        findings += _disagreement(grid, header.raw, spacing) if qform else _odd_spacing(grid, spacing)
    elif qform:
        grid = Grid.checked(shape, _qform(header.raw, path), path)
        findings += _odd_qfac(float(header.raw["pixdim"][0]))
    else:
        grid = Grid.checked(shape, base_affine(shape, spacing), path)
        findings.append(no_orientation("The header has neither sform nor qform"))
    return grid, tuple(findings)


def base_affine(shape: tuple[int, ...], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine that nibabel gives a volume of which only the spacing is known."""
    scale = spacing * (-1, 1, 1)
    affine = np.diag([*scale, 1.0])
    affine[:3, 3] = -scale * (np.array(shape[:3]) - 1) / 2
    return affine


def _spacing(raw: Any, path: Path) -> NDArray[np.float64]:
    spacing = np.array(raw["pixdim"][1:4], dtype=np.float64)
    if not (np.isfinite(spacing).all() and (spacing > 0).all()):
        what = "states no voxel spacing" if not spacing.any() else "states a voxel spacing"
        raise InputError(
            f"its header {what} (pixdim is {sizes(f'{side:g}' for side in spacing)}), each side must be above 0 mm",
            where=path,
            repair="set the true spacing with a NIfTI tool, or export the scan again",
        )
    return spacing


def _qform(raw: Any, path: Path) -> NDArray[np.float64]:
    header = raw.copy()
    header["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1  # as the standard's own library reads it; a 0 is a 1
    try:
        return checked_affine(header.get_qform(), path)
    except (HeaderDataError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            "its qform is no rotation", where=path, repair="correct the header with a NIfTI tool"
        ) from error


def _odd_qfac(qfac: float) -> list[Finding]:
    """It mirrors the third axis where it is -1. Of other numbers below 0, and of NaN, readers make different things."""
    if qfac in (-1, 0, 1):
        return []
    said = f"The header's qfac (pixdim[0]) is {qfac:g}, it must be 1 or -1; it was read as {-1 if qfac < 0 else 1}"
    if qfac > 0:
        return [Finding("odd-qfac", "note", f"{said}.")]
    said = f"{said}, but other programs may show the scan mirrored: left and right cannot be told for certain."
    return [Finding(SIDES_CONTRADICT, "warn", said, "check the sides in a viewer, and correct the header")]


def _disagreement(grid: Grid, raw: Any, spacing: NDArray[np.float64]) -> list[Finding]:
    try:
        qform = _qform(raw, Path())
    except InputError as error:
        said = f"The header's sform was used, as its qform cannot be ({error.what})."
    else:
        if grid.same_place(qform):
            return []
        if _other_side(grid.affine, qform):
            said = "The header's sform and qform contradict each other on left and right; the sform was used."
            return [Finding(SIDES_CONTRADICT, "warn", said, "check the sides in a viewer, and correct the header")]
        said = f"The header's sform and qform lie up to {grid.apart_mm(qform):.3g} mm apart; the sform was used."
    return [Finding("forms-disagree", "warn", said, "check position and sides of the scan in a viewer")]


def _other_side(sform: NDArray[np.float64], qform: NDArray[np.float64]) -> bool:
    """Whether one of the two mirrors the other, or right points the other way along the array."""
    first, second = (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0) for affine in (sform, qform))
    return bool(np.linalg.det(first) * np.linalg.det(second) < 0 or first[0] @ second[0] < 0)


def _odd_spacing(grid: Grid, spacing: NDArray[np.float64]) -> list[Finding]:
    if np.allclose(grid.voxel_mm, spacing, rtol=_SPACING_SHARE):
        return []
    sform, pixdim = (sizes(f"{side:.3g}" for side in sides) for sides in (grid.voxel_mm, spacing))
    said = f"The header's sform has a voxel spacing of {sform} mm, its pixdim {pixdim} mm; the sform was used."
    return [Finding("spacing-disagrees", "warn", said, "check the size of the scan in a viewer")]


def _units(raw: Any) -> list[Finding]:
    unit = _UNITS.get(int(raw["xyzt_units"]) & 7)
    if unit is None:
        return []
    said = f"The header says that its lengths are in {unit}; they were read as mm."
    return [Finding("unit-not-mm", "warn", said, "check the size of the scan in a viewer")]
