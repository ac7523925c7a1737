"""Series made in code, cases on them as predict leaves them behind, and what tools of others say of exports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from medswin.findings import Finding
from medswin.io.cases import write_case
from medswin.io.dicom import find_series
from medswin.io.dicom.stack import stacked
from medswin.io.private import keep_origins, naming_key
from medswin.io.sources import SeriesSource
from medswin.labels import Code, Label, LabelSet
from medswin.prediction import OODResult, Prediction

CANARY, BORN, NUMBER = "Muster^Hänsel", "19530211", "4711-0815"
MR, ENHANCED = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
COLUMNS, ROWS, SLICES = 14, 11, 9
PIXEL_MM, STEP_MM = (0.8, 1.1), 2.5
"""Distance of columns and of rows, and of slices."""
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
OBLIQUE = ((0.8, 0.6, 0.0), (-0.36, 0.48, 0.8))
"""Directions of rows and of columns."""
HIPPOCAMPUS = Code("5366008", "SCT", "Hippocampus")
LABELS = LabelSet(
    (
        Label(
            1, "left cap", (230, 159, 0), Code("5366008", "SCT", "Hippocampus"), Code("255549009", "SCT", "Anterior")
        ),
        Label(2, "stripe", (86, 180, 233)),
        Label(3, "nowhere", (0, 158, 115)),
    )
)
ACCEPTED = OODResult("accept", score=0.5, limit=1.25, p_value=0.4, people=20, false_alarm_rate=0.05, reasons=("like",))
REJECTED = OODResult("reject", score=float("inf"), limit=1.25, p_value=0.05, people=20, reasons=("unlike", "stop"))


def picture() -> np.ndarray:
    """A ring with a hole and a corner that tells every direction, a stripe one voxel thick, and gaps between slices."""
    labels = np.zeros((COLUMNS, ROWS, SLICES), dtype=np.uint8)
    labels[2:8, 2:7, 2:5] = 1
    labels[4:6, 4:5, 3] = 0
    labels[7:11, 6:9, 4] = 1
    labels[12, 2, 2] = 1
    labels[9, 1:9, 6:8] = 2
    return labels


@dataclass(frozen=True)
class Study:
    """Where slices lie, told by nothing but what was written into them."""

    folder: Path
    slices: tuple[Dataset, ...]
    axes: np.ndarray

    def position_mm(self, x: Any, y: Any, z: Any) -> np.ndarray:
        """(3,) or (3, n) in DICOM's coordinates."""
        origins = np.array([d.ImagePositionPatient for d in self.slices], dtype=float).T
        along, down = self.axes
        return origins[:, z] + np.multiply.outer(along, x) * PIXEL_MM[0] + np.multiply.outer(down, y) * PIXEL_MM[1]

    def cloud(self, labels: np.ndarray, value: int) -> np.ndarray:
        """Positions of the voxels of a structure, sorted and rounded to a hundredth of a millimetre."""
        return sorted_cloud(self.position_mm(*np.nonzero(labels == value)))


def sorted_cloud(positions_mm: np.ndarray) -> np.ndarray:
    rounded = np.round(positions_mm.T, 2) + 0.0
    return rounded[np.lexsort(rounded.T)]


def make_study(folder: Path, axes: Any = AXIAL, **tags: Any) -> Study:
    """An MR series whose files come in no order; ``tags`` are set in each slice, those of None are left out."""
    folder.mkdir(parents=True)
    directions = np.array(axes)
    normal = np.cross(*directions)
    study, series, frame = (generate_uid() for _ in range(3))
    made = []
    for k in range(SLICES):
        d = _slice(k, study, series, frame)
        d.ImagePositionPatient = [round(v, 6) for v in np.array([-7.0, 5.0, 30.0]) + k * STEP_MM * normal]
        d.ImageOrientationPatient = list(directions.ravel())
        for tag, value in tags.items():
            chosen = value(k) if callable(value) else value
            if chosen is None:
                delattr(d, tag)
            else:
                setattr(d, tag, chosen)
        if not d.get("SOPInstanceUID"):  # the file's header has one, but the first three share theirs
            d.file_meta.MediaStorageSOPClassUID = MR
            d.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.99.{max(k, 2)}"
        made.append(d)
        d.save_as(folder / f"{(5 * k) % SLICES:02}", enforce_file_format=True)
    return Study(folder, tuple(made), directions)


