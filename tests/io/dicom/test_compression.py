"""Compressed pixels: the right values in every syntax that is read, words for what is damaged or not read."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from multiframe import enhanced
from pydicom import uid
from pydicom.encaps import encapsulate, get_frame
from traps import Truth, assert_in_place, set_pixels, signed

from medswin.errors import InputError
from medswin.io.dicom import codecs, find_series, pixels, read_series

LOSSLESS = {
    "RLE": uid.RLELossless,
    "JPEG 2000": uid.JPEG2000Lossless,
    "HTJ2K": uid.HTJ2KLossless,
    "JPEG-LS": uid.JPEGLSLossless,
    "JPEG lossless": uid.JPEGLossless,
    "JPEG lossless SV1": uid.JPEGLosslessSV1,
}
LOSSY = {
    "JPEG 2000": (uid.JPEG2000, {"level": 85}, 12),
    "JPEG-LS": (uid.JPEGLSNearLossless, {"level": 2}, 12),
    "JPEG extended": (uid.JPEGExtended12Bit, {"level": 98, "bitspersample": 12}, 12),
    "JPEG baseline": (uid.JPEGBaseline8Bit, {"level": 98}, 8),
}
ENCODERS: dict[str, Callable[..., bytes]] = {
    uid.JPEG2000Lossless: lambda a, **kw: imagecodecs.jpeg2k_encode(a, codecformat="J2K", **(kw or {"level": 0})),
    uid.JPEG2000: lambda a, **kw: imagecodecs.jpeg2k_encode(a, codecformat="J2K", **kw),
    uid.HTJ2KLossless: lambda a, **kw: imagecodecs.htj2k_encode(a),
    uid.JPEGLSLossless: lambda a, **kw: imagecodecs.jpegls_encode(a.view(f"u{a.itemsize}")),
    uid.JPEGLSNearLossless: lambda a, **kw: imagecodecs.jpegls_encode(a, **kw),
    uid.JPEGLossless: lambda a, **kw: imagecodecs.ljpeg_encode(a.view(f"u{a.itemsize}"), bitspersample=16),
    uid.JPEGLosslessSV1: lambda a, **kw: imagecodecs.ljpeg_encode(a.view(f"u{a.itemsize}"), bitspersample=16),
    uid.JPEGExtended12Bit: lambda a, **kw: imagecodecs.jpeg8_encode(a, **kw),
    uid.JPEGBaseline8Bit: lambda a, **kw: imagecodecs.jpeg8_encode(a, **kw),
}


def compress(d: Any, syntax: str, **how: Any) -> None:
    if syntax == uid.RLELossless:
        d.compress(syntax, generate_instance_uid=False)
        return
    d.PixelData = encapsulate([ENCODERS[syntax](d.pixel_array, **how)])
    d["PixelData"].VR = "OB"
    d.file_meta.TransferSyntaxUID = syntax


@pytest.mark.parametrize("syntax", [uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
@pytest.mark.parametrize("frames", [False, True])
def test_what_is_not_compressed(slices: list, write: Callable, truth: Truth, syntax: str, frames: bool) -> None:
    made = [enhanced(slices)] if frames else slices
    for d in made:
        d.file_meta.TransferSyntaxUID = syntax
        if syntax == uid.ExplicitVRBigEndian:
            d.PixelData = np.frombuffer(d.PixelData, "<u2").byteswap().tobytes()
    (series,) = find_series(write(made), b"key").series
    assert_in_place(read_series(series), truth)


def test_single_bytes_and_an_odd_number_of_them(ct: list, write: Callable) -> None:
    stored = np.stack([(d.pixel_array[:95, :79] >> 4).astype(np.uint8) for d in ct])
    for d, plane in zip(ct, stored, strict=True):
        d.BitsAllocated, d.BitsStored, d.HighBit, d.RescaleIntercept = 8, 8, 7, 0
        set_pixels(d, plane)
        d.PixelData += b"\0"
    (series,) = find_series(write(ct), b"key").series
    assert series.slices[0].plain is not None
    np.testing.assert_array_equal(read_series(series).image.as_tensor().numpy()[0], stored.T)


@pytest.mark.parametrize("sign", [False, True])
@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_compression_changes_nothing(slices: list, write: Callable, truth: Truth, name: str, sign: bool):
    for i, d in enumerate(slices):
        if sign:
            signed(d, i)
        compress(d, LOSSLESS[name])
    (series,) = find_series(write(slices), b"key").series
    assert_in_place(read_series(series), truth)


@pytest.mark.parametrize("name", ["RLE", "JPEG 2000", "JPEG-LS", "JPEG lossless SV1"])
def test_a_sign_in_twelve_bits(ct: list, write: Callable, name: str) -> None:
    stored = np.stack([d.pixel_array.astype(np.int16) - 1500 for d in ct])
    for d, plane in zip(ct, stored, strict=True):
        d.PixelRepresentation, d.RescaleIntercept = 1, 0
        set_pixels(d, plane)
        if name == "JPEG lossless SV1":
            raw = imagecodecs.ljpeg_encode((plane & 0xFFF).astype(np.uint16), bitspersample=12)
            d.PixelData, d["PixelData"].VR = encapsulate([raw]), "OB"
            d.file_meta.TransferSyntaxUID = LOSSLESS[name]
        else:
            d.compress(LOSSLESS[name], generate_instance_uid=False)
    assert stored.min() < 0
    (series,) = find_series(write(ct), b"key").series
    np.testing.assert_array_equal(read_series(series).image.as_tensor().numpy()[0], stored.T)


@pytest.mark.parametrize("name", [name for name in LOSSLESS if name not in ("HTJ2K",)])
def test_other_libraries_read_the_same(
    slices: list, write: Callable, truth: Truth, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that pydicom finds, where imagecodecs is not installed."""
    for d in slices:
        compress(d, LOSSLESS[name])
    monkeypatch.setattr(codecs, "_ours", lambda uid: None)
    (series,) = find_series(write(slices), b"key").series
    assert_in_place(read_series(series), truth)


