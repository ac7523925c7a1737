"""Corruptions: pictures small enough to be checked by eye, and the shares that the specification gives."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from medswin.errors import ConfigError, ShapeError
from medswin.transforms import Turns, build_views
from medswin.transforms.corrupt import (
    RandCutoutd,
    RandMaskd,
    RandTurnd,
    draw_blocks,
    draw_mask,
    noise,
    overwrite,
    turned,
)


def picture(*rows: str) -> torch.Tensor:
    """One channel, one slice, from rows of digits."""
    return torch.tensor([[int(c) for c in row] for row in rows], dtype=torch.float32)[None, None]


def test_a_quarter_turn_of_the_last_two_axes() -> None:
    assert torch.equal(turned(picture("123", "456"), 1, (1, 2)), picture("36", "25", "14"))
    assert torch.equal(turned(picture("123", "456"), 2, (1, 2)), picture("654", "321"))


def test_blocks_take_what_the_filler_has_there() -> None:
    image, filler = picture("1111", "1111", "1111"), picture("2345", "2345", "2345")
    blocks = [(slice(0, 1), slice(0, 2), slice(1, 3)), (slice(0, 1), slice(2, 3), slice(3, 4))]
    assert torch.equal(overwrite(image, blocks, filler), picture("1341", "1341", "1115"))
    assert torch.equal(image, picture("1111", "1111", "1111"))


@pytest.mark.parametrize("shape", [(96, 96, 96), (20, 64, 64), (20, 20, 20), (3, 40, 7), (1, 1, 1)])
def test_blocks_keep_to_their_share_and_their_sides(shape) -> None:
    """Sides of 5 to 25 % of each axis, one voxel at least; up to 30 % of the voxels, and the last block beyond it."""
    rng = np.random.RandomState(0)
    for _ in range(30):
        blocks = draw_blocks(shape, 0.3, rng)
        sizes = [float(np.prod([part.stop - part.start for part in block])) for block in blocks]
        assert sum(sizes[:-1]) <= 0.3 * np.prod(shape)
        for block in blocks:
            for part, size in zip(block, shape, strict=True):
                assert 0 <= part.start < part.stop <= size
                assert max(1, int(0.05 * size)) <= part.stop - part.start <= max(1, int(0.25 * size))


def test_the_mean_share_is_half_of_the_largest() -> None:
    rng = np.random.RandomState(0)
    drawn = [draw_blocks((96, 96, 96), 0.3, rng) for _ in range(300)]
    shares = [sum(np.prod([p.stop - p.start for p in block]) for block in blocks) / 96**3 for blocks in drawn]
    assert 0.13 < np.mean(shares) < 0.18
    assert draw_blocks((9, 9, 9), 0.0, rng) == []


def test_noise_spans_the_range_in_each_block_and_nothing_else() -> None:
    blocks = [(slice(0, 4), slice(0, 4), slice(0, 4)), (slice(5, 8), slice(5, 8), slice(5, 8))]
    filler = noise(torch.zeros(2, 8, 8, 8), 3, blocks, -2.0, 5.0)
    for block in blocks:
        inside = filler[(slice(None), *block)]
        assert (float(inside.min()), float(inside.max())) == (-2.0, 5.0)
    assert (filler[:, 4] == 0).all()
    assert torch.equal(filler, noise(torch.zeros(2, 8, 8, 8), 3, blocks, -2.0, 5.0))


@pytest.mark.parametrize(("ratio", "hidden"), [(0.6, 38), (0.0, 1), (1.0, 63)])
def test_a_mask_hides_exactly_its_share_of_units(ratio, hidden) -> None:
    mask = draw_mask((16, 16, 16), (4, 4, 4), ratio, np.random.RandomState(0))
    assert mask.shape == (1, 4, 4, 4)
    assert mask.sum() == hidden
    assert set(mask.unique().tolist()) <= {0.0, 1.0}


def test_a_unit_must_divide_the_patch() -> None:
    for unit in ((4, 4, 4), (4, 4)):
        with pytest.raises(ShapeError, match=r"do not divide.*Repair"):
            draw_mask((16, 16, 15), unit, 0.5, np.random.RandomState(0))


def test_what_was_drawn_can_be_done_again() -> None:
    """A transform draws, then calls a plain function: its parameters replay it, for each key."""
    image = torch.rand(1, 12, 12, 12)
    cut = RandCutoutd(("one", "two"), 0.3)
    cut.set_random_state(seed=1)
    done = cut({"one": image, "two": image})
    for key in ("one", "two"):
        blocks, seed = cut.drawn[key]
        filler = noise(image, seed, blocks, float(image.min()), float(image.max()))
        assert torch.equal(done[key], overwrite(image, blocks, filler))
        assert not torch.equal(done[key], image)
    assert not torch.equal(done["one"], done["two"])
    turn = RandTurnd("image", "turn", plane=(0, 2))
    turn.set_random_state(seed=2)
    found = turn({"image": image})
    assert torch.equal(found["image"], turned(image, int(found["turn"]), (0, 2)))


def test_half_turns_are_the_only_ones_where_quarters_would_show() -> None:
    turn = RandTurnd("image", "turn", halves=True)
    turn.set_random_state(seed=0)
    assert {int(turn({"image": torch.rand(1, 2, 3, 4)})["turn"]) for _ in range(40)} == {0, 2}
    turn.halves = False
    assert {int(turn({"image": torch.rand(1, 2, 3, 4)})["turn"]) for _ in range(80)} == {0, 1, 2, 3}


@pytest.mark.parametrize("plane", [(0, 1), (0, 2), (1, 2), (2, 1)])
@pytest.mark.parametrize("quarters", range(4))
def test_the_affine_turns_with_the_image(plane, quarters) -> None:
    """An image of its own places in mm: where a voxel goes, the affine still says its place."""
    affine = torch.tensor([[0.0, -2, 0, 9], [1, 0, 0, -4], [0, 0, 3, 1], [0, 0, 0, 1]], dtype=torch.float64)
    places = (affine @ voxels((2, 3, 5)).double()).reshape(4, 2, 3, 5)
    turn = RandTurnd("image", "turn", plane)
    turn.randomize = lambda: setattr(turn, "quarters", quarters)
    found = turn({"image": MetaTensor(places, affine=affine)})["image"]
    assert torch.equal(found.as_tensor(), turned(places, quarters, plane))
    assert found.is_contiguous()
    told = found.affine @ voxels(found.shape[1:]).double()
    torch.testing.assert_close(found.as_tensor(), told.reshape(found.shape))


def voxels(shape):
    """(4, N) homogeneous indices of all voxels."""
    return torch.stack([*torch.meshgrid(*map(torch.arange, shape), indexing="ij"), torch.ones(*shape)]).flatten(1)


def test_arrays_are_taken_as_tensors() -> None:
    data = {name: np.random.RandomState(0).rand(1, 8, 8, 8)[..., ::-1] for name in ("image", "other")}
    tensors = {name: torch.tensor(array.copy()) for name, array in data.items()}
    for step in (RandTurnd("image", "turn"), RandCutoutd("image"), RandCutoutd("image", filler="other")):
        found, expected = (step.set_random_state(seed=1)(given)["image"] for given in (data, tensors))
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RandCutoutd("image", 2), "share: must lie in 0 to 1, got 2"),
        (lambda: RandCutoutd("image", -1), "share: must"),
        (lambda: RandCutoutd("image", value_range=(1, 0)), "value_range: must rise"),
        (lambda: RandMaskd("image", "mask", (4, 4, 4), 1.5), "ratio: must"),
        (lambda: RandMaskd("image", "mask", (4, 0, 4)), "unit: needs"),
        (lambda: RandTurnd("image", "turn", (0, 0)), "plane: must be two different axes"),
        (lambda: RandTurnd("image", "turn", (1, 3)), "plane: must be two different axes"),
        (lambda: RandCutoutd("image", filler="missing"), "filler: the sample has no 'missing'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(make, words) -> None:
    with pytest.raises(ConfigError, match=rf"^{words}.*Repair: "):
        make()({"image": torch.zeros(1, 8, 8, 8)})


def test_images_and_fillers_of_another_shape_are_refused() -> None:
    patch = {"image": torch.zeros(1, 2, 6, 8)}
    patch["other"] = turned(patch["image"], 1, (1, 2))
    with pytest.raises(ShapeError, match=r"^other: must have the shape .*\(1, 2, 6, 8\), got \(1, 2, 8, 6\).*Repair: "):
        RandCutoutd("image", filler="other")(patch)
    for step in (RandCutoutd("image"), RandTurnd("image", "turn")):
        with pytest.raises(ShapeError, match=r"^image: must be \(C, D, H, W\), got \(1, 40, 40\).*Repair: "):
            step({"image": torch.zeros(1, 40, 40)})


def test_another_image_fills_and_a_mask_leaves_the_image() -> None:
    data = {"image": torch.zeros(1, 8, 8, 8), "other": torch.ones(1, 8, 8, 8)}
    cut = RandCutoutd("image", 0.9, filler="other")
    cut.set_random_state(seed=0)
    assert set(cut(data)["image"].unique().tolist()) == {0.0, 1.0}
    mask = RandMaskd("image", "mask", (4, 4, 4))
    mask.set_random_state(seed=0)
    assert torch.equal(mask(data)["image"], data["image"])
    assert mask(data)["mask"].sum() == 5


def filled_as_tang(clean, other, noisy, seed, filled):
    """Voxel by voxel (Tang et al. 2022): blocks of normal noise brought to [0, 1], then blocks of the other sample."""
    view, rng = clean.clone(), np.random.RandomState(seed)
    for block in noisy:
        drawn = rng.standard_normal((len(clean), *(part.stop - part.start for part in block))).astype(np.float32)
        low, high = min(drawn.flat), max(drawn.flat)
        for (channel, *place), value in np.ndenumerate(drawn):
            d, h, w = (part.start + i for part, i in zip(block, place, strict=True))
            view[channel, d, h, w] = float((value - low) / (high - low)) if high > low else 0.0
    for block in filled:
        for d, h, w in product(*(range(part.start, part.stop) for part in block)):
            view[:, d, h, w] = other[:, d, h, w]
    return view


@pytest.mark.parametrize("shape", [(12, 20, 20), (3, 24, 24)])
def test_with_tang_noise_fills_first_and_then_the_other_sample_which_is_turned_too(shape) -> None:
    views = build_views("two_views", patch_size=shape, turns=Turns((1, 2)), compat="tang", mask_unit=1)
    noises, fillers = (step for step in views.transforms if isinstance(step, RandCutoutd))
    turns, altered = set(), []
    for seed in range(8):
        views.set_random_state(seed=seed)
        data = {name: torch.rand(2, *shape) for name in ("image", "other")}
        sample = views(data)
        other = turned(data["other"], int(sample["turn"]), (1, 2))
        for i in "12":
            (noisy, drawn), (filled, _) = noises.drawn[f"view{i}"], fillers.drawn[f"view{i}"]
            clean = turned(data["image"], int(sample[f"turn{i}"]), (1, 2))
            expected = filled_as_tang(clean, other, noisy, drawn, filled)
            torch.testing.assert_close(sample[f"view{i}"], expected, rtol=0, atol=1e-6)
            for blocks in (noisy, filled):
                sizes = [np.prod([part.stop - part.start for part in block]) for block in blocks]
                assert sum(sizes[:-1]) <= 0.3 * np.prod(shape)
            altered.append(float((sample[f"view{i}"] != clean).float().mean()))
        turns.add(int(sample["turn"]))
    assert len(turns) > 1
    assert 0.1 < np.mean(altered) < max(altered) < 0.65
