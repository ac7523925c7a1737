"""DICOM in, label maps out: what is written lies on the source's voxels, and tells nothing of the patient."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_fakes import CANARY, series
from inference_fakes import threshold_model
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from robust_fakes import plain

from medswin.errors import InputError
from medswin.inference import Predictor, predict_folder
from medswin.inference.schedule import in_processes
from medswin.io.reopen import reopened
from medswin.io.selection import Rule
from medswin.io.sources import Reading


def block(start: int = 3) -> np.ndarray:
    image = np.zeros((10, 12, 8))
    image[start : start + 2, 5:9, 2:4] = 1
    return image


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(replace(threshold_model(spacing_mm=None), series=(Rule(modality=("MR",), min_slices=4),)))


def written(out: Path) -> str:
    """All that lies in the folder, but for what is for its owner's eyes only."""
    files = [path for path in out.rglob("*") if path.is_file() and ".private" not in path.parts]
    return "\n".join(f"{path.name}\n{path.read_bytes().decode('latin-1')}" for path in files)


def test_labels_lie_where_the_slices_say(tmp_path: Path, predictor: Predictor) -> None:
    """Voxel (3, 5, 2) of an LPS grid from (10, 20, 30) is at (-13, -25, 34) in RAS."""
    series(tmp_path / "tree" / "a" / "b", block(), study=generate_uid(), origin=(10.0, 20.0, 30.0))
    result = predict_folder(predictor, tmp_path / "tree", tmp_path / "out")
    (case,) = result.done
    found = nibabel.load(tmp_path / "out" / f"{case.case}.nii.gz")
    places = np.argwhere(np.asarray(found.dataobj) > 0)
    mm = places @ found.affine[:3, :3].T + found.affine[:3, 3]
    assert (len(places), mm[0].tolist()) == (16, [-13.0, -25.0, 34.0])
    assert case.case.startswith("series-")
    told = json.loads((tmp_path / "out" / f"{case.case}.json").read_text())["statistics"]["structures"][0]
    assert told["centroid_mm"] == pytest.approx([-13.5, -26.5, 35.0])
    assert (told["voxels"], told["volume_ml"], told["components"]) == (16, 0.032, 1)


def test_nothing_that_is_written_or_said_tells_of_the_patient(
    tmp_path: Path, predictor: Predictor, capfd: pytest.CaptureFixture[str]
) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    series(tree / "good", block(), study=generate_uid())
    series(tree / "short", block()[..., :2], study=generate_uid())
    series(tree / "gap", block(), study=generate_uid())
    next((tree / "gap").glob("21-*")).unlink()
    series(tree / "odd", block(), study=generate_uid(), PatientBirthDate="Canary")
    broken = next((tree / "odd").iterdir())
    broken.write_bytes(broken.read_bytes()[:-50])
    result = predict_folder(predictor, tree, out)
    assert [len(result.done), len(result.failed), len(result.skipped)] == [1, 2, 1]
    said = written(out) + "".join(capfd.readouterr()) + "".join(one.reason for one in result.failed)
    uids = {str(pydicom.dcmread(path, force=True).get("SeriesInstanceUID", "?")) for path in tree.glob("*/*")}
    for secret in ("canary", "19010203", "19990807", str(tree), *uids):
        assert secret.lower() not in said.lower()
    kept = json.loads((out / ".private" / "sources.json").read_text())
    assert set(kept) == {one.case for one in (*result.done, *result.failed)} | set(dict(result.skipped))
    assert {oct(path.stat().st_mode)[-3:] for path in (out / ".private").glob("*s*on")} == {"600"}
    assert oct((out / ".private").stat().st_mode)[-3:] == "700"


