"""Series that change between two runs, fall apart, or are named in a table: nothing stale, nothing lost in silence."""

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
from pydicom.uid import generate_uid
from test_dicom_batch import block

from medswin.errors import InputError
from medswin.inference import Predictor, predict_folder
from medswin.io.files import write_text
from medswin.io.reopen import reopened
from medswin.io.selection import Rule
from medswin.io.superseded import FOLDER


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(replace(threshold_model(spacing_mm=None), series=(Rule(modality=("MR",), min_slices=4),)))


def last(out: Path) -> dict[str, tuple[str, str]]:
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    return {row["case"]: (row["state"], row["reason"]) for row in rows}


def test_a_series_that_grew_is_segmented_again(tmp_path: Path, predictor: Predictor) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    series(tree, block(), study="1.2")
    late = max(tree.iterdir())
    kept = late.rename(tmp_path / late.name)
    (first,) = predict_folder(predictor, tree, out).done
    kept.rename(late)
    (second,) = predict_folder(predictor, tree, out).done
    assert (first.case, second.resumed) == (second.case, False)
    assert nibabel.load(out / f"{first.case}.nii.gz").shape == (10, 12, 8)
    assert nibabel.load(out / FOLDER / f"{first.case}.nii.gz").shape == (10, 12, 7)


def test_no_result_of_a_series_that_became_several_looks_current(tmp_path: Path, predictor: Predictor) -> None:
    """A second time arrives, and goes again; each time but the names of the last run count."""
    tree, out, uid = tmp_path / "tree", tmp_path / "out", generate_uid()
    series(tree / "1", block(), study="1.2", SeriesInstanceUID=uid, TemporalPositionIdentifier=1)
    (only,) = predict_folder(predictor, tree, out).done
    whole = last(out)
    write_text(out / "review" / only.case / "review.html", "page")
    series(tree / "2", block(5), study="1.2", SeriesInstanceUID=uid, TemporalPositionIdentifier=2)
    result = predict_folder(predictor, tree, out)
    parts = [f"{only.case}-1", f"{only.case}-2"]
    assert [case.case for case in result.done] == parts
    assert result.superseded == (only.case,)
    assert last(out)[only.case] == (
        "skipped", f"superseded by {', '.join(parts)}: its files are others than they were, or more",
    )  # fmt: skip
    assert sorted(path.stem for path in out.glob("series-*.json")) == parts
    assert (out / FOLDER / f"{only.case}.nii.gz").is_file()
    assert (out / FOLDER / "review" / f"{only.case}.1" / "review.html").is_file()
    assert not (out / "review" / only.case).exists()
    for name in ("volumes.csv", "summary.csv"):
        rows = [line.split(",") for line in (out / name).read_text().splitlines()[1:]]
        assert [row[0] for row in rows if "done" in row or name == "volumes.csv"] == parts
    again, lines = predict_folder(predictor, tree, out), (out / "manifest.jsonl").read_text().count("\n")
    assert ([case.resumed for case in again.done], again.superseded, lines) == ([True, True], (), 4)
    shutil.rmtree(tree / "2")
    (back,) = predict_folder(predictor, tree, out).done
    assert (back.case, back.resumed) == (only.case, False)
    assert [last(out)[case][0] for case in (only.case, *parts)] == ["done", "skipped", "skipped"]
    assert set(last(out)) == {*whole, *parts}


def test_a_run_on_less_retires_nothing_that_lies_elsewhere_as_it_was(tmp_path: Path, predictor: Predictor) -> None:
    tree, out, uid = tmp_path / "tree", tmp_path / "out", generate_uid()
    for time in (1, 2):
        series(tree / str(time), block(), study="1.2", SeriesInstanceUID=uid, TemporalPositionIdentifier=time)
    first, second = (case.case for case in predict_folder(predictor, tree, out).done)
    (alone,) = predict_folder(predictor, tree / "1", out).done
    assert {path.stem for path in out.glob("series-*.json")} == {alone.case, second}
    assert [last(out)[name][0] for name in (first, second, alone.case)] == ["skipped", "done", "done"]
    next((tree / "2").iterdir()).unlink()
    predict_folder(predictor, tree / "1", out)
    assert last(out)[second][0] == "skipped"


