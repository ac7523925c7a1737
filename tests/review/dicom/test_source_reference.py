"""What exports refer to: identifiers, made up on request alone; scans that no object can refer to; discretion."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID
from studies import BORN, CANARY, NUMBER, OBLIQUE, REJECTED, SLICES, Study, make_case, make_study, validate

from medswin.findings import Finding
from medswin.review.export import Exported

DICOM = ("dicom-seg", "dicom-sr", "dicom-sc", "dicom-pdf", "rtstruct")
EMPTY = {"StudyInstanceUID": "", "SeriesInstanceUID": "", "SOPInstanceUID": "", "FrameOfReferenceUID": None}


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"])
@pytest.mark.parametrize("value", ["", None, "1.2.three"])
def test_scans_without_valid_identifiers_are_refused(
    tmp_path: Path, exported: Callable[..., Exported], tag: str, value: str | None
) -> None:
    study = make_study(tmp_path / "scan", **{tag: lambda k: value})
    done = exported(make_case(tmp_path / "predicted", study.folder), "dicom-seg", "rtstruct", "nifti")
    (reason,) = done.failed
    assert f"no valid {tag}" in reason
    assert "--repair-uids" in reason
    assert [path.name for path in done.files] == [f"{done.case}.nii.gz"]


def test_slices_of_one_name_are_refused(tmp_path: Path, exported: Callable[..., Exported]) -> None:
    study = make_study(tmp_path / "scan", SOPInstanceUID="1.2.3")
    (reason,) = exported(make_case(tmp_path / "predicted", study.folder), "dicom-seg").failed
    assert "SOPInstanceUID of its own in each file" in reason


def test_slices_of_two_frames_of_reference_are_refused(tmp_path: Path, exported: Callable[..., Exported]) -> None:
    study = make_study(tmp_path / "scan", FrameOfReferenceUID=lambda k: f"1.2.{3 + k % 2}")
    case = make_case(tmp_path / "predicted", study.folder)
    for repair in (False, True):
        (reason,) = exported(case, "dicom-seg", repair_uids=repair).failed
        assert "2 different FrameOfReferenceUID" in reason


def test_identifiers_are_made_up_the_same_each_time(tmp_path: Path, exported: Callable[..., Exported]) -> None:
    study = make_study(tmp_path / "scan", OBLIQUE, **EMPTY)
    case = make_case(tmp_path / "predicted", study.folder)
    names = []
    for _ in range(2):
        done = exported(case, "dicom-seg", "rtstruct", repair_uids=True)
        assert done.failed == ()
        assert "SeriesInstanceUID was made up" in done.notes[0]
        assert f"{SLICES - 3} SOPInstanceUID were taken from the header of the file" in done.notes[0]
        assert "3 SOPInstanceUID were made up" in done.notes[0]
        seg, outlines = map(pydicom.dcmread, done.files)
        sources = [one.ReferencedSOPInstanceUID for one in seg.SourceImageSequence]
        series = seg.ReferencedSeriesSequence[0].SeriesInstanceUID
        assert len(set(sources)) == SLICES
        assert seg.StudyInstanceUID == outlines.StudyInstanceUID
        assert seg.FrameOfReferenceUID == outlines.FrameOfReferenceUID
        names.append([seg.StudyInstanceUID, series, seg.FrameOfReferenceUID, *sources])
    assert names[0] == names[1]
    assert all(UID(one).is_valid for one in names[0])


def test_two_series_of_one_examination_get_one_study(tmp_path: Path, dataset: Callable) -> None:
    made = []
    for name, patient in (("a", "one"), ("b", "one"), ("c", "two")):
        study = make_study(tmp_path / name, StudyInstanceUID="", PatientID=patient)
        made.append(dataset(make_case(tmp_path / "predicted", study.folder), "dicom-seg", repair_uids=True))
    assert made[0].StudyInstanceUID == made[1].StudyInstanceUID != made[2].StudyInstanceUID


def test_jitter_of_directions_is_evened_out_and_more_is_refused(
    tmp_path: Path, exported: Callable[..., Exported]
) -> None:
    for jitter, good in ((9e-5, True), (4e-4, False)):
        turned = make_study(
            tmp_path / f"scan{good}", ImageOrientationPatient=lambda k, by=jitter: [1, by * (k % 2), 0, 0, 1, 0]
        )
        done = exported(make_case(tmp_path / f"predicted{good}", turned.folder), "dicom-seg")
        assert bool(done.files) is good
        if not good:
            assert "the directions of its slices differ by 0.0004" in done.failed[0]


def test_positions_off_the_even_grid_are_kept(tmp_path: Path, dataset: Callable) -> None:
    study = make_study(tmp_path / "scan", ImagePositionPatient=lambda k: [0.004 * (-1) ** k, 0, 2.5 * k])
    seg = dataset(make_case(tmp_path / "predicted", study.folder), "dicom-seg")
    origin = {one.SOPInstanceUID: list(one.ImagePositionPatient) for one in study.slices}
    for group in seg.PerFrameFunctionalGroupsSequence:
        named = group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        np.testing.assert_allclose(group.PlanePositionSequence[0].ImagePositionPatient, origin[named], atol=1e-6)


def test_a_resampled_scan_is_refused(study: Study, tmp_path: Path, exported: Callable[..., Exported]) -> None:
    tilt = Finding("gantry-tilt", "warn", "Its slices were tilted.")
    done = exported(make_case(tmp_path / "predicted", study.folder, findings=(tilt,)), *DICOM, "seg-nrrd")
    (reason,) = done.failed
    assert "resampled onto a straight grid" in reason
    assert [path.name for path in done.files] == [f"{done.case}.seg.nrrd"]


def test_objects_belong_to_the_study_and_nothing_else_names_the_patient(
    study: Study, tmp_path: Path, exported: Callable[..., Exported], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    done = exported(make_case(tmp_path / "predicted", study.folder, ood=REJECTED), *DICOM, "nifti", "seg-nrrd")
    assert done.failed == ()
    for path in done.files:
        assert path.name.startswith(done.case)
        if path.suffix != ".dcm":
            assert CANARY.encode() not in path.read_bytes()
            continue
        made = pydicom.dcmread(path)
        assert (made.PatientName, made.PatientID, made.PatientBirthDate) == (CANARY, NUMBER, BORN)
        assert (made.StudyInstanceUID, made.AccessionNumber) == (study.slices[0].StudyInstanceUID, NUMBER)
        assert made.SpecificCharacterSet == "ISO_IR 192"
    said = [caplog.text, *done.notes, *map(str, done.files)]
    assert [word for word in ("Muster", NUMBER, BORN) for text in said if word in text] == []


def test_what_a_scan_says_several_times_stays_a_list_where_there_may_be_one(
    tmp_path: Path, exported: Callable[..., Exported]
) -> None:
    study = make_study(tmp_path / "scan", OtherPatientIDs=["A", "B"], StudyID="1\\2", AccessionNumber="3\\4")
    done = exported(make_case(tmp_path / "predicted", study.folder), *DICOM)
    assert done.failed == ()
    for path in done.files:
        made = pydicom.dcmread(path)
        assert list(made.OtherPatientIDs) == ["A", "B"]
        assert (made.StudyID, made.AccessionNumber, made.PatientID) == ("", "", NUMBER)
        validate(path)


@pytest.mark.parametrize(
    ("patient", "wrong"), [("x\\y", "holds a backslash"), ("x" * 65, "is longer than 64 characters")]
)
def test_a_patient_id_that_no_object_may_have_is_refused(
    tmp_path: Path, exported: Callable[..., Exported], patient: str, wrong: str
) -> None:
    study = make_study(tmp_path / "scan", PatientID=patient)
    done = exported(make_case(tmp_path / "predicted", study.folder), *DICOM, "nifti")
    (reason,) = done.failed
    assert f"PatientID of its files {wrong}" in reason
    assert "Repair: correct PatientID in the archive" in reason
    assert patient not in reason
    assert [path.name for path in done.files] == [f"{done.case}.nii.gz"]


def test_what_a_scan_lacks_or_says_wrongly_is_left_empty(tmp_path: Path, exported: Callable[..., Exported]) -> None:
    wrong = {"PatientBirthDate": "Muster", "PatientSex": "Muster", "StudyTime": "now", "PatientAge": "old"}
    lacking = dict.fromkeys(("PatientName", "StudyID", "AccessionNumber", "ReferringPhysicianName", "StudyDate"))
    study = make_study(tmp_path / "scan", **wrong, **lacking)
    done = exported(make_case(tmp_path / "predicted", study.folder), *DICOM)
    assert done.failed == ()
    for path in done.files:
        made = pydicom.dcmread(path)
        for tag in {**wrong, **lacking}.keys() - {"PatientAge"}:
            assert not made[tag].value, tag
        assert "PatientAge" not in made
        validate(path)


def test_a_name_with_several_groups_and_values_stays_one(tmp_path: Path, dataset: Callable) -> None:
    name = "Yamada^Tarou=山田^太郎=やまだ^たろう"
    study = make_study(tmp_path / "scan", SpecificCharacterSet="ISO_IR 192", PatientName=name)
    assert dataset(make_case(tmp_path / "predicted", study.folder), "dicom-seg").PatientName == name


def test_a_scan_that_moved_is_found_again_and_another_is_not(
    study: Study, case: Path, tmp_path: Path, exported: Callable[..., Exported]
) -> None:
    moved = tmp_path / "moved"
    study.folder.rename(moved)
    assert "--source" in exported(case, "dicom-seg").failed[0]
    assert exported(case, "dicom-seg", source=moved).failed == ()
    (moved / "00").write_bytes((moved / "00").read_bytes()[:-2] + b"\1\1")
    assert "none of the files there is the scan" in exported(case, "dicom-seg", source=moved).failed[0]
