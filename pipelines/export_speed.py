"""How long does it take to write a large segmentation as DICOM, and to check it?

A made-up CT of 512x512x300 voxels with 20 structures (blobs, 6 % of the voxels) is exported as `medswin export` does:
its headers are read, the object is built, written, flushed to the disk, read again by highdicom and compared. One core
works; seconds are those of the clock, the median of some runs.

Usage: python pipelines/export_speed.py [--runs 3]
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medswin.io.dicom import find_series
from medswin.io.dicom.stack import stacked
from medswin.io.files import replacing, write_json
from medswin.io.sources import SeriesSource
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction
from medswin.review.dicom.check import check_segmentation
from medswin.review.dicom.reference import referenced
from medswin.review.dicom.segmentation import segmentation

RESULTS = Path(__file__).with_suffix(".json")
COLUMNS, ROWS, SLICES, STRUCTURES = 512, 512, 300, 20


def main() -> None:
    """Measure both kinds, and write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of which the median counts; a first one does not")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        source = series(Path(folder) / "scan")
        prediction = Prediction(
            "speed", blobs(), stacked(source.series[0]).affine,
            LabelSet.from_names([f"structure {i}" for i in range(STRUCTURES)]), OODResult("not checked"),
            provenance={"model": "speed", "version": "1", "package": "0" * 64, "input_sha256": "0" * 64},
        )  # fmt: skip
        share = float((prediction.labels > 0).mean())
        table = {kind: measured(prediction, source, Path(folder), kind == "LABELMAP", runs) for kind in KINDS}
    machine = f"{os.cpu_count()} cores of {platform.machine()}"
    grid = f"{COLUMNS}x{ROWS}x{SLICES}, {STRUCTURES} structures, {100 * share:.1f} % of the voxels"
    write_json(RESULTS, {"grid": grid, "machine": machine, "runs": runs, "seconds": table})
    for kind, row in table.items():
        print(kind, ", ".join(f"{name} {value}" for name, value in row.items()))


KINDS = ("BINARY", "LABELMAP")


def measured(prediction: Prediction, source: SeriesSource, folder: Path, labelmap: bool, runs: int) -> dict[str, float]:
    """Median seconds of each step, and the size of the file."""
    path, times = folder / "seg.dcm", list[dict[str, float]]()
    for _ in range(runs + 1):
        row: dict[str, float] = {}
        reference = timed(row, "refer", partial(referenced, prediction, source))
        made = timed(row, "build", partial(segmentation, prediction, reference, labelmap=labelmap))
        timed(row, "write", partial(save, made, path))
        timed(row, "check", partial(check_segmentation, path, prediction, reference, "seg"))
        row["build and write"] = row["build"] + row["write"]
        row["all"] = row["refer"] + row["build and write"] + row["check"]
        times.append(row)
    median = {name: round(float(np.median([row[name] for row in times[1:]])), 2) for name in times[0]}
    return median | {"megabytes": round(path.stat().st_size / 1e6, 2)}


def timed(row: dict[str, float], name: str, step: Callable[[], Any]) -> Any:
    """What a step gives; its seconds go into the row."""
    start = time.perf_counter()
    made = step()
    row[name] = time.perf_counter() - start
    return made


def save(made: Any, path: Path) -> None:
    """Write as the command does."""
    with replacing(path) as temporary:
        made.save_as(temporary, enforce_file_format=True)


def blobs() -> np.ndarray:
    """Ellipsoids in rows, in the order of axes in which label maps are read."""
    labels = np.zeros((SLICES, ROWS, COLUMNS), dtype=np.uint8)
    z, y, x = np.ogrid[:80, :110, :90]
    ball = ((z - 40) / 38) ** 2 + ((y - 55) / 50) ** 2 + ((x - 45) / 30) ** 2 < 1
    for i in range(STRUCTURES):
        layer, row, column = i // 10, i % 10 // 5, i % 5
        corner = (30 + 110 * layer, 60 + 200 * row, 20 + 95 * column)
        part = labels[tuple(slice(start, start + n) for start, n in zip(corner, ball.shape, strict=True))]
        part[ball] = i + 1
    return labels.T


def series(folder: Path) -> SeriesSource:
    """An axial CT series of empty slices."""
    folder.mkdir()
    study, name, frame = (generate_uid() for _ in range(3))
    for k in range(SLICES):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.SOPClassUID, d.SOPInstanceUID = CTImageStorage, generate_uid()
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID, d.Modality = study, name, frame, "CT"
        d.ImagePositionPatient, d.ImageOrientationPatient = [-180.0, -180.0, 1.5 * k], [1, 0, 0, 0, 1, 0]
        d.PixelSpacing, d.SliceThickness, d.Rows, d.Columns = [0.7, 0.7], 1.5, ROWS, COLUMNS
        d.SamplesPerPixel, d.PhotometricInterpretation, d.PixelRepresentation = 1, "MONOCHROME2", 0
        d.BitsAllocated, d.BitsStored, d.HighBit = 16, 16, 15
        d.PixelData = bytes(2 * ROWS * COLUMNS)
        d.save_as(folder / f"{k:03}.dcm", enforce_file_format=True)
    (found,) = find_series(folder, b"speed").series
    return SeriesSource("speed", "speed", found.files, series=(found,))


if __name__ == "__main__":
    main()
