"""What the viewer is given: the same from every way to store a scan, and never more than the budget."""

from __future__ import annotations

import base64
import gzip
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from nibabel.orientations import apply_orientation, inv_ornt_aff

from medswin.figures import Pose, Window
from medswin.labels import LabelSet
from medswin.review.payload import Packed, fit, pack, viewer_data, volume_key

NAMES = LabelSet.from_names(["head"])


LEVELS, WINDOWS = np.linspace(0, 510, 256, dtype=np.float32), (Window(10.0, 20.0, "bright"),)


def unpack(text: str, shape: tuple[int, ...]) -> np.ndarray:
    steps = np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype=np.uint8).reshape(shape, order="F")
    return np.cumsum(steps, axis=0, dtype=np.uint8)


@given(arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, max_side=5), elements=st.integers(0, 255)))
def test_a_packed_volume_comes_back_as_it_was(volume: np.ndarray) -> None:
    assert np.array_equal(unpack(pack(volume), volume.shape), volume)
    assert pack(np.asfortranarray(volume)) == pack(volume)


def test_steps_along_x_run_fastest_and_wrap_round() -> None:
    volume = np.zeros((3, 2, 2), dtype=np.uint8)
    volume[1, 0, 0], volume[0, 1, 0], volume[0, 0, 1] = 1, 2, 3
    assert gzip.decompress(base64.b64decode(pack(volume))) == bytes([0, 1, 255, 2, 254, 0, 3, 253, 0, 0, 0, 0])


def test_keys_tell_volumes_apart_by_value_and_shape() -> None:
    zeros = np.zeros((2, 3, 4), dtype=np.uint8)
    assert volume_key(zeros) == volume_key(zeros.copy())
    assert len({volume_key(zeros), volume_key(zeros + 1), volume_key(zeros.reshape(4, 3, 2))}) == 3


def test_a_volume_is_thinned_along_its_finest_axis_until_it_fits() -> None:
    volume = np.random.default_rng(0).integers(0, 256, (80, 81, 40), dtype=np.uint8)
    full = len(pack(volume))
    packed = fit(volume, [], (0.5, 0.6, 2.0), int(0.3 * full))
    assert packed is not None
    assert packed.stride == (2, 2, 1)
    assert len(packed.text) <= 0.3 * full
    assert np.array_equal(unpack(packed.text, (40, 41, 40)), volume[::2, ::2])
    assert packed.key == volume_key(volume)


def test_levels_are_merged_before_slices_are_left_out() -> None:
    """Of even noise, each halving of the levels saves a bit of eight."""
    volume = np.random.default_rng(0).integers(0, 256, (40, 40, 40), dtype=np.uint8)
    full = len(pack(volume))
    for share, merged in ((0.95, 2), (0.85, 4)):
        packed = fit(volume, [], (1.0, 1.0, 1.0), int(share * full))
        assert packed is not None
        assert (packed.stride, packed.merged) == ((1, 1, 1), merged)
        away = unpack(packed.text, volume.shape).astype(int) - volume
        assert np.abs(away).max() <= merged // 2


def test_no_name_turns_what_stands_beside_it() -> None:
    labels, names = np.ones((4, 5, 6), dtype=np.uint8), LabelSet.from_names(["left \u202ekidney"])
    data = viewer_data(Pose.of(labels.shape, np.eye(4)), labels, names, Packed("key", "", (1, 1, 1)), LEVELS, WINDOWS)
    assert data["structures"][0]["name"] == "left kidney"


def test_label_maps_are_in_the_budget() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 40), dtype=np.uint8)
    enough = len(pack(noise // 8 * 8 + 4)) + len(pack(noise))
    packed = fit(noise, [noise], (1.0, 1.0, 1.0), enough)
    assert packed is not None
    assert (packed.stride, packed.merged) == ((1, 1, 1), 8)
    thinned = fit(noise, [noise], (1.0, 1.0, 1.0), enough - 1)
    assert thinned is not None
    assert thinned.stride == (2, 1, 1)
    assert len(thinned.text) + len(pack(noise[::2])) < enough


def test_a_volume_that_fits_is_kept_whole_and_one_that_never_does_is_left_out() -> None:
    volume = np.random.default_rng(0).integers(0, 256, (40, 40, 40), dtype=np.uint8)
    assert fit(volume, [], (1, 1, 1), 10**6) == Packed(volume_key(volume), pack(volume), (1, 1, 1), 1)
    assert fit(volume, [], (1, 1, 1), 100) is None
    assert fit(volume, [], (1, 1, 1), -5) is None


def test_the_viewer_sees_the_same_from_every_way_to_store_a_scan() -> None:
    labels = np.zeros((7, 9, 4), dtype=np.uint8)
    labels[0:2, 6:9, 3] = 1
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[:3, 3] = (-10.0, 4.0, 2.5)
    packed = Packed("key", "", (1, 1, 1))
    expected = viewer_data(Pose.of(labels.shape, affine), labels, NAMES, packed, LEVELS, WINDOWS)
    for order, flips in product(permutations(range(3)), product((1, -1), repeat=3)):
        orientation = np.column_stack([order, flips])
        stored = apply_orientation(labels, orientation)
        pose = Pose.of(stored.shape, affine @ inv_ornt_aff(orientation, labels.shape))
        assert viewer_data(pose, pose.turn(stored), NAMES, packed, LEVELS, WINDOWS) == expected


def test_positions_and_slices_of_a_thinned_volume_are_the_scans() -> None:
    labels = np.zeros((8, 9, 4), dtype=np.uint8)
    labels[4:6, 2:5, 1] = 1
    affine = np.diag([0.5, 1.0, 3.0, 1.0])
    affine[:3, 3] = (-10.0, 4.0, 2.5)
    data = viewer_data(Pose.of(labels.shape, affine), labels, NAMES, Packed("key", "", (2, 1, 1)), LEVELS, WINDOWS)
    assert (data["shape"], data["size"], data["stride"]) == ([4, 9, 4], [8, 9, 4], [2, 1, 1])
    assert data["spacing"] == pytest.approx([1.0, 1.0, 3.0])
    assert data["origin"][0] + data["step"][0] * data["start"][0] == pytest.approx(-10 + 0.5 * 4)
    assert np.array_equal(unpack(data["labels"], (4, 9, 4)), labels[::2])


def test_the_viewer_is_given_levels_and_windows_in_the_scans_own_unit() -> None:
    labels = np.zeros((3, 4, 5), dtype=np.uint8)
    data = viewer_data(Pose.of(labels.shape, np.eye(4)), labels, NAMES, Packed("key", "", (1, 1, 1)), LEVELS, WINDOWS)
    assert (data["levels"][:3], len(data["levels"])) == ([0.0, 2.0, 4.0], 256)
    assert data["windows"] == [{"name": "bright", "low": 10.0, "high": 20.0}]
