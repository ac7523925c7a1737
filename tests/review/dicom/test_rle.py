"""Run-length encoding is read back by pydicom's decoder, whatever the bytes."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.pixels.decoders.rle import _rle_decode_frame, _rle_decode_segment

from medswin.review.dicom import rle

planes = arrays.arrays(
    np.uint8,
    st.tuples(st.integers(1, 9), st.one_of(st.integers(1, 9), st.integers(120, 300))),
    elements=st.integers(0, 3),
)


@settings(max_examples=60, deadline=None)
@given(planes)
def test_a_plane_comes_back(plane: np.ndarray) -> None:
    assert bytes(_rle_decode_segment(rle.segment(plane))) == plane.tobytes()


@settings(max_examples=30, deadline=None)
@given(planes)
def test_no_run_goes_on_in_the_next_row(plane: np.ndarray) -> None:
    whole = rle.segment(plane)
    assert whole == b"".join(rle.segment(row[None]) for row in plane)


def test_a_picture_in_bytes() -> None:
    plane = np.array([[7, 7, 7, 7, 1, 2, 2, 3], [5] * 8], dtype=np.uint8)
    assert rle.segment(plane) == bytes([257 - 4, 7, 3, 1, 2, 2, 3, 257 - 8, 5])


def test_colours_come_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)
    decoded = np.frombuffer(_rle_decode_frame(rle.frame(pixels), 13, 21, 3, 8), dtype=np.uint8)
    np.testing.assert_array_equal(decoded.reshape(3, 13, 21).transpose(1, 2, 0), pixels)


def test_noise_grows_by_little() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), dtype=np.uint8)
    assert len(rle.frame(noise)) < 1.02 * noise.size
