"""``medswin export``: what is written, what is said, and with which status it ends."""

from __future__ import annotations

import builtins
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

CANARY = "Muster^Hans"


def write_series(folder: Path, *, uids: bool = True) -> None:
    folder.mkdir(parents=True)
    study, series, frame = (generate_uid() if uids else "" for _ in range(3))
    rng = np.random.default_rng(0)
    for k in range(8):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.SOPClassUID, d.SOPInstanceUID = MRImageStorage, generate_uid()
        d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID, d.Modality = study, series, frame, "MR"
        d.PatientName = d.PatientID = d.SeriesDescription = CANARY
        d.ImagePositionPatient, d.ImageOrientationPatient = [0, 0, 2 * k], [1, 0, 0, 0, 1, 0]
        d.PixelSpacing, d.SliceThickness, d.Rows, d.Columns = [1, 1], 2, 9, 10
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
        d.BitsAllocated, d.BitsStored, d.HighBit, d.PixelRepresentation = 16, 16, 15, 0
        d.PixelData = rng.integers(0, 999, (9, 10)).astype(np.uint16).tobytes()
        d.save_as(folder / f"{k}-{CANARY}", enforce_file_format=True)


@pytest.fixture
def predicted(medswin: Callable, tiny_package: Path, tmp_path: Path) -> Path:
    """What predict leaves of one series with identifiers and one without."""
    write_series(tmp_path / "tree" / CANARY / "good")
    write_series(tmp_path / "tree" / CANARY / "blank", uids=False)
    words = ["-i", tmp_path / "tree", "-o", tmp_path / "predicted", "-m", tiny_package, "--all-series"]
    assert medswin("predict", *words, "--no-progress")[0] == 0
    return tmp_path / "predicted"


def good_case(predicted: Path) -> Path:
    sources = json.loads((predicted / ".private" / "sources.json").read_text())
    (name,) = (name for name, row in sources.items() if "/good/" in row["files"][0])
    return predicted / f"{name}.json"


def test_a_case_in_all_formats(medswin: Callable, predicted: Path, tmp_path: Path) -> None:
    formats = "dicom-seg,dicom-sr,dicom-sc,dicom-pdf,rtstruct,nifti,seg-nrrd"
    case = good_case(predicted)
    status, out, err = medswin("export", "-i", case, "-o", tmp_path / "out", "-f", formats, "--no-progress")
    assert (status, err) == (0, "")
    suffixes = {path.name.removeprefix(case.stem) for path in (tmp_path / "out").iterdir()}
    one_each = {"_dicom-seg.dcm", "_dicom-sr.dcm", "_dicom-pdf.dcm", "_rtstruct.dcm", ".nii.gz", ".seg.nrrd"}
    assert one_each | {"_dicom-sc-01.dcm"} <= suffixes
    assert "Muster" not in out
    assert pydicom.dcmread(tmp_path / "out" / f"{case.stem}_dicom-seg.dcm").PatientName == CANARY


def test_of_a_rejected_scan_it_warns(medswin: Callable, predicted: Path, tmp_path: Path) -> None:
    case = good_case(predicted)
    described = json.loads(case.read_text())
    described["ood"]["verdict"] = "reject"
    case.write_text(json.dumps(described))
    status, _, err = medswin("export", "-i", case, "-o", tmp_path / "out", "-f", "nifti,rtstruct", "--no-progress")
    assert status == 0
    assert err.count("rejects this scan") == len(err.splitlines()) == 1


def test_one_failed_case_does_not_stop_the_others(medswin: Callable, predicted: Path, tmp_path: Path) -> None:
    status, out, err = medswin("export", "-i", predicted, "-o", tmp_path / "out", "--no-progress")
    assert status == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"{good_case(predicted).stem}_dicom-seg.dcm"]
    assert len(err.splitlines()) == 1
    assert "--repair-uids" in err
    assert "Muster" not in out + err
    words = ["export", "-i", predicted, "-o", tmp_path / "out", "--repair-uids", "--labelmap", "--no-progress"]
    status, out, err = medswin(*words)
    assert (status, err) == (0, "")
    assert "was made up" in out
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_where_nothing_can_be_exported_it_ends_with_2(medswin: Callable, predicted: Path, tmp_path: Path) -> None:
    blank = next(path for path in predicted.glob("series-*.json") if path != good_case(predicted))
    assert medswin("export", "-i", blank, "-o", tmp_path / "out", "--no-progress")[0] == 2
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-f", "dicom-seg,dcm"], "no format is named 'dcm'. Repair: use one or more of: dicom-seg, dicom-sr"),
        (["-f", "nifti,nifti"], "takes different names"),
        (["--edited", "e.nii.gz"], "one edited label map is given for 2 cases"),
        (["--source", "nowhere"], "is not where it was"),
    ],
)
def test_words_that_cannot_be_are_refused(
    medswin: Callable, predicted: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    status, _, err = medswin("export", "-i", predicted, "-o", tmp_path / "out", *words, "--no-progress")
    assert status == 2
    assert said in err


@pytest.mark.parametrize("inputs", ["missing", "empty", "other.json"])
def test_inputs_without_a_case_are_refused(medswin: Callable, tmp_path: Path, inputs: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other.json").write_text('{"case": "x"}')
    status, _, err = medswin("export", "-i", tmp_path / inputs, "-o", tmp_path / "out", "--no-progress")
    assert (status, len(err.splitlines())) == (2, 1)
    assert inputs in err


def test_a_damaged_case_is_told_and_the_other_is_done(medswin: Callable, predicted: Path, tmp_path: Path) -> None:
    case = good_case(predicted)
    labels = case.with_name(f"{case.stem}.nii.gz")
    labels.write_bytes(labels.read_bytes()[:-20])
    words = ["export", "-i", predicted, "-o", tmp_path / "out", "-f", "nifti,dicom-seg", "--repair-uids"]
    status, _, err = medswin(*words, "--no-progress")
    assert status == 1
    assert f"{case.stem}: not exported as dicom-seg, nifti: " in err
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_a_nifti_case_goes_where_no_study_is_needed(
    medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path
) -> None:
    medswin("predict", "-i", scans, "-o", tmp_path / "predicted", "-m", tiny_package, "--no-progress")
    words = ["-i", tmp_path / "predicted", "-o", tmp_path / "out", "-f", "dicom-seg,rtstruct,nifti,seg-nrrd"]
    status, _, err = medswin("export", *words, "--no-progress")
    assert status == 1
    assert "good: not exported as dicom-seg, rtstruct: its scan is no DICOM series" in err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"good.nii.gz", "good.seg.nrrd"}
    first, second = ((tmp_path / name / "good.nii.gz").read_bytes() for name in ("predicted", "out"))
    assert first == second


@pytest.mark.parametrize(
    ("library", "format_", "extra"),
    [("highdicom", "dicom-seg", "dicom"), ("skimage", "rtstruct", "dicom"), ("SimpleITK", "seg-nrrd", "itk")],
)
def test_what_is_not_installed_is_named_with_its_extra(
    medswin: Callable, predicted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    library: str, format_: str, extra: str,
) -> None:  # fmt: skip
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == library:
            raise ModuleNotFoundError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setitem(sys.modules, library, None)
    words = ["-i", good_case(predicted), "-o", tmp_path / "out", "-f", format_]
    status, _, err = medswin("export", *words, "--no-progress")
    assert status == 2
    assert f"{library}, which is not installed. Repair: pip install 'medswin[{extra}]'" in err