def test_what_a_run_leaves_out_or_cannot_try_keeps_no_result_of_an_earlier_one(tmp_path: Path) -> None:
    """A study to which a second T1 comes, and a series that the rules leave out once it is longer."""
    rules = (Rule(description=("t1*",)), Rule(description=("t2*",)))
    two = Predictor(replace(threshold_model(("T1", "T2"), spacing_mm=None), series=rules))
    tree, out = tmp_path / "study", tmp_path / "out"
    for name in ("T1", "T2"):
        series(tree / name, block(), study="1.2", SeriesDescription=name)
    (study,) = predict_folder(two, tree, out).done
    series(tree / "more", block(), study="1.2", SeriesDescription="T1 again")
    result = predict_folder(two, tree, out)
    (failed,) = result.failed
    assert (failed.case, result.superseded, last(out)[study.case][0]) == (study.case, (study.case,), "failed")
    assert not list(out.glob("study-*"))

    short = Predictor(replace(threshold_model(spacing_mm=None), series=(Rule(max_slices=8),)))
    tree, uid = tmp_path / "long", generate_uid()
    series(tree / "a", block(), study="1.3", SeriesInstanceUID=uid)
    (case,) = predict_folder(short, tree, out).done
    series(tree / "b", block(), study="1.3", SeriesInstanceUID=uid, origin=(0.0, 0.0, 16.0))
    with pytest.raises(InputError, match="16 slices, the model takes 8 or fewer") as said:
        predict_folder(short, tree, out)
    assert said.value.what.endswith(f"; set aside in {FOLDER}: {case.case}")
    assert not (out / "volumes.csv").exists()
    assert last(out)[case.case] == ("skipped", "16 slices, the model takes 8 or fewer")
    assert not (out / f"{case.case}.nii.gz").exists()
    assert f"aside    {case.case}: " in (out / "run.log").read_text()


def test_a_failure_that_was_mended_counts_no_more(tmp_path: Path, predictor: Predictor) -> None:
    """Of files that were cut within their headers, whose folder is all that could be told."""
    tree, out = tmp_path / "tree", tmp_path / "out"
    series(tree / "a", block(), study="1.2")
    series(tree / "b", block(), study="1.3")
    whole = {path: path.read_bytes() for path in (tree / "b").iterdir()}
    for path, content in whole.items():
        path.write_bytes(content[:450])
    (failed,) = predict_folder(predictor, tree, out).failed
    for path, content in whole.items():
        path.write_bytes(content)
    assert len(predict_folder(predictor, tree, out).done) == 2
    assert last(out)[failed.case][0] == "skipped"
    assert ",failed," not in (out / "summary.csv").read_text()


@pytest.mark.parametrize("tag", ["StudyInstanceUID", "PatientID", "SeriesInstanceUID"])
def test_a_series_whose_slices_name_others_each_is_a_failure(tmp_path: Path, predictor: Predictor, tag: str) -> None:
    """As after files were made anonymous one by one; of a modality that is not the model's it is left out."""
    tree, out = tmp_path / "tree", tmp_path / "out"
    series(tree / "good", block(), study="1.2")
    for name, modality in (("torn", "MR"), ("other", "PT")):
        series(tree / name, block(), study="1.3", Modality=modality)
        for path in (tree / name).iterdir():
            one = pydicom.dcmread(path)
            setattr(one, tag, generate_uid() if tag.endswith("UID") else f"{CANARY}{path.name}")
            one.save_as(path)
    result = predict_folder(predictor, tree, out)
    (failed,), ((left_out, why),) = result.failed, result.skipped
    assert len(result.done) == 1
    assert f"its 8 slices are no volume, as they name 8 {tag}s, as when" in failed.reason
    assert failed.case.startswith("slices-")
    assert (left_out.startswith("slices-"), f"8 {tag}s" in why) == (True, True)
    assert {name: state for name, (state, _) in last(out).items()} == {
        result.done[0].case: "done", failed.case: "failed", left_out: "skipped",
    }  # fmt: skip
    kept = json.loads((out / ".private" / "sources.json").read_text())
    assert len(kept[failed.case]["files"]) == 8
    said = "".join(path.read_text() for path in out.glob("*.*") if path.suffix in (".log", ".jsonl", ".csv"))
    assert CANARY.lower() not in (said + failed.reason).lower()


def test_slices_of_one_series_that_never_were_a_volume_are_left_out_together(
    tmp_path: Path, predictor: Predictor
) -> None:
    """Three planes that turn around an axis."""
    tree, uid = tmp_path / "tree", generate_uid()
    series(tree / "good", block(), study="1.2")
    for i, (x, y) in enumerate(((1, 0), (0.6, 0.8), (0, 1))):
        turned = [x, y, 0, 0, 0, 1]
        series(tree / str(i), block()[..., :1], study="1.3", SeriesInstanceUID=uid, ImageOrientationPatient=turned)
    result = predict_folder(predictor, tree, tmp_path / "out")
    assert result.failed == ()
    assert [why for _, why in result.skipped] == [
        "3 slices of one series, of another size, spacing, direction or time each, which are no volume"
    ]


