"""Sizes of training scans, and what is unlike them."""

from __future__ import annotations

import json

import pytest

from medswin.errors import InputError
from medswin.ood import GeometryRange

TRAIN = [
    {"fov_mm": (31.0, 58.0, 24.0), "spacing_mm": (1.0, 1.0, 1.0)},
    {"fov_mm": (43.0, 40.0, 47.0), "spacing_mm": (1.0, 1.0, 1.0)},
]
USUAL = {"fov_mm": (36.0, 50.0, 36.0), "spacing_mm": (1.0, 1.0, 1.0)}


def ranges() -> GeometryRange:
    return GeometryRange.fit(TRAIN)


def test_a_usual_scan_gives_no_finding() -> None:
    assert ranges().unlike(USUAL) == ()


def test_a_whole_head_is_told_to_be_cut() -> None:
    assert ranges().unlike({**USUAL, "fov_mm": (220.0, 220.0, 110.0)}) == (
        "field of view 220 x 220 x 110 mm; the training scans were 31-43 x 40-58 x 24-47 mm: "
        "cut the region out with --box",
    )


def test_a_slab_and_thick_slices_are_named() -> None:
    slab = {"fov_mm": (36.0, 50.0, 10.0), "spacing_mm": (0.43, 0.43, 5.0)}
    assert ranges().unlike(slab) == (
        "field of view 36 x 50 x 10 mm; the training scans were 31-43 x 40-58 x 24-47 mm: "
        "use a scan that shows the whole region",
        "voxel spacing 0.43 x 0.43 x 5 mm; the training scans had 1 x 1 x 1 mm: use a scan with voxels of that size",
    )


@pytest.mark.parametrize(
    ("z_mm", "unlike"), [(24 / 1.5, False), (24 / 1.5 - 0.01, True), (47 * 1.5, False), (47 * 1.5 + 0.01, True)]
)
def test_the_line_is_half_as_much_again(z_mm: float, unlike: bool) -> None:
    assert bool(ranges().unlike({**USUAL, "fov_mm": (36.0, 50.0, z_mm)})) == unlike


def test_axes_are_not_mixed() -> None:
    # 60 mm is usual from back to front (up to 58 x 1.5), but not from left to right (up to 43 x 1.5 = 64.5) at 70.
    assert ranges().unlike({**USUAL, "fov_mm": (36.0, 70.0, 36.0)}) == ()
    assert len(ranges().unlike({**USUAL, "fov_mm": (70.0, 50.0, 36.0)})) == 1


def test_json_and_back() -> None:
    again = GeometryRange.from_json(json.loads(json.dumps(ranges().to_json())))
    assert again == ranges()


@pytest.mark.parametrize("bad", [{}, {"fov_mm": (1, 2), "spacing_mm": (1, 1, 1)}, {**USUAL, "spacing_mm": (1, 0, 1)}])
def test_sizes_that_are_none_are_refused(bad: dict[str, tuple[float, ...]]) -> None:
    with pytest.raises(InputError, match="three positive sizes"):
        ranges().unlike(bad)
    with pytest.raises(InputError, match="three positive sizes"):
        GeometryRange.fit([bad])


def test_no_training_scan() -> None:
    with pytest.raises(InputError, match="no training scan"):
        GeometryRange.fit([])