def test_series_that_are_not_for_the_model_are_left_out_and_told(tmp_path: Path, predictor: Predictor) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    series(tree / "a", block(), study=generate_uid())
    series(tree / "b", block(), study=generate_uid(), Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    result = predict_folder(predictor, tree, out)
    assert [why for _, why in result.skipped] == ["CT, the model takes MR"]
    assert f"left out {result.skipped[0][0]}: CT, the model takes MR" in (out / "run.log").read_text()
    assert "axial; fits the model's rule: MR, 4 or more slices\n" in (out / "run.log").read_text()
    assert len(predict_folder(predictor, tree, out, all_series=True).done) == 2
    assert "axial; taken by --all-series, though CT, the model takes MR\n" in (out / "run.log").read_text()


def test_a_zip_is_a_tree_too_and_leaves_nothing_behind(tmp_path: Path, predictor: Predictor) -> None:
    series(tmp_path / "tree" / "study" / "a", block(), study=generate_uid())
    zipped = shutil.make_archive(str(tmp_path / "night"), "zip", tmp_path / "tree")
    result = predict_folder(predictor, zipped, tmp_path / "out")
    assert len(result.done) == 1
    assert sorted(path.name for path in (tmp_path / "out" / ".private").iterdir()) == ["key", "lock", "sources.json"]
    again = predict_folder(predictor, zipped, tmp_path / "out")
    assert [case.resumed for case in again.done] == [True]


def test_a_study_makes_one_case_of_several_channels(tmp_path: Path) -> None:
    """The second channel has slices of 1 mm; at its place the first one's block is what counts."""
    rules = (Rule(description=("t1*",)), Rule(description=("t2*",)))
    predictor = Predictor(replace(threshold_model(("T1", "T2"), spacing_mm=None), series=rules))
    study, tree = generate_uid(), tmp_path / "tree"
    series(tree / "one", block(), study=study)
    series(tree / "two", np.repeat(block(6), 2, 2), study=study, step=1.0, SeriesDescription="T2 flair")
    series(tree / "alone", block(), study=generate_uid())
    result = predict_folder(predictor, tree, tmp_path / "out")
    (case,) = result.done
    assert case.case.startswith("study-")
    assert "0 of its series fit the model's rule for channel T2, one must" in result.failed[0].reason
    assert any("T2" in finding.message for finding in case.findings)
    log = (tmp_path / "out" / "run.log").read_text()
    for name in ("T1", "T2"):
        assert f"fits the model's rule for channel {name}: description {name.lower()}*\n" in log
    assert nibabel.load(tmp_path / "out" / f"{case.case}.nii.gz").get_fdata().sum() == 16


def test_what_others_say_of_a_dicom_case_is_not_quoted(tmp_path: Path, predictor: Predictor, monkeypatch) -> None:
    series(tmp_path / CANARY, block(), study=generate_uid())

    def fail(*_: object) -> None:
        raise ValueError(f"cannot read {CANARY}")

    monkeypatch.setattr(predictor, "predict", fail)
    (failed,) = predict_folder(predictor, tmp_path / CANARY, tmp_path / "out").failed
    assert failed.reason == (
        f"{failed.case}: unexpected ValueError. Repair: add --debug to see where, on a screen that only you see"
    )


def test_a_tilted_series_is_straightened_when_told_and_done_again_then(tmp_path: Path, predictor: Predictor) -> None:
    study = generate_uid()
    series(tmp_path / "tree" / "a", block(), study=study, tilt=0.5)
    (failed,) = predict_folder(predictor, tmp_path / "tree", tmp_path / "out").failed
    assert "--resample-tilt" in failed.reason
    straight = Reading(resample_tilt=True)
    (done,) = predict_folder(predictor, tmp_path / "tree", tmp_path / "out", reading=straight).done
    assert [finding.code for finding in done.findings] == ["gantry-tilt"]
    assert '"resample_tilt": true' in (tmp_path / "out" / "run.log").read_text()
    labels = nibabel.load(tmp_path / "out" / f"{done.case}.nii.gz")
    described = json.loads((tmp_path / "out" / f"{done.case}.json").read_text())
    with reopened(tmp_path / "out", described) as found:
        assert found.read().shape == labels.shape
    (again,) = predict_folder(predictor, tmp_path / "tree", tmp_path / "out", reading=straight).done
    assert again.resumed
    (failed,) = predict_folder(predictor, tmp_path / "tree", tmp_path / "out").failed
    assert not (tmp_path / "out" / f"{done.case}.json").exists()


def test_workers_straighten_a_tilted_series_too(tmp_path: Path) -> None:
    series(tmp_path / "tree" / "a", block(), study=generate_uid(), tilt=0.5)
    told = {"reading": Reading(resample_tilt=True), "schedule": in_processes(plain, 1)}
    (done,) = predict_folder(plain(), tmp_path / "tree", tmp_path / "out", **told).done
    assert [finding.code for finding in done.findings] == ["gantry-tilt"]


def test_pet_is_read_as_suv_when_told(tmp_path: Path, predictor: Predictor) -> None:
    """After a half-life 35 MBq are left, 500 Bq/g in 70 kg: 100 Bq/ml are a SUV of 0.2, which is not above 0.5."""
    dose = Dataset()
    dose.RadionuclideTotalDose, dose.RadionuclideHalfLife = 70e6, 6600.0
    dose.RadiopharmaceuticalStartTime = "080000"
    tags = {
        "Modality": "PT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Units": "BQML", "DecayCorrection": "START",
        "CorrectedImage": ["ATTN", "DECY"], "PatientWeight": 70.0, "SeriesTime": "095000", "AcquisitionTime": "095000",
        "SeriesDate": "20200101", "AcquisitionDate": "20200101", "RescaleSlope": 100.0, "RescaleIntercept": 0.0,
        "RadiopharmaceuticalInformationSequence": [dose],
    }  # fmt: skip
    series(tmp_path / "pet", block(), study=generate_uid(), **tags)
    (plain,) = predict_folder(predictor, tmp_path / "pet", tmp_path / "out", all_series=True).done
    assert plain.volumes_ml["bright"] == pytest.approx(0.032)
    told = {"all_series": True, "reading": Reading(suv=True)}
    (suv,) = predict_folder(predictor, tmp_path / "pet", tmp_path / "out", **told).done
    assert not suv.resumed
    assert [finding.code for finding in suv.findings][-1:] == ["suv"]
    assert suv.volumes_ml["bright"] == 0.0


def test_files_that_are_damaged_beyond_telling_are_reported(tmp_path: Path, predictor: Predictor) -> None:
    series(tmp_path / "tree" / "a", block(), study=generate_uid())
    series(tmp_path / "tree" / "b", block(), study=generate_uid())
    for path in (tmp_path / "tree" / "b").iterdir():
        path.write_bytes(path.read_bytes()[:450])
    result = predict_folder(predictor, tmp_path / "tree", tmp_path / "out")
    assert len(result.done) == 1
    (broken,) = result.failed
    assert "8 DICOM file(s) in it are damaged" in broken.reason
    entries = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [one["state"] for one in entries if one["case"] == broken.case] == ["failed"]
    kept = json.loads((tmp_path / "out" / ".private" / "sources.json").read_text())
    assert kept[broken.case]["files"] == [str(tmp_path / "tree" / "b")]
    assert "tree" not in broken.reason


def test_what_is_no_case_of_a_tree_is_told(tmp_path: Path, predictor: Predictor) -> None:
    """Images and zips in the folders below, slices alone, links, and folders that cannot be opened."""
    tree, out = tmp_path / "tree", tmp_path / "out"
    series(tree / "a", block(), study=generate_uid())
    (tree / "b").mkdir()
    nibabel.save(nibabel.Nifti1Image(np.ones((6, 6, 6), np.float32), np.eye(4)), tree / "b" / "jane.nii.gz")
    shutil.make_archive(str(tree / "c"), "zip", tree / "a")
    series(tmp_path / "far", block(), study=generate_uid())
    (tree / "linked").symlink_to(tmp_path / "far")
    (tree / "a" / "loop").symlink_to(tree)
    (tree / "one").mkdir()
    series(tmp_path / "alone", block(), study=generate_uid())
    shutil.copy(min((tmp_path / "alone").iterdir()), tree / "one")
    result = predict_folder(predictor, tree, out)
    assert (len(result.done), result.failed) == (2, ())
    entries = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert sorted(one["reason"] for one in entries if one["state"] == "skipped") == [
        "a slice alone, which is no volume", "a zip in a folder: name it alone",
        "an image in a folder below: name that folder",
    ]  # fmt: skip
    assert b"jane" not in (out / "manifest.jsonl").read_bytes() + (out / "run.log").read_bytes()
    shutil.rmtree(tree / "a")
    (tree / "linked").unlink()
    shutil.rmtree(tree / "one")
    with pytest.raises(InputError, match=r"but 2 image\(s\) or zip\(s\) in the folders below"):
        predict_folder(predictor, tree, tmp_path / "other")


def test_no_folder_of_a_failed_scan_is_kept(tmp_path: Path, predictor: Predictor) -> None:
    """It may be called like the patient."""
    folder, out = tmp_path / "Hans Muster", tmp_path / "out"
    folder.mkdir()
    (folder / "x.nii.gz").write_bytes(b"cut short")
    (failed,) = predict_folder(predictor, folder, out).failed
    assert str(folder) in failed.reason  # for whoever typed it
    kept = [path for path in out.rglob("*") if path.is_file() and ".private" not in path.parts]
    assert {"manifest.jsonl", "run.log", "summary.csv"} <= {path.name for path in kept}
    assert not [path.name for path in kept if b"Muster" in path.read_bytes()]
    assert b"x.nii.gz: " in (out / "manifest.jsonl").read_bytes()


def test_series_beside_images_are_cases(tmp_path: Path, predictor: Predictor) -> None:
    series(tmp_path / "scans", block(), study=generate_uid())
    image = np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), tmp_path / "scans" / "x.nii.gz")
    assert len(predict_folder(predictor, tmp_path / "scans", tmp_path / "out").done) == 2


