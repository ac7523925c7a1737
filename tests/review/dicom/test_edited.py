"""Label maps that a person changed: found on their grid in any storage order, and exported as successors."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import SimpleITK
from studies import REJECTED, Study, make_case, picture, validate

from medswin.io.cases import read_case
from medswin.prediction import OODResult
from medswin.review.export import Exported


def changed() -> np.ndarray:
    labels = picture()
    labels[0:3, 8:10, 5] = 3
    return labels


def save(path: Path, labels: np.ndarray, affine: np.ndarray, orientation: str | None = None) -> Path:
    image = nibabel.Nifti1Image(labels, affine)
    if orientation:
        image = image.as_reoriented(
            nibabel.orientations.ornt_transform(
                nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(orientation)
            )
        )
    nibabel.save(image, path)
    return path


def voxels(path: Path) -> int:
    return int(pydicom.dcmread(path).pixel_array.sum())


@pytest.mark.parametrize("orientation", [None, "RAS", "PIL", "SAR"])
def test_it_is_put_back_onto_its_slices(
    case: Path, tmp_path: Path, exported: Callable[..., Exported], orientation: str | None
) -> None:
    """What is written is compared with the label map voxel by voxel, so that it is written at all says it is right."""
    path = save(tmp_path / "e.nii.gz", changed(), read_case(case).affine, orientation)
    done = exported(case, "nifti", "dicom-seg", edited=path)
    assert done.failed == ()
    back = nibabel.load(done.files[-1])
    np.testing.assert_array_equal(np.asarray(back.dataobj), changed())
    np.testing.assert_allclose(back.affine, read_case(case).affine, atol=1e-4)


def test_it_names_its_predecessor_which_stays(case: Path, tmp_path: Path, exported: Callable[..., Exported]) -> None:
    (first,) = exported(case, "dicom-seg").files
    before = first.read_bytes()
    path = save(tmp_path / "e.nii.gz", changed(), read_case(case).affine)
    (second,) = exported(case, "dicom-seg", edited=path).files
    old, new = pydicom.dcmread(first), pydicom.dcmread(second)
    assert first.read_bytes() == before
    assert {one.SegmentAlgorithmType for one in new.SegmentSequence} == {"SEMIAUTOMATIC"}
    assert {one.SegmentAlgorithmType for one in old.SegmentSequence} == {"AUTOMATIC"}
    named = new.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert named.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID != new.SOPInstanceUID
    assert new.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == old.SOPInstanceUID
    assert "edited" in new.SeriesDescription
    assert voxels(second) == voxels(first) + 6


def test_a_predecessor_that_is_missing_or_stale_is_written(
    study: Study, tmp_path: Path, exported: Callable[..., Exported]
) -> None:
    case = make_case(tmp_path / "predicted", study.folder)
    path = save(tmp_path / "e.nii.gz", changed(), read_case(case).affine)
    first, _ = exported(case, "dicom-seg", edited=path).files
    assert len(exported(case, "dicom-seg", edited=path).files) == 1
    old = pydicom.dcmread(first).SOPInstanceUID
    labels = picture()
    labels[5, 5, 5] = 2
    make_case(tmp_path / "predicted", study.folder, labels)  # predicted anew
    again, second = exported(case, "dicom-seg", edited=path).files
    assert again == first
    assert pydicom.dcmread(again).SOPInstanceUID != old
    assert pydicom.dcmread(second).ReferencedInstanceSequence[0].ReferencedSOPInstanceUID != old


def test_volumes_are_those_of_the_edited_label_map(
    study: Study, tmp_path: Path, exported: Callable[..., Exported]
) -> None:
    case = make_case(tmp_path / "predicted", study.folder, ood=REJECTED)
    path = save(tmp_path / "e.nii.gz", changed(), read_case(case).affine)
    done = exported(case, "dicom-sr", "rtstruct", edited=path)
    report, outlines = map(pydicom.dcmread, done.files)
    texts = [element.value for element in report.iterall() if element.keyword == "TextValue"]
    assert any(text.startswith("Edited by a person") for text in texts)
    assert not any(text.startswith("Not found") for text in texts)  # the third structure was drawn in
    assert {roi.ROIGenerationAlgorithm for roi in outlines.StructureSetROISequence} == {"SEMIAUTOMATIC"}
    assert all("_edited_" in path.name for path in done.files)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("same", "changes nothing"),
        ("moved", "its voxels are not those of its case"),
        ("coarse", "voxels, its case"),
        ("value", "holds the values 7"),
        ("missing", "no such file"),
        ("text", "NIfTI"),
        ("nan", "not whole numbers"),
    ],
)
def test_what_cannot_be_is_refused(
    case: Path, tmp_path: Path, exported: Callable[..., Exported], fault: str, said: str
) -> None:
    path, labels, affine = tmp_path / "e.nii.gz", changed(), read_case(case).affine.copy()
    if fault == "moved":
        affine[0, 3] += 0.4
    labels = {"same": picture(), "coarse": labels[::2]}.get(fault, labels)
    if fault == "value":
        labels[0, 0, 0] = 7
    if fault == "nan":
        labels = np.where(labels == 3, np.nan, labels)
    save(path, labels, affine)
    if fault == "missing":
        path.unlink()
    if fault == "text":
        path.write_text("no scan")
    done = exported(case, "dicom-seg", "nifti", edited=path)
    assert done.files == ()
    assert said in done.failed[0]


def review(case: Path, folder: Path, answers: tuple[str, str, str], edited: str | None) -> Path:
    """The file that a review page saves."""
    described, prediction = json.loads(case.read_text()), read_case(case)
    values = {
        "review_version": 1,
        "case": prediction.case,
        "package": prediction.provenance["package"],
        "model": prediction.provenance["model"],
        "input_sha256": prediction.provenance["input_sha256"],
        "labels_sha256": described["labels_sha256"],
        "shape": list(prediction.labels.shape),
        "affine": prediction.affine.tolist(),
        "structures": [{"value": label.value, "name": label.name} for label in prediction.label_set],
        "verdict": prediction.ood.verdict,
        "reviewer": "r1",
        "finished": "2026-01-02T03:04:05Z",
        "seconds": 12.5,
        "answers": [
            {"value": i, "answer": answer, "reason": "", "text": ""} for i, answer in enumerate(answers, start=1)
        ],
        "edited": {"file": edited, "voxels_changed": 6} if edited else None,
    }
    path = folder / "review.json"
    path.write_text(json.dumps(values))
    return path


def test_a_review_names_the_edited_label_map(case: Path, tmp_path: Path, exported: Callable[..., Exported]) -> None:
    save(tmp_path / "e.nii.gz", changed(), read_case(case).affine)
    path = review(case, tmp_path, ("accept", "accept", "edit"), "e.nii.gz")
    done = exported(case, "nifti", edited=path)
    assert done.failed == ()
    np.testing.assert_array_equal(np.asarray(nibabel.load(done.files[0]).dataobj), changed())


def test_what_a_review_rejects_is_left_out(case: Path, tmp_path: Path, exported: Callable[..., Exported]) -> None:
    done = exported(case, "nifti", edited=review(case, tmp_path, ("accept", "reject", "accept"), None))
    found = np.asarray(nibabel.load(done.files[0]).dataobj)
    np.testing.assert_array_equal(found, np.where(picture() == 2, 0, picture()))


@pytest.mark.parametrize("labelmap", [False, True])
def test_a_segment_that_a_review_rejects_is_left_out(
    case: Path, tmp_path: Path, exported: Callable[..., Exported], labelmap: bool
) -> None:
    path = review(case, tmp_path, ("reject", "accept", "accept"), None)
    done = exported(case, "dicom-seg", "dicom-sr", edited=path, labelmap=labelmap)
    assert done.failed == ()
    seg, report = map(pydicom.dcmread, done.files[-2:])
    kept = [(one.SegmentNumber, one.SegmentLabel) for one in seg.SegmentSequence if one.SegmentNumber]
    assert kept == [(1, "stripe"), (2, "nowhere")]
    assert int((seg.pixel_array == 1).sum()) == int((picture() == 2).sum())
    named = [element.value for element in report.iterall() if element.keyword == "ReferencedSegmentNumber"]
    assert named == [1]
    if not labelmap:
        for made in done.files:
            validate(made)


def test_a_rejected_structure_is_no_segment_of_slicer_either(
    case: Path, tmp_path: Path, exported: Callable[..., Exported]
) -> None:
    path = review(case, tmp_path, ("reject", "accept", "accept"), None)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(exported(case, "seg-nrrd", edited=path).files[-1]))
    reader.ReadImageInformation()
    told = {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys() if key.startswith("Segment")}
    assert (told["Segment0_Name"], told["Segment0_LabelValue"]) == ("stripe", "2")
    assert (told["Segment1_Name"], told["Segment1_LabelValue"]) == ("nowhere", "3")
    assert not [key for key in told if key.startswith("Segment2_")]


def test_where_a_review_rejects_all_there_is_no_segmentation(
    case: Path, tmp_path: Path, exported: Callable[..., Exported]
) -> None:
    done = exported(case, "dicom-seg", edited=review(case, tmp_path, ("reject", "reject", "reject"), None))
    assert "the review rejects all its structures" in done.failed[0]
    assert list((tmp_path / "out").iterdir()) == []


def pdf_words(document: bytes) -> str:
    told = subprocess.run(["pdftotext", "-layout", "-", "-"], input=document, capture_output=True, check=True)
    return told.stdout.decode()


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="needs pdftotext: apt-get install poppler-utils")
def test_what_a_review_rejects_has_no_volume_and_is_not_said_to_be_missing(
    study: Study, tmp_path: Path, exported: Callable[..., Exported]
) -> None:
    """Nor is a Dice expected of outlines that are no longer the model's."""
    case = make_case(tmp_path / "predicted", study.folder, ood=OODResult("accept", expected_dice=(0.9, 0.8, 0.95)))
    second = read_case(case).label_set.names[1]
    path = review(case, tmp_path, ("accept", "reject", "accept"), None)
    done = exported(case, "dicom-sr", "dicom-pdf", edited=path)
    assert done.failed == ()
    report, document = map(pydicom.dcmread, done.files)
    texts = [element.value for element in report.iterall() if element.keyword == "TextValue"]
    assert f"Rejected by the reviewer, no volume: {second}" in texts
    assert not [text for text in texts if text.startswith("Not found") and second in text]
    printed = pdf_words(document.EncapsulatedDocument)
    assert "Edited by a person" in printed
    assert "rejected by the reviewer: no volume" in printed
    assert not [text for text in (*texts, printed) if "Expected Dice" in text]


def test_a_review_of_another_label_map_is_refused(
    study: Study, case: Path, tmp_path: Path, exported: Callable[..., Exported]
) -> None:
    path = review(case, tmp_path, ("reject", "accept", "accept"), None)
    labels = picture()
    labels[5, 5, 5] = 2
    make_case(case.parent, study.folder, labels)
    assert "another case or label map" in exported(case, "nifti", edited=path).failed[0]