@pytest.mark.parametrize("name", LOSSY)
def test_lossy_compression_is_told(ct: list, write: Callable, name: str) -> None:
    syntax, how, bits = LOSSY[name]
    stored = np.stack([d.pixel_array >> (12 - bits) for d in ct]).astype("u1" if bits == 8 else "u2")
    for d, plane in zip(ct, stored, strict=True):
        set_pixels(d, plane)
        d.BitsAllocated, d.BitsStored, d.HighBit, d.LossyImageCompression = 8 * stored.itemsize, bits, bits - 1, "01"
        compress(d, syntax, **how)
    (series,) = find_series(write(ct), b"key").series
    scan = read_series(series)
    assert "lossy-compression" in {finding.code for finding in scan.findings}
    difference = np.abs(scan.image.as_tensor().numpy()[0] + 1024 - stored.T)
    assert 0 < difference.max() < 0.02 * 2**bits


def test_signed_values_written_as_unsigned_in_the_codestream(ct: list, write: Callable) -> None:
    """As some encoders do: the header's sign counts."""
    stored = np.stack([d.pixel_array.astype(np.int16) - 1024 for d in ct])
    for d, plane in zip(ct, stored, strict=True):
        d.PixelRepresentation, d.BitsStored, d.HighBit, d.RescaleIntercept = 1, 16, 15, 0
        set_pixels(d, plane)
        raw = imagecodecs.jpeg2k_encode(plane.view("u2"), codecformat="J2K", level=0)
        d.PixelData, d["PixelData"].VR = encapsulate([raw]), "OB"
        d.file_meta.TransferSyntaxUID = uid.JPEG2000Lossless
    (series,) = find_series(write(ct), b"key").series
    np.testing.assert_array_equal(read_series(series).image.as_tensor().numpy()[0], stored.T)


@pytest.mark.parametrize("name", ["RLE", "JPEG 2000", "HTJ2K", "JPEG-LS", "JPEG lossless SV1", "lossy JPEG 2000"])
def test_a_sign_in_twelve_bits_that_was_not_extended(ct: list, write: Callable, name: str) -> None:
    """The bits above it are zeros, in a codestream of 16 bits."""
    stored = np.stack([d.pixel_array.astype(np.int16) - 1500 for d in ct])
    for d, plane in zip(ct, stored, strict=True):
        d.PixelRepresentation, d.RescaleIntercept = 0, 0
        set_pixels(d, plane.view("u2") & 0xFFF)
        compress(d, LOSSLESS[name.removeprefix("lossy ")])
        d.PixelRepresentation = 1
        if name.startswith("lossy"):  # a syntax that may be, of a stream that is not
            d.file_meta.TransferSyntaxUID = uid.JPEG2000
    assert stored.min() < 0
    (series,) = find_series(write(ct), b"key").series
    np.testing.assert_array_equal(read_series(series).image.as_tensor().numpy()[0], stored.T)


