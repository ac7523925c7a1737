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
    (found,) = ranges().unlike({**USUAL, "fov_mm": (220.0, 220.0, 110.0)})
    assert found.words == "field of view 220 x 220 x 110 mm (training 31-43 x 40-58 x 24-47 mm)"
    assert found.repair == "cut out the region that the model was made for, and use that part alone"


def test_a_slab_and_thick_slices_are_named() -> None:
    fov, spacing = ranges().unlike({"fov_mm": (36.0, 50.0, 10.0), "spacing_mm": (0.43, 0.43, 5.0)})
    assert fov.words == "field of view 10 mm head-foot (training 24.0 to 47.0)"
    assert fov.repair == "use a scan that shows the whole region that the model was made for"
    assert spacing.words == "voxel spacing 0.43 x 0.43 x 5 mm (training 1 x 1 x 1 mm)"
    assert spacing.repair == "use a scan with voxels of about 1 x 1 x 1 mm"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_axis_is_called_by_its_name(axis: int) -> None:
    spacing = [1.0, 1.0, 1.0]
    spacing[axis] = 5.0
    (found,) = ranges().unlike({**USUAL, "spacing_mm": spacing})
    name = ("left-right", "front-back", "head-foot")[axis]
    assert (found.what, found.words) == ("voxel spacing", f"voxel spacing 5 mm {name} (training 1.0 to 1.0)")


def test_no_option_of_a_command_is_told_to_a_clinician() -> None:
    for factor in (0.1, 10.0):
        size = {name: tuple(factor * mm for mm in values) for name, values in USUAL.items()}
        assert not any("--" in found.words + found.repair for found in ranges().unlike(size))


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
