"""``medswin predict``: what is written, what is said, and with which status it ends."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medswin.cli import app


def test_a_good_scan_ends_with_0(medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path) -> None:
    status, out, err = medswin("predict", "-i", scans, "-o", tmp_path / "out", "-m", tiny_package, "--no-progress")
    assert (status, err) == (0, "")
    assert "good" in out
    assert "not checked" in out
    assert nibabel.load(tmp_path / "out" / "good.nii.gz").shape == (10, 9, 8)
    assert set(json.loads((tmp_path / "out" / "good.json").read_text())["volumes_ml"]) == {"front", "back"}


def test_one_bad_scan_does_not_stop_the_others(
    medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path
) -> None:
    (scans / "bad.nii.gz").write_text("this is no scan")
    status, out, err = medswin("predict", "-i", scans, "-o", tmp_path / "out", "-m", tiny_package, "--no-progress")
    assert status == 1
    assert "good" in out
    assert len(err.splitlines()) == 1
    assert "bad.nii.gz" in err
    assert "Repair:" in err
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["good.nii.gz"]


def test_a_bad_scan_alone_ends_with_2(medswin: Callable, tiny_package: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.nii.gz"
    bad.write_text("this is no scan")
    status, _, err = medswin("predict", "-i", bad, "-o", tmp_path / "out", "-m", tiny_package, "--no-progress")
    assert (status, len(err.splitlines())) == (2, 1)


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
