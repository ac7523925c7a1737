"""The structured report: volumes in ml, the verdict with its numbers, and that nobody has verified it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from highdicom.sr import srread
from studies import PIXEL_MM, REJECTED, STEP_MM, Study, make_case, picture, tool, validate

from medswin.review.words import BEYOND_SCALE

VOLUME = ("118565006", "SCT")


def items(dataset: Any) -> list[Any]:
    """All content items, in their order."""
    found = []
    for item in dataset.get("ContentSequence", []):
        found += [item, *items(item)]
    return found


def concept(code: Any) -> tuple[str, str]:
    return code.CodeValue, code.CodingSchemeDesignator


def volumes(report: Any) -> list[tuple[float, str]]:
    numbers = [one for one in items(report) if one.ValueType == "NUM"]
    measured = [one.MeasuredValueSequence[0] for one in numbers if concept(one.ConceptNameCodeSequence[0]) == VOLUME]
    return [(float(one.NumericValue), one.MeasurementUnitsCodeSequence[0].CodeValue) for one in measured]


def answers(report: Any) -> dict[str, list[str]]:
    """Codes of medswin's own -> what they are answered with."""
    found: dict[str, list[str]] = {}
    for one in items(report):
        name, scheme = concept(one.ConceptNameCodeSequence[0])
        if scheme == "99MEDSWIN" and one.ValueType == "CODE":
            found.setdefault(name, []).append(one.ConceptCodeSequence[0].CodeValue)
        elif scheme == "99MEDSWIN":
            found.setdefault(name, []).append(str(float(one.MeasuredValueSequence[0].NumericValue)))
    return found


def texts(report: Any) -> list[str]:
    return [one.TextValue for one in items(report) if one.ValueType == "TEXT"]


def test_it_holds_each_volume_to_three_figures(case: Path, dataset: Callable) -> None:
    voxel_ml = np.prod(PIXEL_MM) * STEP_MM / 1000
    wanted = [float(f"{(picture() == value).sum() * voxel_ml:.3g}") for value in (1, 2)]
    report = dataset(case, "dicom-sr")
    assert volumes(report) == [(pytest.approx(volume), "ml") for volume in wanted]
    assert "Not found in this scan: nowhere" in texts(report)


def test_it_is_preliminary_and_nobody_has_verified_it(case: Path, dataset: Callable) -> None:
    report = dataset(case, "dicom-sr")
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    assert "VerifyingObserverSequence" not in report
    assert report.SeriesDescription.startswith("RESEARCH USE ONLY")


def test_it_tells_the_verdict_with_its_numbers(case: Path, dataset: Callable) -> None:
    told = answers(dataset(case, "dicom-sr"))
    assert told["verdict"] == ["accept"]
    assert (told["score"], told["limit"], told["p-value"], told["people"]) == (["0.5"], ["1.25"], ["0.4"], ["20.0"])
    assert told["use"] == ["check-first", "check"]  # the first is in several parts


def test_a_score_beyond_the_scale_is_no_number(study: Study, tmp_path: Path, exported: Callable) -> None:
    ood = replace(REJECTED, score=BEYOND_SCALE)
    (path,) = exported(make_case(tmp_path / "predicted", study.folder, ood=ood), "dicom-sr").files
    told = answers(pydicom.dcmread(path))
    assert (told["score"], told["limit"]) == (["beyond-the-scale"], ["1.25"])
    validate(path)


def test_on_a_rejected_scan_each_volume_is_marked(study: Study, tmp_path: Path, dataset: Callable) -> None:
    report = dataset(make_case(tmp_path / "predicted", study.folder, ood=REJECTED), "dicom-sr")
    assert answers(report)["use"] == ["unusable", "unusable"]
    assert sum("DO NOT USE THIS VOLUME" in text for text in texts(report)) == 2
    assert answers(report)["verdict"] == ["reject"]
    assert {"unlike", "stop"} <= set(texts(report))


def test_it_names_the_algorithm_and_the_device(case: Path, dataset: Callable) -> None:
    report = dataset(case, "dicom-sr")
    assert {"shapes", "1.2.0", f"package={'ab' * 32}"} <= set(texts(report))
    assert "ab" * 32 in texts(report)  # the device's serial number


def test_the_settings_keep_their_numbers_apart(study: Study, tmp_path: Path, dataset: Callable) -> None:
    case = make_case(tmp_path / "predicted", study.folder)
    described = json.loads(case.read_text())
    described["provenance"]["box"] = "200:240,200:250,0:20"
    case.write_text(json.dumps(described))
    assert {"box=200:240 200:250 0:20", "roi_size=[16 16 16]"} <= set(texts(dataset(case, "dicom-sr")))
    made = dataset(case, "dicom-seg").SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert "box=200:240 200:250 0:20" in made.AlgorithmParameters.split(",")


def test_it_names_the_segments_that_were_measured(case: Path, study: Study, exported: Callable) -> None:
    seg, report = exported(case, "dicom-sr", "dicom-seg").files
    made = srread(report)
    assert len(made.content.get_volumetric_roi_measurement_groups()) == 2
    named = [one for one in items(made) if one.ValueType == "IMAGE"]
    wanted = pydicom.dcmread(seg).SOPInstanceUID
    pointers = [one.ReferencedSOPSequence[0] for one in named]
    found = [(one.ReferencedSOPInstanceUID, one.ReferencedSegmentNumber) for one in pointers]
    assert found == [(wanted, 1), (wanted, 2)]
    evidence = made.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    instances = {sop.ReferencedSOPInstanceUID for series in evidence for sop in series.ReferencedSOPSequence}
    assert instances == {wanted, *(one.SOPInstanceUID for one in study.slices)}


def test_dcmqi_reads_it(case: Path, tmp_path: Path, exported: Callable) -> None:
    program = tool("tid1500reader")
    path, out = exported(case, "dicom-seg", "dicom-sr").files[-1], tmp_path / "read.json"
    subprocess.run(
        [program, "--inputDICOM", path, "--outputMetadata", out], check=True, capture_output=True, timeout=60
    )
    groups = json.loads(out.read_text())["Measurements"]
    assert [group["TrackingIdentifier"] for group in groups][1:] == ["left cap", "stripe"]
    assert [group["ReferencedSegment"] for group in groups[1:]] == [1, 2]


def test_validators_find_no_error_on_a_rejected_scan(study: Study, tmp_path: Path, exported: Callable) -> None:
    for path in exported(make_case(tmp_path / "predicted", study.folder, ood=REJECTED), "dicom-sr").files:
        validate(path)