def test_results_do_not_go_into_the_tree_that_is_searched(tmp_path: Path, predictor: Predictor) -> None:
    series(tmp_path / "tree" / "a", block(), study=generate_uid())
    with pytest.raises(InputError, match="results would replace the scans"):
        predict_folder(predictor, tmp_path / "tree", tmp_path / "tree")


@pytest.mark.parametrize("out", ["absolute", "relative"])
def test_a_zip_names_itself_and_nothing_that_is_in_it(
    tmp_path: Path, predictor: Predictor, monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    """The folders of an archive's exports are called like the patient."""
    monkeypatch.chdir(tmp_path)
    results = Path("out") if out == "relative" else tmp_path / "out"
    junk = tmp_path / "tree" / CANARY / "a"
    junk.mkdir(parents=True)
    (junk / "notes.txt").write_text("nothing")
    zipped = shutil.make_archive(str(tmp_path / "night"), "zip", tmp_path / "tree")
    with pytest.raises(InputError) as raised:
        predict_folder(predictor, zipped, results)
    assert str(raised.value).startswith(f"{zipped}: ")
    assert CANARY not in str(raised.value)
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4)), np.eye(4)), junk / "flat.nii.gz")
    zipped = shutil.make_archive(str(tmp_path / "night"), "zip", junk)
    (failed,) = predict_folder(predictor, zipped, results).failed
    assert failed.reason.startswith(f"{zipped}/flat.nii.gz: every voxel is 0")
    assert json.loads((results / ".private" / "sources.json").read_text()) == {
        "flat": {"files": [f"{zipped}/flat.nii.gz"]}
    }


