"""``medswin predict``: what is written, what is said, and with which status it ends."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medswin.cli import app, screen
from medswin.cli.predict import tell_left_out
from medswin.inference import BatchResult


def test_a_good_scan_ends_with_0(medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path) -> None:
    status, out, err = medswin("predict", "-i", scans, "-o", tmp_path / "out", "-m", tiny_package, "--no-progress")
    assert (status, err) == (0, "")
    assert "good" in out
    assert "not checked" in out
    assert nibabel.load(tmp_path / "out" / "good.nii.gz").shape == (10, 9, 8)
    assert set(json.loads((tmp_path / "out" / "good.json").read_text())["volumes_ml"]) == {"front", "back"}


def test_with_a_limit_of_time_a_case_is_done_in_a_process_of_its_own(
    medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path
) -> None:
    words = ["predict", "-i", scans, "-o", tmp_path / "out", "-m", tiny_package, "--no-progress", "--case-timeout"]
    assert medswin(*words, 0)[0] == 2
    assert medswin(*words, 30)[0] == 0
    assert nibabel.load(tmp_path / "out" / "good.nii.gz").shape == (10, 9, 8)


def test_one_bad_scan_does_not_stop_the_others(
    medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path
) -> None:
    (scans / "bad.nii.gz").write_text("this is no scan")
    status, out, err = medswin("predict", "-i", scans, "-o", tmp_path / "out", "-m", tiny_package, "--no-progress")
    assert status == 1
    assert "good" in out
    assert err.splitlines()[0].strip() == "1 failed"
    case = next("".join(row.split()) for row in err.splitlines() if "bad" in row)
    assert case.startswith("│bad│isnotaNIfTIfile│exportthescanas.nii")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["good.nii.gz"]


def test_a_bad_scan_alone_ends_with_1(medswin: Callable, tiny_package: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_text("this is no scan")
    status, _, err = medswin("predict", "-i", bad, "-o", tmp_path / "out", "-m", tiny_package, "--no-progress")
    assert (status, err.splitlines()[0].strip()) == (1, "1 failed")


@pytest.mark.parametrize("columns", [80, 40])
def test_what_failed_is_a_table_that_loses_nothing(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also into a pipe. On 80 columns the name of a series and its part stays on one line."""
    monkeypatch.setenv("COLUMNS", str(columns))
    name, what, repair = "series-0123456789ab-1", "[red]x\x1b[2J " + "its slices lie apart " * 4, "export it " * 6
    screen.failures([(name, what, repair), ("a", "y", "z")])
    seen = capsys.readouterr()
    assert seen.out == ""
    lines = seen.err.splitlines()
    assert max(map(len, lines)) <= columns
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    told = ["".join(row[column] for row in cells).replace(" ", "") for column in range(3)]
    expected = [name + "a", what.replace("\x1b", "\\x1b") + "y", repair + "z"]
    assert told == [text.replace(" ", "") for text in expected]
    assert (cells[0][0] == name) == (columns == 80)


def test_a_wide_table_loses_no_figure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    columns = ["case", "verdict", "p", "anterior hippocampus (ml)", "posterior hippocampus (ml)"]
    for name in ("series-0123456789ab-1", "a" * 60):
        screen.table("1 segmented", columns, [[name, "accept", "0.690", "1.953", "1.544"]], numbers=3)
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        assert any("1.953 │" in line and line.endswith("1.544 │") for line in lines)
        assert (name in "".join(lines)) == (len(name) < 22)


def test_what_is_left_out_is_told_by_its_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    skipped = [(f"series-{i}", "CT, the model takes MR") for i in range(3)] + [("a", "1"), ("b", "2"), ("c", "3")]
    result = BatchResult((), (), (*skipped, ("d", "4"), ("e", "5")), ("series-0", "a"))
    tell_left_out(result, Path("out"))
    assert capsys.readouterr().out.splitlines() == [
        "3 left out: CT, the model takes MR", "1 left out: 1", "1 left out: 2", "1 left out: 3", "1 left out: 4",
        "1 left out for other reasons. See out/run.log; --all-series takes what the model's rules leave out",
        "set aside in out/.private/superseded, as they count no more: series-0, a",
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["input", "model", "device"])
def test_what_is_missing_is_named_in_one_line(
    medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path, missing: str
) -> None:
    inputs = tmp_path / "no-such-input" if missing == "input" else scans
    model = tmp_path / "no-such-model" if missing == "model" else tiny_package
    device = "no-such-device" if missing == "device" else "cpu"
    words = ["predict", "-i", inputs, "-o", tmp_path / "out", "-m", model, "--device", device, "--no-progress"]
    status, _, err = medswin(*words)
    assert (status, len(err.splitlines())) == (2, 1)
    assert f"no-such-{missing}" in err
    assert "unexpected" not in err


def test_done_cases_are_left_alone_unless_told(
    medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path
) -> None:
    words = ["predict", "-i", scans, "-o", tmp_path / "out", "-m", tiny_package, "--no-progress"]
    result = tmp_path / "out" / "good.json"
    medswin(*words)
    first = result.stat().st_mtime_ns
    assert medswin(*words)[0] == 0
    assert result.stat().st_mtime_ns == first
    assert medswin(*words, "--overwrite")[0] == 0
    assert result.stat().st_mtime_ns > first


def test_a_box_leaves_the_rest_empty(medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path) -> None:
    words = ["predict", "-i", scans / "good.nii.gz", "-o", tmp_path, "-m", tiny_package, "--no-progress"]
    assert medswin(*words, "--box=2:6,1:5,0:4")[0] == 0
    labels = np.asarray(nibabel.load(tmp_path / "good.nii.gz").dataobj)
    outside = np.ones(labels.shape, dtype=bool)
    outside[2:6, 1:5, 0:4] = False
    assert labels.shape == (10, 9, 8)
    assert labels.any()
    assert not labels[outside].any()


@pytest.mark.parametrize("workers", [1, 2])
def test_debug_shows_where_a_case_failed(
    scans: Path, tiny_package: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], workers: int
) -> None:
    """Workers write to the same screen, which pytest sees by the file's number alone."""
    (scans / "bad.nii.gz").write_text("this is no scan")
    words = ["predict", "-i", str(scans), "-o", str(tmp_path / "out"), "-m", str(tiny_package), "--no-progress"]
    words += ["--workers", str(workers)]
    assert app.run(words) == 1
    assert "Traceback" not in capfd.readouterr().err
    assert app.run(words, debug=True) == 1
    err = capfd.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "in read_header" in err
    assert ("(SpawnProcess-" in err) == (workers > 1)


def test_a_device_without_arithmetic_is_refused(
    medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path
) -> None:
    words = ["predict", "-i", scans, "-o", tmp_path / "out", "-m", tiny_package, "--device", "meta"]
    status, _, err = medswin(*words)
    assert (status, len(err.splitlines())) == (2, 1)
    assert "only cpu, cuda and cuda:N" in err
