"""Views: what pre-training tasks get, and turns that do not give themselves away."""

from __future__ import annotations

import pytest
import torch

from medswin.errors import ConfigError
from medswin.transforms import Turns, build_views
from medswin.transforms.corrupt import turned

KEYS = ("image", "clean1", "clean2", "view1", "view2", "turn1", "turn2", "mask")


def made(seed: int = 0, **params):
    views = build_views("two_views", **{"patch_size": (8, 8, 8), **params})
    views.set_random_state(seed=seed)
    torch.manual_seed(0)
    return views({name: torch.rand(1, 7, 12, 16) for name in ("image", "other")})


def test_views_are_turned_copies_of_one_patch_and_partly_overwritten() -> None:
    sample = made(intensity_probability=0.0)
    assert set(KEYS) <= set(sample)
    assert sample["image"].shape == (1, 8, 8, 8)
    for i in "12":
        clean = sample[f"clean{i}"]
        assert torch.equal(clean, turned(sample["image"], int(sample[f"turn{i}"]), (1, 2)))
        assert 0 < (sample[f"view{i}"] != clean).float().mean() < 0.7
    assert not torch.equal(sample["view1"], sample["view2"])


def test_one_seed_gives_one_sample() -> None:
    first, again, other = made(3), made(3), made(4)
    for name in KEYS:
        assert torch.equal(torch.as_tensor(first[name]), torch.as_tensor(again[name]))
    assert not torch.equal(first["view1"], other["view1"])


@pytest.mark.parametrize(
    ("patch", "spacings", "shapes", "turns"),
    [
        ((32, 32, 32), [(1, 1, 1), (2, 2, 2)], [(40, 40, 40)], Turns((1, 2))),
        ((20, 64, 64), [(3, 0.5, 0.5)], [(20, 99, 99)], Turns((1, 2))),
        ((64, 64, 20), [(0.5, 0.5, 3)], [(99, 99, 20)], Turns((0, 1))),
        ((64, 20, 64), [(0.5, 3, 0.5)], [(99, 20, 99)], Turns((0, 2))),
        ((64, 64, 64), [(1, 1, 1), (0.5, 0.5, 3)], [(64, 64, 64)], Turns((0, 1))),
        ((64, 64, 20), [(0.5, 0.7, 3)], [(99, 99, 99)], Turns(halves=True)),
        ((40, 56, 48), [(1, 1, 1)], [(99, 99, 99)], Turns(halves=True)),
        ((32, 32, 32), [(1, 1, 1)], [(40, 40, 40), (40, 40, 24)], Turns((0, 1))),
        ((32, 32, 32), [(1, 1, 1)], [(40, 24, 40), (24, 40, 40)], Turns(halves=True)),
    ],
)
def test_quarters_need_square_voxels_and_a_whole_square_patch_in_every_scan(patch, spacings, shapes, turns) -> None:
    assert Turns.fitting(patch, spacings, shapes) == turns


def test_a_small_scan_is_padded_with_its_own_rim() -> None:
    views = build_views("two_views", patch_size=(8, 8, 8))
    image = 5 + torch.rand(1, 4, 8, 20)
    sample = views({"image": image, "other": image})
    assert sample["image"].shape == (1, 8, 8, 8)
    assert sample["image"].min() > 4.9
    assert torch.equal(sample["image"][:, 0], sample["image"][:, 2])


@pytest.mark.parametrize(
    ("params", "words"),
    [({"cutout": 1.2}, "views.cutout"), ({"mask_unit": 3}, "must divide"), ({"mask_ratio": -1}, "mask_ratio")],
)
def test_values_out_of_range_are_refused(params, words) -> None:
    with pytest.raises(ConfigError, match=words):
        made(**params)


def test_as_tang_noise_goes_from_0_to_1_and_no_intensity_changes() -> None:
    sample = made(compat="tang", filler=0.0, intensity_probability=1.0)
    for i in "12":
        changed = sample[f"view{i}"] != sample[f"clean{i}"]
        assert 0 <= sample[f"view{i}"][changed].min() <= sample[f"view{i}"][changed].max() <= 1
        assert changed.float().mean() < 0.35
    with pytest.raises(ConfigError, match=r"views\.compat"):
        made(compat="monai")