def test_an_image_beside_a_tree_hides_no_series(tmp_path: Path, predictor: Predictor) -> None:
    series(tmp_path / "tree" / "a", block(), study=generate_uid())
    nibabel.save(nibabel.Nifti1Image(block(), np.eye(4)), tmp_path / "tree" / "image.nii.gz")
    done = predict_folder(predictor, tmp_path / "tree", tmp_path / "out").done
    assert [case.case.split("-")[0] for case in done] == ["image", "series"]


def test_series_without_an_identifier_are_told_apart_by_their_content(tmp_path: Path, predictor: Predictor) -> None:
    for name, start in (("a", 3), ("b", 5)):
        series(tmp_path / name, block(start), study="", SeriesInstanceUID="")
        predict_folder(predictor, tmp_path / name, tmp_path / "out")
    assert len(list((tmp_path / "out").glob("series-*.nii.gz"))) == 2


def test_another_time_point_under_the_same_name_is_not_taken_for_the_old_one(
    tmp_path: Path, predictor: Predictor
) -> None:
    """Of three times in one folder the first one is removed: the numbers of the others change."""
    tree, uid = tmp_path / "tree", generate_uid()
    for time in (1, 2, 3):
        folder = tree / str(time)
        series(folder, block(time), study="1.2", SeriesInstanceUID=uid, TemporalPositionIdentifier=time)
    first = predict_folder(predictor, tree, tmp_path / "out")
    shutil.rmtree(tree / "1")
    again = predict_folder(predictor, tree, tmp_path / "out")
    assert (len(first.done), [case.resumed for case in again.done]) == (3, [False, False])
