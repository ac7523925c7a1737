"""Batches: one failed case kills nothing, and what is done is not done again."""

from __future__ import annotations

import csv
import gc
import time
import weakref
from pathlib import Path
from threading import Event

import nibabel
import numpy as np
import pytest
from inference_fakes import threshold_model

from medswin.errors import InputError
from medswin.inference import Predictor, predict_folder, schedule, work
from medswin.inference.batch import BatchResult
from medswin.io.cases import read_case
from medswin.io.sources import ImageSource, Source


def write_scan(path: Path, bright: int) -> None:
    """A scan of 6 x 6 x 6 voxels of 2 mm with so many bright ones."""
    image = np.zeros(216, dtype=np.float32)
    image[97 : 97 + bright] = 1  # (2, 4, 1) and on; from the fifth on they touch a face
    nibabel.save(nibabel.Nifti1Image(image.reshape(6, 6, 6), np.diag([2.0, 2.0, 2.0, 1.0])), path)


class Counting(Predictor):
    """Writes down which cases it was asked for."""

    def prepare(self, image, box=None):
        self.asked = [*getattr(self, "asked", []), image.path.name]
        return super().prepare(image, box)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    write_scan(folder / "a.nii.gz", 3)
    write_scan(folder / "b.nii", 5)
    return folder


@pytest.fixture
def predictor() -> Counting:
    return Counting(threshold_model(spacing_mm=None))


