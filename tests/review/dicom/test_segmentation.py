"""Segmentations: every voxel on its slice, read by three readers; names, codes and colours; the sources they name."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from studies import (
    AXIAL,
    ENHANCED,
    LABELS,
    OBLIQUE,
    SLICES,
    Study,
    as_frames,
    make_case,
    make_study,
    picture,
    sorted_cloud,
    tool,
    validate,
)

from medswin.labels import Label, LabelSet

MIRRORED = ((-1.0, 0.0, 0.0), (0.0, 0.0, -1.0))


def by_source(seg: Any) -> dict[tuple[str, int | None], np.ndarray]:
    """The label map slice by slice, each under the file and frame that its frames name; by pydicom alone."""
    found: dict[tuple[str, int | None], np.ndarray] = {}
    frames = seg.pixel_array.reshape(-1, seg.Rows, seg.Columns)
    for pixels, group in zip(frames, seg.PerFrameFunctionalGroupsSequence, strict=True):
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        key = (source.ReferencedSOPInstanceUID, source.get("ReferencedFrameNumber"))
        if seg.SegmentationType == "BINARY":
            where = group if "SegmentIdentificationSequence" in group else seg.SharedFunctionalGroupsSequence[0]
            pixels = pixels * where.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[key] = found.get(key, 0) + pixels
    return found


@pytest.mark.parametrize("labelmap", [False, True])
@pytest.mark.parametrize("axes", [AXIAL, OBLIQUE, MIRRORED])
def test_each_slice_holds_its_voxels(tmp_path: Path, dataset: Callable, axes: Any, labelmap: bool) -> None:
    study = make_study(tmp_path / "scan", axes)
    seg = dataset(make_case(tmp_path / "predicted", study.folder), "dicom-seg", labelmap=labelmap)
    found, labels = by_source(seg), picture()
    for k, one in enumerate(study.slices):
        pixels = found.pop((one.SOPInstanceUID, None), np.zeros((one.Rows, one.Columns)))
        np.testing.assert_array_equal(pixels, labels[..., k].T)
    assert found == {}


@pytest.mark.parametrize("labelmap", [False, True])
@pytest.mark.parametrize("axes", [AXIAL, OBLIQUE, MIRRORED])
def test_highdicom_finds_each_voxel_where_it_was(tmp_path: Path, exported: Callable, axes: Any, labelmap: bool) -> None:
    study = make_study(tmp_path / "scan", axes)
    (path,) = exported(make_case(tmp_path / "predicted", study.folder), "dicom-seg", labelmap=labelmap).files
    volume = highdicom.seg.segread(path).get_volume(combine_segments=True)
    for value in (1, 2):
        index = np.array(np.nonzero(volume.array == value))
        positions = (volume.affine @ [*index, np.ones(index.shape[1])])[:3]
        np.testing.assert_allclose(sorted_cloud(positions), study.cloud(picture(), value), atol=0.011)


@pytest.mark.parametrize("labelmap", [False, True])
@pytest.mark.parametrize("axes", [AXIAL, OBLIQUE])
def test_dcmqi_finds_each_voxel_where_it_was(tmp_path: Path, exported: Callable, axes: Any, labelmap: bool) -> None:
    program = tool("segimage2itkimage")
    study = make_study(tmp_path / "scan", axes)
    (path,) = exported(make_case(tmp_path / "predicted", study.folder), "dicom-seg", labelmap=labelmap).files
    read = tmp_path / "read"
    read.mkdir()
    words = [program, "--inputDICOM", path, "--outputDirectory", read, "--prefix", "s"]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    found: dict[int, list[np.ndarray]] = {1: [], 2: []}
    for file in read.glob("*.nrrd"):
        image = SimpleITK.ReadImage(file)
        array = SimpleITK.GetArrayFromImage(image)
        for value in np.unique(array[array > 0]).tolist():
            index = np.argwhere(array == value)[:, ::-1]
            found[value] += [np.array(image.TransformIndexToPhysicalPoint(one.tolist())) for one in index]
    for value, points in found.items():
        np.testing.assert_allclose(sorted_cloud(np.array(points).T), study.cloud(picture(), value), atol=0.011)


def test_frames_of_an_enhanced_file_are_named_by_their_numbers(study: Study, tmp_path: Path, dataset: Callable) -> None:
    scan = as_frames(study, tmp_path / "enhanced")
    seg = dataset(make_case(tmp_path / "predicted", scan), "dicom-seg")
    uid, labels, found = pydicom.dcmread(scan / "frames").SOPInstanceUID, picture(), by_source(seg)
    for number in range(1, SLICES + 1):
        k = (4 * (number - 1)) % SLICES
        if labels[..., k].any():
            np.testing.assert_array_equal(found.pop((uid, number)), labels[..., k].T)
    assert found == {}
    (named,) = seg.SourceImageSequence
    assert (named.ReferencedSOPClassUID, named.ReferencedSOPInstanceUID) == (ENHANCED, uid)


@pytest.mark.parametrize("formats", [("dicom-seg",), ("dicom-seg", "dicom-sr"), ("dicom-sr",), ("rtstruct",)])
@pytest.mark.parametrize("enhanced", [False, True])
def test_validators_find_no_error(
    study: Study, tmp_path: Path, exported: Callable, formats: tuple[str, ...], enhanced: bool
) -> None:
    scan = as_frames(study, tmp_path / "enhanced") if enhanced else study.folder
    for path in exported(make_case(tmp_path / "predicted", scan), *formats).files:
        validate(path)


def test_segments_say_what_they_are_and_what_made_them(case: Path, dataset: Callable) -> None:
    seg = dataset(case, "dicom-seg")
    cap, stripe, _ = seg.SegmentSequence
    kind = cap.SegmentedPropertyTypeCodeSequence[0]
    parts = [part.CodeMeaning for part in kind.SegmentedPropertyTypeModifierCodeSequence]
    assert (cap.SegmentLabel, kind.CodeValue, kind.CodingSchemeDesignator) == ("left cap", "5366008", "SCT")
    assert parts == ["Anterior", "Left"]
    assert stripe.SegmentedPropertyTypeCodeSequence[0].CodingSchemeDesignator == "99MEDSWIN"
    assert seg.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99MEDSWIN"
    made = cap.SegmentationAlgorithmIdentificationSequence[0]
    assert (cap.SegmentAlgorithmType, made.AlgorithmName, made.AlgorithmVersion) == ("AUTOMATIC", "shapes", "1.2.0")
    assert f"package={'ab' * 32}" in made.AlgorithmParameters
    assert seg.SeriesDescription.startswith("RESEARCH USE ONLY")
    assert len(seg.SeriesDescription) <= 64
    colours = [highdicom.color.CIELabColor.to_rgb(_colour(one)) for one in seg.SegmentSequence]
    assert colours == [label.color for label in LABELS]


def _colour(segment: Any) -> Any:
    made = highdicom.color.CIELabColor(0, 0, 0)
    made._value = tuple(segment.RecommendedDisplayCIELabValue)
    return made


HOSTILE = ["Größe\\β\x00\x07 \u202etxt", "x" * 200, "x" * 201, "\ud800lone", " \n ", "<b>^~|,=</b>"]


@pytest.mark.parametrize("labelmap", [False, True])
def test_hostile_names_are_cut_and_told_apart(study: Study, tmp_path: Path, exported: Callable, labelmap: bool) -> None:
    names = [name for name in HOSTILE if name != "\ud800lone"]  # which no case file can hold
    label_set = LabelSet(tuple(Label(i, name, (9, 9, 9)) for i, name in enumerate(names, start=1)))
    labels = picture()
    labels[0, 0, :3] = (3, 4, 5)
    case = make_case(tmp_path / "predicted", study.folder, labels, label_set)
    done = exported(case, "dicom-seg", "dicom-sr", "rtstruct", "seg-nrrd", labelmap=labelmap)
    assert done.failed == ()
    seg = pydicom.dcmread(done.files[0])
    told = [segment.SegmentLabel for segment in seg.SegmentSequence if segment.SegmentNumber]
    assert told[0] == "Größe/β txt"
    assert len(set(told)) == len(names)
    assert all(1 <= len(name) <= 64 for name in told)
    assert seg.SpecificCharacterSet == "ISO_IR 192"


def test_long_names_in_any_alphabet_fit_by_both_counts(study: Study, tmp_path: Path, exported: Callable) -> None:
    names = ("Ösophagus und Größeres " * 3, "海馬" * 30, "海馬" * 30 + "左")
    label_set = LabelSet(tuple(Label(i, name, (9, 9, 9)) for i, name in enumerate(names, start=1)))
    labels = picture()
    labels[0, 0, :3] = 3
    done = exported(
        make_case(tmp_path / "predicted", study.folder, labels, label_set), "dicom-seg", "dicom-sr", "rtstruct"
    )
    assert done.failed == ()
    for path in done.files:
        validate(path)
    assert len({one.SegmentLabel for one in pydicom.dcmread(done.files[0]).SegmentSequence}) == len(names)


@pytest.mark.parametrize("labelmap", [False, True])
def test_where_nothing_was_found_there_is_an_empty_segmentation(
    study: Study, tmp_path: Path, dataset: Callable, labelmap: bool
) -> None:
    seg = dataset(make_case(tmp_path / "predicted", study.folder, 0 * picture()), "dicom-seg", labelmap=labelmap)
    assert not seg.pixel_array.any()
    assert len(seg.SourceImageSequence) == SLICES


@pytest.mark.parametrize("labelmap", [False, True])
def test_one_slice_is_enough(study: Study, tmp_path: Path, dataset: Callable, labelmap: bool) -> None:
    labels = picture()
    labels[..., :4], labels[..., 5:] = 0, 0
    seg = dataset(make_case(tmp_path / "predicted", study.folder, labels), "dicom-seg", labelmap=labelmap)
    ((key, pixels),) = by_source(seg).items()
    assert key == (study.slices[4].SOPInstanceUID, None)
    np.testing.assert_array_equal(pixels, labels[..., 4].T)


def test_real_series_are_read_back(data_dir: Path, tmp_path: Path, exported: Callable) -> None:
    """The slices of a double-oblique scan differ in direction by 1e-7."""
    rng = np.random.default_rng(0)
    labels = (rng.random((512, 512, 22)) < 0.3).astype(np.uint8) * rng.integers(1, 4, (512, 512, 22), dtype=np.uint8)
    case = make_case(tmp_path / "predicted", data_dir / "dicom" / "mr_t1post_oblique", labels)
    for labelmap in (False, True):
        done = exported(case, "dicom-seg", labelmap=labelmap)
        assert done.failed == ()
        array = highdicom.seg.segread(done.files[0]).get_volume(combine_segments=True).array
        stored = labels.transpose(2, 1, 0)
        assert any(np.array_equal(array, one) for one in (stored, stored[::-1]))


def test_a_wrong_file_is_not_let_through(case: Path, study: Study, tmp_path: Path) -> None:
    """What is checked after writing is checked: one voxel, one slice."""
    from medswin.errors import InputError
    from medswin.io.cases import described_case, read_case
    from medswin.io.reopen import reopened
    from medswin.review.dicom.check import check_segmentation
    from medswin.review.dicom.reference import referenced
    from medswin.review.dicom.segmentation import segmentation

    prediction = read_case(case)
    with reopened(case.parent, described_case(case) or {}) as source:
        reference = referenced(prediction, source)
    path = tmp_path / "seg.dcm"
    seg = segmentation(prediction, reference)
    seg.save_as(path)
    check_segmentation(path, prediction, reference, "seg")
    prediction.labels[0, 0, 0] = 1
    with pytest.raises(InputError, match="1 voxels have another value"):
        check_segmentation(path, prediction, reference, "seg")
    prediction.labels[0, 0, 0] = 0
    seg.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient[0] += 0.01
    seg.save_as(path)
    with pytest.raises(InputError, match=r"frame 1 lies 0\.01 mm off its slice"):
        check_segmentation(path, prediction, reference, "seg")


def test_the_case_file_stays_as_it_was(case: Path, exported: Callable) -> None:
    before = case.read_bytes()
    exported(case, "dicom-seg")
    assert case.read_bytes() == before
    assert json.loads(before)["case"] == case.stem
