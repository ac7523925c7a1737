"""What is said of a scan that the model rejects, or that was looked at in part, in each object that leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from studies import COLUMNS, REJECTED, ROWS, SLICES, Study, make_case, validate

from medswin.figures import KeyImage
from medswin.io.cases import read_case
from medswin.prediction import OODResult
from medswin.review.case import ReviewCase
from medswin.review.dicom import identity
from medswin.review.dicom.captures import marked
from medswin.review.edited import EDITED

FORMATS = ("dicom-seg", "dicom-sr", "dicom-sc", "dicom-pdf", "rtstruct")
PART = ((0, COLUMNS - 1), (0, ROWS), (0, SLICES))


@pytest.fixture
def objects(study: Study, tmp_path: Path, exported: Callable) -> Callable[..., dict[str, Any]]:
    """``objects(ood=REJECTED)``: each object of a case by its format; all pass the validator."""

    def make(**of: Any) -> dict[str, Any]:
        case = make_case(tmp_path / "predicted", study.folder, **of)
        done = exported(case, *FORMATS)
        assert done.failed == ()
        for path in done.files:
            validate(path)
        return {path.stem.removeprefix(f"{done.case}_"): pydicom.dcmread(path) for path in done.files}

    return make


def texts(dataset: Any) -> list[str]:
    return [str(element.value) for element in dataset.iterall() if element.VR in ("LO", "ST", "UT")]


def test_each_object_of_a_rejected_scan_says_so(objects: Callable) -> None:
    found = objects(ood=REJECTED)
    for one in found.values():
        assert one.SeriesDescription.startswith("RESEARCH USE ONLY, REJECTED SCAN, do not use: ")
    seg, outlines = found["dicom-seg"], found["rtstruct"]
    assert seg.ContentDescription == "RESEARCH USE ONLY, REJECTED SCAN, do not use"
    advice = "Rejected: unlike the training scans. Do not use the outlines or volumes."
    assert seg.SegmentSequence[0].SegmentDescription == f"{advice} left cap"
    assert advice in outlines.StructureSetDescription
    assert all(advice in roi.ROIDescription for roi in outlines.StructureSetROISequence)
    assert advice in found["dicom-sc-01"].ImageComments
    assert "REJECTED SCAN" in found["dicom-pdf"].DocumentTitle


def test_nothing_of_the_kind_is_said_of_an_accepted_scan(objects: Callable) -> None:
    for one in objects().values():
        assert not [text for text in texts(one) if "reject" in text.lower() or "part of" in text]


def test_the_verdict_stands_in_the_picture(study: Study, tmp_path: Path) -> None:
    prediction = read_case(make_case(tmp_path / "predicted", study.folder, ood=REJECTED, region=PART))
    case = marked(ReviewCase(prediction, np.zeros(prediction.labels.shape)))
    assert case.prediction.case == f"REJECTED SCAN, do not use, part of scan only, {prediction.case}"


def test_pictures_are_drawn_of_the_marked_case(
    study: Study, tmp_path: Path, exported: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []

    def key_images(case: ReviewCase) -> list[KeyImage]:
        names.append(case.prediction.case)
        return [KeyImage(np.zeros((9, 9, 3), np.uint8), "words", (0, 0, 0))]

    monkeypatch.setattr("medswin.review.case.key_images", key_images)
    exported(make_case(tmp_path / "predicted", study.folder, ood=REJECTED), "dicom-sc")
    assert [name.startswith("REJECTED SCAN, do not use, ") for name in names] == [True]


def test_each_object_of_a_part_says_so(objects: Callable) -> None:
    found = objects(region=PART)
    assert found["dicom-seg"].ContentDescription == "RESEARCH USE ONLY, not for diagnosis; part of scan only"
    told = "Only a part of the scan was looked at, "
    assert told in found["dicom-seg"].SegmentSequence[0].SegmentDescription
    assert told in found["rtstruct"].StructureSetDescription
    assert told in found["dicom-sc-01"].ImageComments
    assert any(text.startswith(told) for text in texts(found["dicom-sr"]))


@pytest.mark.parametrize("verdict", ["review", "not checked"])
def test_other_verdicts_are_said_where_there_is_room(study: Study, tmp_path: Path, verdict: Any) -> None:
    prediction = read_case(make_case(tmp_path / "predicted", study.folder, ood=OODResult(verdict)))
    (told,) = identity.cautions(prediction)
    assert told.lower().startswith(verdict)


@pytest.mark.parametrize("part", [None, PART])
@pytest.mark.parametrize("ood", [REJECTED, OODResult("accept")])
def test_a_brief_is_never_cut_within_a_word(study: Study, tmp_path: Path, ood: OODResult, part: Any) -> None:
    prediction = read_case(make_case(tmp_path / "predicted", study.folder, ood=ood, region=part))
    prediction.provenance[EDITED] = True
    told = identity.brief(prediction)
    assert len(told) <= 64
    assert told.endswith("; edited by a person")
