"""Batches that are killed, crowded, short of memory, or spread over processes lose no case and spoil none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
from inference_fakes import threshold_model
from robust_fakes import deadly, hanging, plain, slow, write_scans

from medswin.errors import InputError
from medswin.inference import Predictor, predict_folder
from medswin.inference import predictor as predictor_module
from medswin.inference.outcome import Failed
from medswin.inference.schedule import TRIES, in_processes
from medswin.io import cases as cases_module
from medswin.io import read_case
from medswin.io.manifest import Entry, Manifest
from medswin.io.scan import Scan

HERE = Path(__file__).parent


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]


def bright(out: Path, case: str) -> int:
    return int(read_case(out / f"{case}.json").labels.sum())


def test_every_case_that_ends_adds_a_line(tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", "ab"), tmp_path / "out"
    (scans / "c.nii.gz").write_text("no image")
    predict_folder(plain(), scans, out)
    found = lines(out)
    assert [(row["case"], row["state"]) for row in found] == [("a", "done"), ("b", "done"), ("c", "failed")]
    assert set(found[0]["outputs"]) == {"a.nii.gz", "a.json"}
    assert found[2]["reason"].startswith("c.nii.gz: ")  # no folder in it, which may name a patient
    predict_folder(plain(), scans, out)
    assert lines(out) == found  # nothing is done twice, nothing is told twice
    write_scans(scans, "abc")
    predict_folder(plain(), scans, out)
    assert {row["case"]: row["state"] for row in lines(out)}["c"] == "done"  # the last line counts


def test_a_line_that_was_cut_short_costs_nothing_but_itself(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.add(Entry("a", "done", outputs={"a.json": "00"}))
    with (tmp_path / "manifest.jsonl").open("ab") as stream:
        stream.write(b'{"case": "b", "sta')
    again = Manifest(tmp_path)
    again.add(Entry("c", "failed", "why"))
    assert {case: entry.state for case, entry in Manifest(tmp_path).last.items()} == {"a": "done", "c": "failed"}


def test_the_summary_begins_with_the_cases_that_most_need_eyes(tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", "ab"), tmp_path / "out"
    (scans / "z.nii.gz").write_text("no image")
    predict_folder(plain(), scans, out)
    rows = [line.split(",") for line in (out / "summary.csv").read_text().splitlines()]
    assert [row[:3] for row in rows[1:]] == [
        ["z", "failed", ""],
        ["a", "done", "not checked"],
        ["b", "done", "not checked"],
    ]
    assert (rows[0][-1], rows[2][-1]) == ("bright_ml", "0.0240")


def test_a_changed_result_is_made_again(tmp_path: Path) -> None:
    """Also where the label map is whole and the case file still says so."""
    scans, out = write_scans(tmp_path / "scans", "a"), tmp_path / "out"
    predict_folder(plain(), scans, out)
    described = out / "a.json"
    before = described.read_text()
    described.write_text(before.replace('"accept"', '"reject"').replace('"volumes_ml"', ' "volumes_ml"'))
    assert described.read_text() != before
    assert [case.resumed for case in predict_folder(plain(), scans, out).done] == [False]
    assert described.read_text().count(' "volumes_ml"') == before.count(' "volumes_ml"')


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", "ab"), tmp_path / "out"

    def inside(cases):
        with pytest.raises(InputError, match="another run is writing"):
            predict_folder(plain(), scans, out)
        return iter(cases)

    predict_folder(plain(), scans, out, inside)
    predict_folder(plain(), scans, out)  # and the lock is free again


def start(scans: Path, out: Path) -> subprocess.Popen:
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "from robust_fakes import slow\nfrom medswin.inference import predict_folder\n"
        f"predict_folder(slow(), {str(scans)!r}, {str(out)!r})"
    )
    return subprocess.Popen([sys.executable, "-c", code])


@pytest.mark.parametrize("after", [1, 3])
def test_a_killed_run_goes_on_with_the_same_call(tmp_path: Path, after: int) -> None:
    scans, out = write_scans(tmp_path / "scans", "abcdef"), tmp_path / "out"
    process = start(scans, out)
    try:
        for _ in range(1200):
            if len(list(out.glob("?.json"))) >= after:
                break
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    (out / ".tmp-0123-x.nii.gz").write_bytes(b"half")
    there = {path.stem for path in out.glob("?.json")}
    assert after <= len(there) < 6
    result = predict_folder(slow(), scans, out)
    assert {case.case for case in result.done if case.resumed} == there
    assert [bright(out, case) for case in "abcdef"] == [3, 4, 5, 6, 7, 8]
    assert {row["case"]: row["state"] for row in lines(out)} == dict.fromkeys("abcdef", "done")
    assert not list(out.glob(".tmp-*"))


def test_processes_share_the_cases(tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", "abcd"), tmp_path / "out"
    (scans / "e.nii.gz").write_text("no image")
    result = predict_folder(plain(), scans, out, schedule=in_processes(plain, 2))
    assert sorted(case.case for case in result.done) == ["a", "b", "c", "d"]
    assert [one.case for one in result.failed] == ["e"]
    assert [bright(out, case) for case in "abcd"] == [3, 4, 5, 6]
    assert {row["case"]: row["state"] for row in lines(out)} == dict.fromkeys("abcd", "done") | {"e": "failed"}


@pytest.mark.parametrize("once", [True, False])
def test_the_case_of_a_dead_worker_is_tried_again_and_then_reported(tmp_path: Path, once: bool) -> None:
    scans, out = write_scans(tmp_path / "scans", "abc"), tmp_path / "out"
    load = partial(deadly, tmp_path / "mark" if once else None)
    result = predict_folder(plain(), scans, out, schedule=in_processes(load, 2))
    assert sorted(case.case for case in result.done) == (["a", "b", "c"] if once else ["a", "c"])
    assert [one.reason.split(": ", 1)[1].split(",")[0] for one in result.failed] == (
        [] if once else [f"the process that worked on it was killed {TRIES} times"]
    )


def test_a_case_that_hangs_is_killed_and_reported(tmp_path: Path) -> None:
    """Once, as it would hang again; the others are done."""
    scans, out = write_scans(tmp_path / "scans", "abc"), tmp_path / "out"
    result = predict_folder(plain(), scans, out, schedule=in_processes(hanging, 1, timeout_s=6.0))
    assert sorted(case.case for case in result.done) == ["a", "c"]
    (failed,) = result.failed
    what, repair = failed.told
    assert what == "it took longer than 0.1 min (--case-timeout), its process was killed"
    assert repair.startswith("allow more, ")
    assert {row["case"]: row["state"] for row in lines(out)} == {"a": "done", "b": "failed", "c": "done"}


def test_a_failure_says_what_and_how_to_mend_it() -> None:
    known = Failed("a", "in/a.nii", "in/a.nii: the file is empty. Repair: copy it again, or export it")
    assert known.told == ("the file is empty", "copy it again, or export it")
    assert Failed("a", "in/a.nii", "in/b.nii: Permission denied").told == ("in/b.nii: Permission denied", "")


def test_no_folder_is_kept_of_what_fails_before_it_is_tried(tmp_path: Path) -> None:
    """Two scans of one name, and a table of files that are gone."""
    folder, out = tmp_path / "Hans Muster", tmp_path / "out"
    write_scans(folder, "ab")
    (folder / "a.nii").write_bytes(b"x")
    (tmp_path / "cases.csv").write_text("case,image\nx,Hans Muster/b.nii.gz\ny,gone/Hans Muster\n")
    assert [one.case for one in predict_folder(plain(), folder, out).failed] == ["a"]
    assert [one.case for one in predict_folder(plain(), tmp_path / "cases.csv", out).failed] == ["y"]
    assert len(lines(out)) == 4
    assert not [path for path in out.glob("*") if path.is_file() and b"Muster" in path.read_bytes()]


def test_each_case_that_fails_has_a_line_under_its_own_name(tmp_path: Path) -> None:
    """Names that a disk may not tell apart, of files that are named alike in folders that are named by patients."""
    for name in ("Muster", "Beispiel"):
        write_scans(tmp_path / name, "a")
    table, out = tmp_path / "cases.csv", tmp_path / "out"
    table.write_text("case,image\nCase,Muster/a.nii.gz\ncase,Beispiel/a.nii.gz\n")
    assert [one.case for one in predict_folder(plain(), table, out).failed] == ["Case", "case"]
    assert [row["case"] for row in lines(out)] == ["Case", "case"]
    assert not [path for path in out.glob("*") if path.is_file() and b"Muster" in path.read_bytes()]


def test_volumes_are_those_of_cases_that_are_done(tmp_path: Path) -> None:
    """Not those of one that failed since, also after a run on something else."""
    scans, out = write_scans(tmp_path / "scans", "ab"), tmp_path / "out"
    predict_folder(plain(), scans, out)
    (scans / "a.nii.gz").write_text("no image")
    predict_folder(plain(), scans, out)
    predict_folder(plain(), write_scans(tmp_path / "others", "c"), out)
    rows = [line.split(",")[0] for line in (out / "volumes.csv").read_text().splitlines()[1:]]
    assert rows == ["b", "c"]


def test_short_of_memory_it_is_tried_again_in_smaller_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    limits, made = [], predictor_module.make_plan

    def plan(tiling, channels, width, windows, held, limit, **how):
        limits.append(limit)
        if len(limits) < 3:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")
        return made(tiling, channels, width, windows, held, limit, **how)

    monkeypatch.setattr(predictor_module, "make_plan", plan)
    image = np.zeros((6, 6, 6), dtype=np.float32)
    image[2:4] = 1
    predictor = Predictor(threshold_model(spacing_mm=None), memory_limit_gb=8)
    assert predictor(Scan.from_array(image, np.eye(4))).labels.sum() == 72
    assert limits == [8e9, 4e9, 2e9]
    monkeypatch.setattr(predictor_module, "make_plan", raise_memory_error)
    with pytest.raises(InputError, match=r"memory ran out, in smaller parts too.*--memory-limit"):
        predictor(Scan.from_array(image, np.eye(4)))


def raise_memory_error(*_: object, **__: object) -> None:
    raise MemoryError


def test_workers_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """Its lock is free at once: they must write nothing more into the folder."""
    scans, out = write_scans(tmp_path / "scans", "abcdefgh"), tmp_path / "out"
    code = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "from robust_fakes import slow\nfrom medswin.inference import predict_folder\n"
        "from medswin.inference.schedule import in_processes\n"
        "if __name__ == '__main__':\n"
        f"    predict_folder(slow(), {str(scans)!r}, {str(out)!r}, schedule=in_processes(slow, 2))\n"
    )
    (tmp_path / "run.py").write_text(code)
    process = subprocess.Popen([sys.executable, str(tmp_path / "run.py")])
    for _ in range(1200):
        if len(list(out.glob("?.json"))) >= 2:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    time.sleep(1)
    there = sorted(path.name for path in out.glob("?.json"))
    time.sleep(1)
    assert 2 <= len(there) < 8
    assert sorted(path.name for path in out.glob("?.json")) == there


def full(out: Path, made: object) -> None:
    raise OSError(28, "No space left on device")


def load_full() -> Predictor:
    """In a worker: nothing can be written there."""
    from medswin.inference import work

    work.write_case = full
    return plain()


def test_what_a_worker_cannot_write_is_reported_as_that(tmp_path: Path) -> None:
    scans = write_scans(tmp_path / "scans", "ab")
    result = predict_folder(plain(), scans, tmp_path / "out", schedule=in_processes(load_full, 1))
    assert ["No space left" in one.reason for one in result.failed] == [True, True]


def test_a_file_whose_name_is_no_text_stops_nobody_else(tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", "ab"), tmp_path / "out"
    (scans / "a.nii.gz").rename(os.fsdecode(os.fsencode(scans) + b"/M\xfcller.nii.gz"))
    result = predict_folder(plain(), scans, out)
    assert [case.case for case in result.done] == ["b"]
    assert "a case name must be text" in result.failed[0].reason
    assert [row["state"] for row in lines(out)] == ["failed", "done"]


def test_a_label_map_that_is_not_what_was_meant_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that mirrors left and right, for all programs or for some, or loses a voxel."""
    scans, write = write_scans(tmp_path / "scans", "a"), cases_module.write_labels
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])

    def mirrored(path, labels, affine, **how):
        write(path, labels, np.asarray(affine) @ mirror, **how)

    def losing(path, labels, affine, **how):
        write(path, np.where(np.arange(labels.size).reshape(labels.shape) == 97, 0, labels), affine, **how)

    def of_two_minds(path, labels, affine, **how):
        write(path, labels, affine, **how)
        image = nibabel.load(path)
        image.set_qform(np.asarray(affine) @ mirror, code=1)
        nibabel.Nifti1Image(np.asarray(image.dataobj), None, image.header).to_filename(path)

    spoilers = (
        (mirrored, "its affine puts voxels"),
        (losing, "1 voxels have another value"),
        (of_two_minds, "its qform puts voxels up to"),
    )
    for spoilt, words in spoilers:
        monkeypatch.setattr(cases_module, "write_labels", spoilt)
        result = predict_folder(plain(), scans, tmp_path / "out")
        assert words in result.failed[0].reason
        assert not list((tmp_path / "out").glob("a*"))


