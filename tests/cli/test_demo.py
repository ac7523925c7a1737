"""``medswin demo``: the two regions, and what is left behind; here with an untrained model, for its files alone."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medswin.cli.brain import reasons, region, template, verdict_rows, volume_rows
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction


@pytest.fixture(scope="module")
def result(tiny_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from medswin.cli.app import run

    folder = tmp_path_factory.mktemp("demo") / "out"
    assert run(["demo", "-o", str(folder), "-m", str(tiny_package), "--threads", "1"]) == 0
    return folder


def test_the_regions_mirror_each_other() -> None:
    assert region("left") == "-47:-7,-52:4,-33:11mm"
    assert region("right") == "7:47,-52:4,-33:11mm"


def test_the_template_is_nilearns_own_grid() -> None:
    scan = template()
    assert tuple(scan.image.shape) == (1, 197, 233, 189)
    assert np.asarray(scan.image.affine).tolist() == [[1, 0, 0, -98], [0, 1, 0, -134], [0, 0, 1, -72], [0, 0, 0, 1]]


def test_label_maps_lie_on_the_templates_grid_inside_their_region(result: Path) -> None:
    brain = nibabel.load(result / "mni152.nii.gz")
    for side, (low, high) in {"left": (-47, -7), "right": (7, 47)}.items():
        image = nibabel.load(result / f"mni152_{side}.nii.gz")
        assert image.shape == brain.shape
        assert np.array_equal(image.affine, brain.affine)
        x_mm = np.argwhere(np.asarray(image.dataobj))[:, 0] - 98
        assert low <= x_mm.min() <= x_mm.max() <= high


def test_volumes_are_those_of_the_label_maps(result: Path) -> None:
    rows = list(csv.DictReader((result / "volumes.csv").open()))
    assert list(rows[0]) == ["case", "structure", "volume_ml", "cut_off", "verdict", "p"]
    assert [(row["case"], row["structure"]) for row in rows] == [
        (f"mni152_{side}", name) for side in ("left", "right") for name in ("front", "back")
    ]
    for row in rows:
        labels = np.asarray(nibabel.load(result / f"{row['case']}.nii.gz").dataobj)
        value = {"front": 1, "back": 2}[row["structure"]]
        assert float(row["volume_ml"]) == pytest.approx((labels == value).sum() / 1000)


def test_the_verdict_says_what_it_is_about(result: Path) -> None:
    told = json.loads((result / "verdict.json").read_text())
    assert {side: row["verdict"] for side, row in told["sides"].items()} == {
        "left": "not checked",
        "right": "not checked",
    }
    assert told["sides"]["left"]["p_value"] is None
    assert "average of 152" in told["note"]


def test_the_page_stands_alone(result: Path) -> None:
    page = (result / "page.html").read_text(encoding="utf-8")
    assert "mni152_left" in page
    assert not any(mark in page for mark in ('src="http', 'href="http', "url(http", "@import"))


def test_a_model_that_is_not_there_is_one_line(medswin: Callable, tmp_path: Path) -> None:
    status, _, err = medswin("demo", "-o", tmp_path / "out", "-m", "no-such-model")
    assert (status, len(err.splitlines())) == (2, 1)
    assert not (tmp_path / "out").exists()


def case(labels: np.ndarray, *why: str) -> Prediction:
    ood = OODResult("review", 2.0, 1.5, float("nan"), reasons=why)
    return Prediction("c", labels, np.eye(4), LabelSet.from_names(["front"]), ood, region=((1, 5), (1, 5), (1, 5)))


def test_a_structure_that_touches_a_face_of_its_region_is_marked() -> None:
    inside, touching = np.zeros((2, 8, 8, 8), np.uint8)
    inside[2:4, 2:4, 2] = 1
    touching[1:4, 2:4, 2] = 1
    assert volume_rows({"left": case(inside), "right": case(touching)}) == [
        ["left", "front", "0.004", "no"],
        ["right", "front", "0.006", "yes"],
    ]


def test_reasons_are_told_once_with_their_sides() -> None:
    empty = np.zeros((2, 2, 2), np.uint8)
    cases = {"left": case(empty, "too bright", "too far"), "right": case(empty, "too bright")}
    assert reasons(cases) == ["left and right: too bright", "left: too far"]


def test_what_was_not_computed_is_a_dash() -> None:
    assert verdict_rows({"left": case(np.zeros((2, 2, 2), np.uint8))}) == [["left", "review", "2.000", "1.500", "-"]]


def test_a_place_that_is_a_file_is_refused_before_the_brain_is_read(
    medswin: Callable, tiny_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medswin.cli.brain.template", lambda: 1 / 0)
    (tmp_path / "out").write_text("in the way")
    status, _, err = medswin("demo", "-o", tmp_path / "out", "-m", tiny_package)
    assert (status, len(err.splitlines())) == (2, 1)
    assert "no results can be written here" in err
