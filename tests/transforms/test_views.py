"""Views: what pre-training tasks get, and turns that do not give themselves away."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from medswin.errors import ConfigError, ShapeError
from medswin.transforms import Turns, build_views
from medswin.transforms.corrupt import turned
from medswin.transforms.pad import RandEdgePadd, padded

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
    rims = [torch.equal(sample["image"][:, i], sample["image"][:, i + 1]) for i in range(7)]
    assert sum(rims) == 4


@pytest.mark.parametrize("shape", [(20, 20, 5), (20, 20, 6), (20, 7, 7)])
def test_the_rims_of_a_padded_scan_do_not_tell_a_half_turn(shape) -> None:
    views = build_views("two_views", patch_size=(8, 8, 8), turns=Turns(halves=True), cutout=0.0, filler=0.0)
    told = []
    for seed in range(200):
        views.set_random_state(seed=seed)
        sample = views({name: torch.rand(1, *shape) for name in ("image", "other")})
        view = sample["view1"][0]
        first, last = (
            next(n for n in range(1, 8) if not torch.equal(side[..., n], side[..., 0])) for side in (view, view.flip(2))
        )
        told.append((last > first) == (sample["turn1"] == 0))
    assert sum(told) / len(told) == pytest.approx(0.5, abs=0.1)


def test_padding_repeats_the_rim_at_each_place_alike_and_the_affine_goes_with_it() -> None:
    row = torch.tensor([1.0, 2.0])[None, None, None]
    found = [padded(row, (1, 1, 4), (0, 0, share)).flatten().tolist() for share in (0.0, 0.3, 0.4, 0.6, 0.7, 0.999)]
    assert found == [[1, 2, 2, 2]] * 2 + [[1, 1, 2, 2]] * 2 + [[1, 1, 1, 2]] * 2
    with pytest.raises(ShapeError, match=r"^size: \(1, 1, 2\) is no image.*Repair: "):
        padded(row[0], (1, 1, 4), (0, 0, 0))
    pad = RandEdgePadd(("image", "label", "other"), (2, 4, 5))
    pad.set_random_state(seed=1)
    whole, image = torch.rand(1, 3, 4, 5), MetaTensor(torch.rand(1, 2, 2, 2), affine=torch.diag(torch.arange(1.0, 5)))
    done = pad({"image": image, "label": image, "other": whole})
    assert torch.equal(done["image"], done["label"])
    assert torch.equal(done["other"], whole)
    a, b, c = (int(share * (gap + 1)) for share, gap in zip(pad.shares, (0, 2, 3), strict=True))
    assert torch.equal(done["image"][:, a : a + 2, b : b + 2, c : c + 2], image)
    torch.testing.assert_close(
        done["image"].affine[:3, 3], -torch.tensor([1.0, 2, 3]).double() * torch.tensor([a, b, c])
    )


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"cutout": 1.2}, "views.cutout"),
        ({"mask_unit": 3}, "must divide"),
        ({"mask_ratio": -1}, "mask_ratio"),
        ({"noise_range": [0]}, "noise_range: must be two ascending numbers"),
        ({"noise_range": [1, 0]}, "noise_range"),
    ],
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
