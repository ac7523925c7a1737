"""Run-length encoding as DICOM has it, of whole planes at once.

Of the encoders that pydicom may call, one ends the process on some sizes of image, and one takes seconds a picture.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHORTEST = 3
"""Equal bytes from which on they are stored as a run; fewer take no more room among others."""
_CHUNK = 128
_REPEATED, _HEADER = 257, 64


def compress(dataset: Any) -> None:
    """Compress the pixels of a dataset, which are plain and of one byte a sample."""
    from pydicom.encaps import encapsulate
    from pydicom.uid import RLELossless

    shape = (int(dataset.get("NumberOfFrames") or 1), dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
    count = int(np.prod(shape))
    pixels = np.frombuffer(dataset.PixelData, dtype=np.uint8, count=count).reshape(shape)
    dataset.PixelData = encapsulate([frame(one) for one in pixels])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.file_meta.TransferSyntaxUID = RLELossless


def frame(pixels: NDArray[np.uint8]) -> bytes:
    """One frame: (rows, columns), or (rows, columns, samples) of which each sample is a segment."""
    planes = pixels[..., None] if pixels.ndim == 2 else pixels
    segments = [_even(segment(planes[..., i])) for i in range(planes.shape[-1])]
    starts = np.cumsum([_HEADER, *(len(one) for one in segments[:-1])]).tolist()
    header = struct.pack(f"<{len(segments) + 1}I", len(segments), *starts)
    return header.ljust(_HEADER, b"\0") + b"".join(segments)


def segment(plane: NDArray[np.uint8]) -> bytes:
    """A plane (rows, columns) of bytes; no run goes on into the next row, as the standard asks."""
    values = np.ascontiguousarray(plane).ravel()
    starts, lengths, repeats = _stretches(values, plane.shape[1])
    starts, lengths, repeats = _chunked(starts, lengths, repeats)
    sizes = np.where(repeats, 2, lengths + 1)
    ends = np.cumsum(sizes)
    places = ends - sizes
    out = np.empty(int(ends[-1]), dtype=np.uint8)
    out[places] = np.where(repeats, _REPEATED - lengths, lengths - 1)
    out[places[repeats] + 1] = values[starts[repeats]]
    of = lengths[~repeats]
    inside = np.arange(int(of.sum())) - np.repeat(np.cumsum(of) - of, of)
    out[np.repeat(places[~repeats] + 1, of) + inside] = values[np.repeat(starts[~repeats], of) + inside]
    return out.tobytes()


def _stretches(values: NDArray[np.uint8], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Start and length of each stretch of a row, and whether it is of one value or of several."""
    new = np.empty(len(values), dtype=bool)
    np.not_equal(values[1:], values[:-1], out=new[1:])
    new[::width] = True
    starts = np.flatnonzero(new)
    runs = np.diff(starts, append=len(values)) >= _SHORTEST
    # Runs too short go together, but not over the end of a row.
    kept = np.ones(len(starts), dtype=bool)
    kept[1:] = runs[1:] | runs[:-1] | (starts[1:] % width == 0)
    starts, runs = starts[kept], runs[kept]
    return starts, np.diff(starts, append=len(values)), runs


def _chunked(
    starts: NDArray[np.int64], lengths: NDArray[np.int64], repeats: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """The stretches in parts of at most 128 bytes."""
    count = -(-lengths // _CHUNK)
    number = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    left = np.repeat(lengths, count) - number * _CHUNK
    return np.repeat(starts, count) + number * _CHUNK, np.minimum(left, _CHUNK), np.repeat(repeats, count)


def _even(content: bytes) -> bytes:
    return content + b"\0" * (len(content) % 2)