def test_every_case_gets_its_files_and_a_row(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    """3 and 5 voxels of 8 mm3 are 0.024 and 0.040 ml."""
    result = predict_folder(predictor, scans, tmp_path / "out")
    assert [(case.case, case.resumed) for case in result.done] == [("a", False), ("b", False)]
    assert names(tmp_path / "out") == ["a.json", "a.nii.gz", "b.json", "b.nii.gz", "volumes.csv"]
    rows = list(csv.DictReader((tmp_path / "out" / "volumes.csv").open()))
    assert rows == [
        {"case": "a", "structure": "bright", "volume_ml": "0.0240", "cut_off": "no", "verdict": "not checked", "p": ""},
        {
            "case": "b",
            "structure": "bright",
            "volume_ml": "0.0400",
            "cut_off": "yes",
            "verdict": "not checked",
            "p": "",
        },
    ]
    assert read_case(tmp_path / "out" / "a.json").labels.sum() == 3


def test_a_bad_scan_is_reported_and_the_others_are_done(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    (scans / "aa.nii.gz").write_text("this is no image")
    result = predict_folder(predictor, scans, tmp_path / "out")
    assert [case.case for case in result.done] == ["a", "b"]
    assert [Path(one.where).name for one in result.failed] == ["aa.nii.gz"]
    assert result.failed[0].reason.startswith(f"{scans / 'aa.nii.gz'}: ")
    assert not list((tmp_path / "out").glob("aa*"))


def test_an_unexpected_error_is_reported_too(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(threshold_model(spacing_mm=None))
    monkeypatch.setattr(predictor.network, "encode", lambda x: 1 / 0)
    result = predict_folder(predictor, scans, tmp_path / "out")
    assert result == BatchResult((), result.failed)
    assert [one.reason.split(": ", 1)[1] for one in result.failed] == [
        "unexpected ZeroDivisionError: division by zero. Repair: add --debug to see where, and report it"
    ] * 2


def test_what_is_done_is_not_done_again(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    out = tmp_path / "out"
    predict_folder(predictor, scans, out)
    (out / "b.json").unlink()  # as if killed before b was whole
    first = (out / "volumes.csv").read_text()
    result = predict_folder(predictor, scans, out)
    assert predictor.asked == ["a.nii.gz", "b.nii", "b.nii"]
    assert [case.resumed for case in result.done] == [True, False]
    assert (out / "volumes.csv").read_text() == first


def test_overwrite_does_all_again(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    for _ in range(2):
        predict_folder(predictor, scans, tmp_path / "out", overwrite=True)
    assert predictor.asked == ["a.nii.gz", "b.nii"] * 2


@pytest.mark.parametrize("change", ["scan", "package", "mirror", "box", "label map", "case file"])
def test_results_of_something_else_are_made_again(scans: Path, tmp_path: Path, change: str) -> None:
    out, model, box = tmp_path / "out", threshold_model(spacing_mm=None), None
    predict_folder(Predictor(model), scans, out)
    mirror = None
    if change == "scan":
        write_scan(scans / "a.nii.gz", 7)
    elif change == "package":
        object.__setattr__(model, "package", "cd" * 32)
    elif change == "mirror":
        mirror = True
    elif change == "box":
        box = "0:6,0:6,0:5"
    elif change == "label map":
        (out / "a.nii.gz").write_bytes((out / "b.nii.gz").read_bytes())
    else:
        (out / "a.json").write_text("{")
    predictor = Counting(model, mirror=mirror)
    predict_folder(predictor, scans, out, box=box)
    assert predictor.asked[0] == "a.nii.gz"


def test_a_single_file_is_a_batch_of_one(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    assert [case.case for case in predict_folder(predictor, scans / "b.nii", tmp_path / "out").done] == ["b"]


def test_progress_wraps_the_scans(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    seen: list[Source] = []

    def progress(paths):
        for path in paths:
            seen.append(path)
            yield path

    predict_folder(predictor, scans, tmp_path / "out", progress)
    assert [source.files[0].name for source in seen] == ["a.nii.gz", "b.nii"]


def test_results_never_replace_the_scans(scans: Path, predictor: Counting) -> None:
    before = (scans / "a.nii.gz").read_bytes()
    with pytest.raises(InputError, match="results would replace the scans"):
        predict_folder(predictor, scans, scans)
    assert (scans / "a.nii.gz").read_bytes() == before


def test_two_scans_of_one_name_are_both_refused(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    """Until one of them goes; meanwhile no result of either counts."""
    out = tmp_path / "out"
    predict_folder(predictor, scans, out)
    write_scan(scans / "b.nii.gz", 1)
    result = predict_folder(predictor, scans, out)
    assert [case.case for case in result.done] == ["a"]
    assert [one.reason.split(": ", 1)[1].split(".")[0] for one in result.failed] == ["has the same case name as b"]
    assert (cases_in_table(out), result.superseded) == (["a"], ("b",))
    (scans / "b.nii.gz").unlink()
    predict_folder(predictor, scans, out)
    assert ",failed," not in (out / "summary.csv").read_text()


@pytest.mark.parametrize(
    ("what", "words"), [("nothing", "no NIfTI file, and no DICOM"), ("box", "cannot be read as a box")]
)
def test_a_batch_that_cannot_run_at_all_says_so(
    scans: Path, tmp_path: Path, predictor: Counting, what: str, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    inputs = tmp_path / "empty" if what == "nothing" else scans
    with pytest.raises(InputError, match=words):
        predict_folder(predictor, inputs, tmp_path / "out", box="all" if what == "box" else None)


def test_a_place_that_is_a_file_is_refused_before_anything_is_computed(
    scans: Path, tmp_path: Path, predictor: Counting
) -> None:
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InputError, match="no results can be written here"):
        predict_folder(predictor, scans, tmp_path / "out")
    assert not hasattr(predictor, "asked")


RECORDS = {"manifest.jsonl", "run.log", "summary.csv", ".private", "model-abababababab.json"}


def names(folder: Path) -> list[str]:
    """Results, without the records of the run."""
    return sorted(path.name for path in folder.iterdir() if path.name not in RECORDS)


def cases_in_table(out: Path) -> list[str]:
    return [row["case"] for row in csv.DictReader((out / "volumes.csv").open())]


def test_what_is_named_like_a_scan_and_is_none_is_reported(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    (scans / "c.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    (scans / "d.nii.gz").symlink_to(scans / "d.nii.gz")
    (scans / "e.nii.gz").mkdir()
    result = predict_folder(predictor, scans, tmp_path / "out")
    assert [case.case for case in result.done] == ["a", "b"]
    assert [(Path(one.where).name, one.reason.split(": ")[1].split(".")[0]) for one in result.failed] == [
        ("c.nii.gz", "is a link to a file that is not there"),
        ("d.nii.gz", "is a link to a file that is not there"),
        ("e.nii.gz", "is a folder, a file is needed"),
    ]


def test_a_failed_case_leaves_no_results_of_another_scan(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    out = tmp_path / "out"
    predict_folder(predictor, scans, out)
    (scans / "a.nii.gz").write_text("this is no image")
    assert [Path(one.where).name for one in predict_folder(predictor, scans, out).failed] == ["a.nii.gz"]
    assert names(out) == ["b.json", "b.nii.gz", "volumes.csv"]
    assert cases_in_table(out) == ["b"]
    (scans / "b.nii").write_text("nor this")
    assert predict_folder(predictor, scans, out).done == ()
    assert names(out) == []


def test_a_failed_case_keeps_results_of_the_same_scan_but_not_its_volumes(
    scans: Path, tmp_path: Path, predictor: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    predict_folder(predictor, scans, out)
    monkeypatch.setattr(predictor.network, "encode", lambda x: 1 / 0)
    assert len(predict_folder(predictor, scans / "a.nii.gz", out, overwrite=True).failed) == 1
    assert names(out) == ["a.json", "a.nii.gz", "b.json", "b.nii.gz", "volumes.csv"]
    assert cases_in_table(out) == ["b"]


def test_the_table_tells_of_all_cases_in_the_folder(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    out = tmp_path / "out"
    predict_folder(predictor, scans / "b.nii", out)
    for name, content in {"sidecar.json": '{"Manufacturer": "x"}', "soup.json": "{", "list.json": "[1]"}.items():
        (out / name).write_text(content)
    predict_folder(predictor, scans / "a.nii.gz", out)
    assert cases_in_table(out) == ["a", "b"]


def test_a_hidden_scan_is_refused_before_it_is_computed(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    write_scan(scans / ".hid.nii.gz", 3)
    result = predict_folder(predictor, scans / ".hid.nii.gz", tmp_path / "out")
    assert "does not begin with a dot" in result.failed[0].reason
    assert not hasattr(predictor, "asked")


def test_cases_in_nnunets_layout_are_named_without_their_channel(tmp_path: Path, predictor: Counting) -> None:
    """So that they are called as their labels are; where one file has another name, all keep theirs."""
    scans, out = tmp_path / "imagesTs", tmp_path / "out"
    scans.mkdir()
    write_scan(scans / "a_0000.nii.gz", 3)
    write_scan(scans / "b_1_0000.nii.gz", 3)
    for resumed in (False, True):
        result = predict_folder(predictor, scans, out)
        assert [(case.case, case.resumed) for case in result.done] == [("a", resumed), ("b_1", resumed)]
    assert names(out) == ["a.json", "a.nii.gz", "b_1.json", "b_1.nii.gz", "volumes.csv"]
    write_scan(scans / "c.nii.gz", 3)
    assert [case.case for case in predict_folder(predictor, scans, tmp_path / "two").done] == [
        "a_0000",
        "b_1_0000",
        "c",
    ]


class Slow(Predictor):
    """Waits, before it predicts a scan, until the next one is read and the one before is written."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.read, self.met = {name: Event() for name in "abc"}, []
        self.written = {name: Event() for name in "abc"}

    def prepare(self, image, box=None):
        prepared = super().prepare(image, box)
        self.read[prepared.scan.case].set()
        return prepared

    def predict(self, prepared):
        before, after = {"a": ("", "b"), "b": ("a", "c"), "c": ("b", "")}[prepared.scan.case]
        self.met += [self.read[after].wait(30)] if after else []
        self.met += [self.written[before].wait(30)] if before else []
        return super().predict(prepared)


def test_reading_and_writing_go_on_while_the_network_runs(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scan(scans / "c.nii", 4)
    predictor = Slow(threshold_model(spacing_mm=None))

    def write(out, made):
        result = batch_write(out, made)
        predictor.written[made.case].set()
        return result

    batch_write = work.write_case
    monkeypatch.setattr(work, "write_case", write)
    assert [case.case for case in predict_folder(predictor, scans, tmp_path / "out").done] == ["a", "b", "c"]
    assert predictor.met == [True] * 4


@pytest.mark.parametrize("large", ["abc", "b"])
def test_a_large_scan_is_alone_in_memory(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: str
) -> None:
    write_scan(scans / "c.nii", 4)
    happened: list[str] = []

    class Noting(Predictor):
        def prepare(self, image, box=None):
            happened.append(f"read {image.path.name[0]}")
            return super().prepare(image, box)

        def predict(self, prepared):
            time.sleep(0.2)
            happened.append(f"segment {prepared.scan.case}")
            return super().predict(prepared)

    def write(out, made):
        result = batch_write(out, made)
        time.sleep(0.2)
        happened.append(f"write {made.case}")
        return result

    batch_write = work.write_case
    monkeypatch.setattr(work, "write_case", write)
    monkeypatch.setattr(schedule, "is_large", lambda source: source.case[0] in large)
    predict_folder(Noting(threshold_model(spacing_mm=None)), scans, tmp_path / "out")
    assert happened == [f"{what} {case}" for case in "abc" for what in ("read", "segment", "write")]


def test_large_is_told_by_voxels_and_not_by_the_files_size(tmp_path: Path) -> None:
    for name, shape in (("small.nii.gz", (8, 8, 8)), ("large.nii.gz", (300, 300, 200))):
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, dtype=np.uint8), np.eye(4)), tmp_path / name)
    found = [ImageSource(name, name, (tmp_path / f"{name}.nii.gz",)) for name in ("large", "small", "gone")]
    assert [work.is_large(source) for source in found] == [True, False, False]


def test_an_interrupt_keeps_what_is_done_and_begins_nothing(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("c.nii", "d.nii"):
        write_scan(scans / name, 4)

    class Interrupted(Counting):
        def predict(self, prepared):
            if prepared.scan.case == "b":
                raise KeyboardInterrupt
            return super().predict(prepared)

    predictor = Interrupted(threshold_model(spacing_mm=None))
    with pytest.raises(KeyboardInterrupt):
        predict_folder(predictor, scans, tmp_path / "out")
    assert read_case(tmp_path / "out" / "a.json").labels.sum() == 3
    assert "d.nii" not in predictor.asked


def test_each_scan_gets_its_own_results(scans: Path, tmp_path: Path, predictor: Counting) -> None:
    result = predict_folder(predictor, scans, tmp_path / "out")
    assert [case.case for case in result.done] == ["a", "b"]
    assert [read_case(tmp_path / "out" / f"{case}.json").labels.sum() for case in "ab"] == [3, 5]


def test_a_failed_case_frees_its_memory_before_the_next_one_runs(scans: Path, tmp_path: Path) -> None:
    alive = []

    class Failing(Predictor):
        def predict(self, prepared):
            if prepared.scan.case == "a":
                alive.append(weakref.ref(prepared))
                raise InputError("too unusual")
            alive.append(alive[0]())
            return super().predict(prepared)

    gc.disable()
    try:
        result = predict_folder(Failing(threshold_model(spacing_mm=None)), scans, tmp_path / "out")
    finally:
        gc.enable()
    assert len(result.failed) == 1
    assert alive[1] is None


def test_a_prepared_scan_holds_the_image_of_the_network_alone(scans: Path) -> None:
    prepared = Predictor(threshold_model(spacing_mm=None)).prepare(scans / "a.nii.gz")
    assert prepared.scan.shape == (6, 6, 6)
    assert prepared.scan.image.as_tensor().untyped_storage().nbytes() == 4
    assert prepared.image.as_tensor().untyped_storage().nbytes() == 4 * 216


def test_a_result_that_cannot_be_written_is_reported(
    scans: Path, tmp_path: Path, predictor: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(out, made):
        if made.case == "a":
            raise OSError(28, "No space left on device")
        return batch_write(out, made)

    batch_write = work.write_case
    monkeypatch.setattr(work, "write_case", write)
    result = predict_folder(predictor, scans, tmp_path / "out")
    assert [case.case for case in result.done] == ["b"]
    assert "No space left" in result.failed[0].reason
    assert cases_in_table(tmp_path / "out") == ["b"]