def test_an_input_that_vanishes_is_reported(tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", "abc"), tmp_path / "out"

    def vanish(cases):
        (scans / "c.nii.gz").unlink()
        return iter(cases)

    result = predict_folder(plain(), scans, out, vanish)
    assert [case.case for case in result.done] == ["a", "b"]
    assert "no such file" in result.failed[0].reason


def test_the_signal_of_a_stop_reaches_only_the_parent(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Workers end with the pipe, not with a traceback each."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts behind itself ignores it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    scans, out = write_scans(tmp_path / "scans", "abcdef"), tmp_path / "out"

    def interrupted(cases):
        for i, case in enumerate(cases):
            if i == 2:
                os.kill(os.getpid(), signal.SIGINT)
            yield case

    with pytest.raises(KeyboardInterrupt):
        predict_folder(slow(), scans, out, interrupted, schedule=in_processes(slow, 2))
    assert len(list(out.glob("?.json"))) >= 2


DEADLY = """
import sys
sys.path.insert(0, {tests!r})
from robust_fakes import deadly
from medswin.inference import predict_folder
from medswin.inference.schedule import in_processes, in_turn

if __name__ == "__main__":
    found = predict_folder(deadly(), sys.argv[1], sys.argv[2], schedule=in_turn(deadly(), in_processes(deadly, 1)))
    print([case.case for case in found.done], [one.reason for one in found.failed])
"""


def test_a_case_that_kills_the_process_is_done_elsewhere_in_the_next_run_and_told(tmp_path: Path) -> None:
    """``b``, of three; the next run loses a process of its own to it, and says so, as does every run after it."""
    scans, out = write_scans(tmp_path / "scans", "abc"), tmp_path / "out"
    script = tmp_path / "deadly.py"
    script.write_text(DEADLY.format(tests=str(HERE)))
    words = [sys.executable, "-W", "ignore", str(script), str(scans), str(out)]
    begun = out / ".private" / "begun.json"
    assert subprocess.run(words, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert "b" in json.loads(begun.read_text())["cases"]
    for _ in range(2):
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert "'a'" in done.stdout
        assert "'c'" in done.stdout
        assert f"b.nii.gz: the process that worked on it was killed {TRIES} times" in done.stdout
        assert json.loads(begun.read_text()) == {"cases": ["b"]}
    assert [line["case"] for line in lines(out) if line["state"] == "failed"] == ["b"]  # told again, noted once


def test_however_often_a_run_is_killed_no_case_is_given_up(tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", "abc"), tmp_path / "out"
    folder = out / ".private"
    folder.mkdir(parents=True)
    (folder / "begun.json").write_text('{"cases": ["a", "gone"]}')
    assert [case.case for case in predict_folder(plain(), scans, out).done] == ["b", "c", "a"]
    assert json.loads((folder / "begun.json").read_text()) == {"cases": ["gone"]}
    for damaged in ("[", "{}", '{"cases": 3}', '{"a": 2}'):
        (folder / "begun.json").write_text(damaged)
        assert len(predict_folder(plain(), scans, out).done) == 3


def test_a_run_that_is_stopped_in_good_order_blames_no_case(tmp_path: Path) -> None:
    scans, out = write_scans(tmp_path / "scans", "a"), tmp_path / "out"

    class Stopped(Predictor):
        def predict(self, prepared):
            raise KeyboardInterrupt

    for _ in range(4):
        with pytest.raises(KeyboardInterrupt):
            predict_folder(Stopped(threshold_model(spacing_mm=None)), scans, out)
    assert not (out / ".private" / "begun.json").exists()
    assert len(predict_folder(Predictor(threshold_model(spacing_mm=None)), scans, out).done) == 1