def _slice(k: int, study: str, series: str, frame: str) -> Dataset:
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    d.SpecificCharacterSet = "ISO_IR 100"
    d.SOPClassUID, d.SOPInstanceUID = MR, generate_uid()
    d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = study, series, frame
    d.Modality, d.PatientName, d.PatientID, d.PatientBirthDate, d.PatientSex = "MR", CANARY, NUMBER, BORN, "F"
    d.StudyDate, d.StudyTime, d.StudyID, d.AccessionNumber = "20200102", "101112", "7", NUMBER
    d.ReferringPhysicianName, d.SeriesDescription, d.Manufacturer = CANARY, CANARY, "ACME"
    d.PixelSpacing, d.SliceThickness, d.InstanceNumber = list(PIXEL_MM[::-1]), 4.0, SLICES - k
    d.SpacingBetweenSlices = -3  # as some scanners write it
    d.Columns, d.Rows, d.SamplesPerPixel, d.PhotometricInterpretation = COLUMNS, ROWS, 1, "MONOCHROME2"
    d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
    rng = np.random.default_rng(k)
    d.PixelData = rng.integers(0, 1000, (ROWS, COLUMNS)).astype(np.uint16).tobytes()
    return d


def as_frames(study: Study, folder: Path) -> Path:
    """The series as one enhanced file, its frames in another order than the slices."""
    d = Dataset()
    d.update(study.slices[0])
    d.file_meta = study.slices[0].file_meta
    order = [(4 * k) % SLICES for k in range(SLICES)]
    frames = []
    for k in order:
        one, plane, content = Dataset(), Dataset(), Dataset()
        plane.ImagePositionPatient = study.slices[k].ImagePositionPatient
        content.StackID, content.InStackPositionNumber, content.DimensionIndexValues = "1", k + 1, [1, k + 1]
        one.PlanePositionSequence, one.FrameContentSequence = [plane], [content]
        frames.append(one)
    shared, measures, plane, kind = (Dataset() for _ in range(4))
    measures.PixelSpacing, measures.SliceThickness = d.PixelSpacing, d.SliceThickness
    plane.ImageOrientationPatient = d.ImageOrientationPatient
    kind.FrameType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    shared.MRImageFrameTypeSequence = [kind]
    d.SharedFunctionalGroupsSequence, d.PerFrameFunctionalGroupsSequence = [shared], frames
    for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(d, tag)
    d.SOPClassUID, d.NumberOfFrames = ENHANCED, SLICES
    d.PixelData = b"".join(study.slices[k].PixelData for k in order)
    folder.mkdir()
    d.save_as(folder / "frames", enforce_file_format=True)
    return folder


def make_case(
    out: Path,
    scan: Path,
    labels: np.ndarray | None = None,
    label_set: LabelSet = LABELS,
    ood: OODResult = ACCEPTED,
    findings: tuple[Finding, ...] = (),
    region: tuple[tuple[int, int], ...] | None = None,
) -> Path:
    """The files of a case on the series in a folder, as predict leaves them, and the path of its JSON file."""
    out.mkdir(exist_ok=True)
    (series,) = find_series(scan, naming_key(out)).series
    source = SeriesSource(series.id, series.id, series.files, series=(series,))
    provenance = {
        "model": "shapes",
        "version": "1.2.0",
        "package": "ab" * 32,
        "medswin": "0.1.0",
        "window": {"roi_size": [16, 16, 16], "overlap": 0.5},
        "input_sha256": source.digest(),
    }
    shown = picture() if labels is None else labels
    case = Prediction(series.id, shown, stacked(series).affine, label_set, ood, findings, provenance, region)
    _, path = write_case(out, case)
    keep_origins(out, {series.id: source.origin})
    return path


def tool(name: str) -> str:
    """The path of a program; the test is skipped without it."""
    beside = Path(sys.executable).parent  # where pip puts programs
    found = shutil.which(name, path=os.pathsep.join([str(beside), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip(f"needs the program {name}, which is not installed")
    return found


def validate(path: Path) -> None:
    """Nothing that dciodvfy calls an error."""
    told = subprocess.run([tool("dciodvfy"), "-new", path], capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr + told.stdout