def test_lossy_values_beyond_the_bits_stored_do_not_turn_their_sign(ct: list, write: Callable) -> None:
    stored = np.stack([d.pixel_array.astype(np.int16) - 1500 for d in ct])
    stored[:, 5:9, 5:9] = 2050
    for d, plane in zip(ct, stored, strict=True):
        d.PixelRepresentation, d.RescaleIntercept = 1, 0
        set_pixels(d, plane)
        d.PixelData, d["PixelData"].VR = encapsulate([ENCODERS[uid.JPEG2000](plane, level=0)]), "OB"
        d.file_meta.TransferSyntaxUID = uid.JPEG2000
    (series,) = find_series(write(ct), b"key").series
    np.testing.assert_array_equal(read_series(series).image.as_tensor().numpy()[0], stored.T)


def half(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def without_end(raw: bytes) -> bytes:
    return raw.rstrip(b"\0")[:-2]


def nothing(raw: bytes) -> bytes:
    return b"\0" * 100


@pytest.mark.parametrize("damage", [half, without_end, nothing])
@pytest.mark.parametrize("name", [*LOSSLESS, "JPEG extended"])
def test_damaged_frames_are_refused(ct: list, write: Callable, name: str, damage: Callable, quiet_check: Callable):
    syntax, how, _ = LOSSY["JPEG extended"] if name not in LOSSLESS else (LOSSLESS[name], {}, 0)
    for i, d in enumerate(ct):
        compress(d, syntax, **how)
        if i == 7:
            raw = get_frame(d.PixelData, 0, number_of_frames=1)
            d.PixelData = encapsulate([damage(raw)])
    (series,) = find_series(write(ct), b"key").series
    with pytest.raises(InputError, match=r"slice 8 of 12: its (pixels|compressed data \(.*\)) are damaged") as error:
        read_series(series)
    quiet_check(error.value)


@pytest.mark.parametrize("name", ["JPEG 2000", "JPEG-LS", "JPEG lossless SV1"])
def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(
    ct: list, write: Callable, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may announce more than the memory holds."""
    for i, d in enumerate(ct):
        compress(d, LOSSLESS[name])
        if i == 2:
            d.PixelData = encapsulate([enlarged(get_frame(d.PixelData, 0, number_of_frames=1))])
    (series,) = find_series(write(ct), b"key").series
    asked: list[bytes] = []
    monkeypatch.setattr(codecs, "decode_frame", lambda frame, runner: asked.append(frame))
    with pytest.raises(InputError, match="damaged"):
        read_series(series)
    assert all(codecs._size(frame) == (96, 80) for frame in asked)


def enlarged(raw: bytes) -> bytes:
    rows, columns = codecs._size(raw) or (0, 0)
    if raw.startswith(codecs._J2K_START):
        return raw.replace(struct.pack(">II", columns, rows), struct.pack(">II", 60000, 60000), 1)
    return raw.replace(struct.pack(">HH", rows, columns), struct.pack(">HH", 60000, 60000), 1)


def test_a_compression_without_library_names_the_extra(ct: list, write: Callable, monkeypatch: pytest.MonkeyPatch):
    from pydicom.pixels.decoders.base import get_decoder

    for d in ct:
        compress(d, uid.JPEGLSLossless)
    monkeypatch.setattr(codecs, "_ours", lambda uid: None)
    monkeypatch.setattr(get_decoder(uid.JPEGLSLossless), "_available", {})
    (series,) = find_series(write(ct), b"key").series
    with pytest.raises(InputError, match=r'reads its compression, JPEG-LS Lossless.* with its extra "dicom"'):
        read_series(series)


def test_compressed_slices_are_decoded_side_by_side(ct: list, write: Callable, monkeypatch: pytest.MonkeyPatch):
    """Two that wait for each other come through only where they run at once."""
    for d in ct:
        compress(d, uid.JPEG2000Lossless)
    (series,) = find_series(write(ct), b"key").series
    both, decode = threading.Barrier(2, timeout=20), pixels.decode

    def waiting(*given: Any) -> Any:
        both.wait()
        return decode(*given)

    monkeypatch.setattr(pixels, "decode", waiting)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert read_series(series).shape[2] == 12