def table(folder: Path, *rows: str) -> Path:
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    return folder / "cases.csv"


def test_a_table_lists_folders_of_dicom_beside_files(tmp_path: Path, predictor: Predictor) -> None:
    series(tmp_path / "one", block(), study="1.2")
    series(tmp_path / "two" / "a", block(), study="1.2")
    series(tmp_path / "two" / "b", block(), study="1.2")
    (tmp_path / "none").mkdir()
    nibabel.save(nibabel.Nifti1Image(block(), np.eye(4)), tmp_path / "x.nii")
    cases = table(tmp_path, "case,image", "p1,one", "p2,x.nii", "p3,two", "p4,none")
    out = tmp_path / "out"
    result = predict_folder(predictor, cases, out)
    assert sorted((case.case, case.volumes_ml["bright"]) for case in result.done) == [("p1", 0.032), ("p2", 0.016)]
    assert {one.case: one.reason.split("; ")[0].split(". Repair")[0] for one in result.failed} == {
        "p3": "p3: the folder for T1 holds 2 DICOM series of CT, MR, PT or NM, it must hold one",
        "p4": "p4: the folder for T1 holds 0 DICOM series of CT, MR, PT or NM, it must hold one",
    }
    assert "chosen   p1: MR, 8 slices" in (out / "run.log").read_text()
    with reopened(out, json.loads((out / "p1.json").read_text())) as found:
        assert found.read().shape == (10, 12, 8)
    assert [case.resumed for case in predict_folder(predictor, cases, out).done] == [True, True]


def test_a_line_that_was_mended_counts_no_more(tmp_path: Path, predictor: Predictor) -> None:
    """Nor does one that is gone; another table's does."""
    series(tmp_path / "one", block(), study="1.2")
    out = tmp_path / "out"
    first = table(tmp_path, "case,image", ",one", ".y,one", "z,one")
    predict_folder(predictor, first, out)
    predict_folder(predictor, first.rename(tmp_path / "other.csv"), out)
    predict_folder(predictor, table(tmp_path, "case,image", "x,one"), out)
    states = {name: state for name, (state, _) in last(out).items()}
    assert states == {
        "cases.csv, line 2": "skipped", "cases.csv, line 3": "skipped", "z": "done", "x": "done",
        "other.csv, line 2": "failed", "other.csv, line 3": "failed",
    }  # fmt: skip


def test_files_of_the_user_stay_where_they_are(tmp_path: Path, predictor: Predictor) -> None:
    """Named like cases that this run cannot try, or like the results that it sets aside."""
    series(tmp_path / "one", block(), study="1.2")
    series(tmp_path / "two" / "a", block(), study="1.2")
    series(tmp_path / "two" / "b", block(), study="1.2")
    out = tmp_path / "out"
    rows = ("case,image", "a,one", "b,one", "c,one")
    assert len(predict_folder(predictor, table(tmp_path, *rows), out).done) == 3
    (out / "b.json").unlink()
    (out / "c.json").unlink()
    (out / "c.nii.gz").write_text("another")
    (out / "x.nii.gz").write_text("mine")
    (out / "x.json").write_text('{"mine": 1}')
    predict_folder(predictor, table(tmp_path, *(row.replace("one", "two") for row in rows), "x,two"), out)
    assert sorted(path.name for path in (out / FOLDER).iterdir()) == ["a.json", "a.nii.gz", "b.nii.gz"]
    assert [(out / name).read_text() for name in ("c.nii.gz", "x.nii.gz", "x.json")] == [
        "another",
        "mine",
        '{"mine": 1}',
    ]
    said = [line.split(": ", 1) for line in (out / "run.log").read_text().splitlines() if " aside " in line]
    assert [(who.split()[-1], what) for who, what in said] == [
        ("a", f"a.nii.gz, a.json of an earlier run, into {FOLDER}"),
        ("b", f"b.nii.gz of an earlier run, into {FOLDER}"),
    ]


def test_a_table_lists_a_folder_for_each_channel(tmp_path: Path) -> None:
    two = Predictor(threshold_model(("T1", "T2"), spacing_mm=None))
    for name in ("a", "b"):
        series(tmp_path / name, block(), study="1.2")
    nibabel.save(nibabel.Nifti1Image(block(), np.eye(4)), tmp_path / "x.nii")
    result = predict_folder(two, table(tmp_path, "case,T1,T2", "p1,a,b", "p2,a,x.nii"), tmp_path / "out")
    assert [case.case for case in result.done] == ["p1"]
    assert [one.reason.split(". ")[0] for one in result.failed] == [
        "p2: names a folder of DICOM that is not one channel's"
    ]
