"""Views: what a pre-training task sees of a scan; chains of MONAI dict transforms that begin with the key ``image``.

A chain is given a whole preprocessed scan under ``image`` and, under ``other``, one of another scan, and leaves patches
and what was drawn:

=========== ===========================================================================
image       the patch (C, D, H, W)
clean1/2    two turned copies of it: what is to be found again
view1/2     these, parts of which are overwritten and whose intensities vary: what the encoder sees
turn1/2     by how many quarters each was turned, see `RandTurnd`
mask        which units of ``image`` are to be hidden, see `RandMaskd`
=========== ===========================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monai.transforms import (
    Compose,
    CopyItemsd,
    RandAdjustContrastd,
    RandGaussianNoised,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSpatialCropd,
    ToTensord,
)

from medswin.errors import ConfigError
from medswin.registry import Registry
from medswin.transforms.corrupt import Plane, RandCutoutd, RandMaskd, RandTurnd
from medswin.transforms.pad import RandEdgePadd

SAME = 0.05  # relative; sides and spacings that differ by less are equal to the eye of a network
PLANES: tuple[Plane, ...] = ((1, 2), (0, 1), (0, 2))


@dataclass(frozen=True)
class Turns:
    """How patches may be turned without the shape of the picture telling it.

    Attributes:
        plane: the two spatial axes.
        halves: only half turns, since sides or spacings differ along the axes.
    """

    plane: Plane = (1, 2)
    halves: bool = False

    @classmethod
    def fitting(
        cls,
        patch_size: Sequence[int],
        spacings_mm: Sequence[Sequence[float]],
        shapes: Sequence[Sequence[int]],
    ) -> Turns:
        """The first plane of (1, 2), (0, 1), (0, 2) in which all patches and voxels are square, else half turns.

        A quarter turn is told by stretched anatomy, by the blur of an axis that was resampled, or by the padding of a
        scan that is smaller than the patch.

        Args:
            patch_size: voxels per axis.
            spacings_mm: of all scans as they came, before they were resampled.
            shapes: voxels of all scans that patches are cut from.
        """
        fair = (plane for plane in PLANES if fair_in(plane, patch_size, spacings_mm, shapes))
        return next((cls(plane) for plane in fair), cls(halves=True))


def fair_in(
    plane: Plane,
    patch_size: Sequence[int],
    spacings_mm: Sequence[Sequence[float]],
    shapes: Sequence[Sequence[int]],
) -> bool:
    """Whether quarter turns in a plane are told by nothing but the picture, see `Turns.fitting`."""
    a, b = plane
    square = all(abs(s[a] / s[b] - 1) < SAME for s in spacings_mm)
    whole = all(shape[axis] >= patch_size[axis] for shape in shapes for axis in plane)
    return patch_size[a] == patch_size[b] and square and whole


def two_views(
    patch_size: Sequence[int],
    turns: Turns = Turns(),
    cutout: float = 0.3,
    filler: float = 0.3,
    noise_range: Sequence[float] | None = None,
    intensity_probability: float = 0.0,
    mask_unit: int | Sequence[int] | None = None,
    mask_ratio: float = 0.6,
    compat: str | None = None,
) -> Compose:
    """Two views of one patch, turned, cut out and filled; and a mask over it.

    Args:
        patch_size: voxels per axis.
        turns: what a run found to be fair, see `Turns.fitting`.
        cutout: largest share of a view that noise overwrites.
        filler: largest share of a view that another scan overwrites.
        noise_range: that noise is scaled to; the patch's own range where None.
        intensity_probability: share of views for each change of contrast, scale, offset and noise: good for tasks that
            compare views, bad for those that find voxels again, which cannot know an offset.
        mask_unit: voxels of a unit of the mask, for all axes or for each; where None, the largest even number up to a
            quarter of the patch that divides it.
        mask_ratio: share of the units that are hidden.
        compat: ``"tang"`` scales noise to [0, 1], changes no intensities and turns the filler too, as Tang et al. 2022
            do, whose images lie in [0, 1].

    Raises:
        ConfigError: for shares outside 0 to 1, a range that is none, or a unit that does not divide the patch.
    """
    for name, share in (("cutout", cutout), ("filler", filler), ("mask_ratio", mask_ratio)):
        if not 0 <= share <= 1:
            raise ConfigError(f"must lie in 0 to 1, got {share}", where=f"views.{name}")
    if compat not in (None, "tang"):
        raise ConfigError(f"must be tang or left out, got {compat!r}", where="views.compat")
    if noise_range is not None and not (len(noise_range) == 2 and noise_range[0] < noise_range[1]):
        raise ConfigError(f"must be two ascending numbers, got {noise_range}", where="views.noise_range")
    tang = compat == "tang"
    unit = _unit(patch_size, mask_unit)
    wanted = (0.0, 1.0) if tang else noise_range
    low_high = None if wanted is None else (float(wanted[0]), float(wanted[1]))
    both = ("view1", "view2")
    return Compose(
        [
            # Cropped first: a thin scan is not padded as a whole. Its rim is repeated: zeros would be mean tissue.
            RandSpatialCropd("image", patch_size, random_size=False),
            RandSpatialCropd("other", patch_size, random_size=False),
            RandEdgePadd(("image", "other"), patch_size),
            ToTensord(("image", "other"), track_meta=False),
            CopyItemsd("image", 2, ("clean1", "clean2")),
            RandTurnd("clean1", "turn1", turns.plane, turns.halves),
            RandTurnd("clean2", "turn2", turns.plane, turns.halves),
            *([RandTurnd("other", "turn", turns.plane, turns.halves)] if tang else []),
            CopyItemsd(("clean1", "clean2"), 1, both),
            RandCutoutd(both, cutout, value_range=low_high),
            RandCutoutd(both, filler, filler="other"),
            *(step for view in both for step in _intensities(view, 0.0 if tang else intensity_probability)),
            ToTensord(both, track_meta=False),
            RandMaskd("image", "mask", unit, mask_ratio),
        ]
    )


def _intensities(key: str, p: float) -> list[Any]:
    if p == 0:
        return []
    return [
        RandAdjustContrastd(key, prob=p, gamma=(0.7, 1.5), retain_stats=True),
        RandScaleIntensityd(key, prob=p, factors=0.2),
        RandShiftIntensityd(key, prob=p, offsets=0.2),
        RandGaussianNoised(key, prob=p, std=0.1),
    ]


def _unit(patch_size: Sequence[int], unit: int | Sequence[int] | None) -> tuple[int, ...]:
    if unit is None:
        return tuple(
            max(edge for edge in (1, *range(2, max(size // 4, 2) + 1, 2)) if size % edge == 0) for size in patch_size
        )
    units = (unit,) * 3 if isinstance(unit, int) else tuple(unit)
    if len(units) != 3 or any(u < 1 or size % u for u, size in zip(units, patch_size, strict=False)):
        raise ConfigError(
            f"{units} must divide the patch {tuple(patch_size)}",
            where="views.mask_unit",
            repair="choose a unit that divides it, such as 8 for multiples of 8",
        )
    return units


VIEWS: Registry[Compose] = Registry("views", {"two_views": two_views})


def build_views(name: str, /, **params: Any) -> Compose:
    """Build registered views; see `medswin.registry.Registry.build` for the errors."""
    return VIEWS.build(name, **params)
