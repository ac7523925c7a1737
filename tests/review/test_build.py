"""From a folder of predictions to packets: what is in them, and what becomes of cases that cannot be shown."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medswin.errors import InputError
from medswin.io import write_case
from medswin.io.cases import read_case
from medswin.io.facts import ModelFacts, write_facts
from medswin.io.manifest import Entry, Manifest
from medswin.io.private import keep_origins
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction
from medswin.review.build import build, open_case

NAMES = LabelSet.from_names(["head", "tail"])
FACTS = ModelFacts("finder", "2.0", "ab" * 32, about={"limits": "adults only"})


def predicted(folder: Path, scans: Path, case: str, verdict: str = "accept") -> Path:
    """A scan, and its results as ``medswin predict`` leaves them."""
    scans.mkdir(exist_ok=True)
    image = np.random.default_rng(list(case.encode())).normal(100, 20, (12, 14, 10)).astype(np.float32)
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    nibabel.save(nibabel.Nifti1Image(image, affine), scans / f"{case}.nii.gz")
    labels = np.zeros(image.shape, dtype=np.uint8)
    labels[3:8, 4:9, 3:6], labels[9, 9, 8] = 1, 2
    digest = hashlib.sha256((scans / f"{case}.nii.gz").read_bytes()).hexdigest()
    said = {"model": "finder", "package": FACTS.package, "input_sha256": digest}
    write_case(folder, Prediction(case, labels, affine, NAMES, OODResult(verdict), provenance=said))  # type: ignore[arg-type]
    keep_origins(folder, {case: {"files": [str(scans / f"{case}.nii.gz")]}})
    write_facts(folder, FACTS)
    Manifest(folder).add(Entry(case, "done"))
    return folder / f"{case}.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "predictions").mkdir()
    predicted(tmp_path / "predictions", tmp_path / "scans", "one")
    predicted(tmp_path / "predictions", tmp_path / "scans", "two", "reject")
    return tmp_path / "predictions"


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "worklist.csv").open()))


def test_each_case_gets_a_packet_and_a_row(folder: Path, tmp_path: Path) -> None:
    made = build(folder, tmp_path / "out")
    assert (made.done, made.failed) == (("one", "two"), ())
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    packets = [f"{case}/{name}" for case in ("one", "two") for name in ("report.pdf", "review.html")]
    assert found == [*packets, "worklist.csv", "worklist.html"]
    assert [(row["case"], row["verdict"], row["page"], row["review"]) for row in table(tmp_path / "out")] == [
        ("two", "reject", "two/review.html", "open"),
        ("one", "accept", "one/review.html", "open"),
    ]
    page = (tmp_path / "out" / "one" / "review.html").read_text(encoding="utf-8")
    assert 'href="../worklist.html"' in page
    assert 'href="report.pdf"' in page
    assert "adults only" in page
    answers = json.loads(next(re.finditer(r'class="answers-data"[^>]*>(.*?)</script>', page))[1])
    described = json.loads((folder / "one.json").read_text())
    assert answers["labels_sha256"] == described["labels_sha256"]
    assert answers["input_sha256"] == described["provenance"]["input_sha256"]
    assert (tmp_path / "out" / "one" / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_one_case_alone(folder: Path, tmp_path: Path) -> None:
    """The list of all cases is neither made of one, nor replaced by one."""
    made = build(folder / "two.json", tmp_path / "out")
    assert (made.done, made.worklist) == (("two",), None)
    assert "worklist" not in (tmp_path / "out" / "two" / "review.html").read_text(encoding="utf-8")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["two"]
    build(folder, tmp_path / "out")
    build(folder / "two.json", tmp_path / "out")
    assert [row["case"] for row in table(tmp_path / "out")] == ["two", "one"]
    assert 'href="../worklist.html"' in (tmp_path / "out" / "two" / "review.html").read_text(encoding="utf-8")


def test_a_case_whose_scan_is_gone_is_told_and_the_others_are_done(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "scans" / "one.nii.gz").unlink()
    made = build(folder, tmp_path / "out")
    assert made.done == ("two",)
    (reason,) = made.failed
    assert reason.startswith("one: ")
    assert "--source" in reason
    first = table(tmp_path / "out")[0]
    assert (first["case"], first["verdict"], first["page"], first["review"]) == ("one", "accept", "", "open")
    assert (first["reason"], first["head_ml"]) == (reason, "0.1500")


def test_a_case_whose_scan_moved_keeps_its_page_and_its_review(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "out")
    page = (tmp_path / "out" / "one" / "review.html").read_text(encoding="utf-8")
    answers = json.loads(next(re.finditer(r'class="answers-data"[^>]*>(.*?)</script>', page))[1])
    said = [{"value": i, "answer": "accept", "reason": "", "text": ""} for i in (1, 2)]
    end = {"reviewer": "", "finished": "2026-11-26T10:00:00Z", "seconds": 1, "answers": said, "edited": None}
    (tmp_path / "out" / "one" / "one_review.json").write_text(json.dumps(answers | end))
    (tmp_path / "scans" / "one.nii.gz").unlink()
    (reason,) = build(folder, tmp_path / "out").failed
    first = table(tmp_path / "out")[0]
    assert (first["case"], first["page"], first["review"]) == ("one", "one/review.html", "2 accept")
    assert first["reason"] == reason
    predicted(folder, tmp_path / "scans", "one", "review")
    labels = nibabel.load(folder / "one.nii.gz")
    altered = np.asarray(labels.dataobj).astype(np.uint8)
    altered[0, 0, 0] = 1
    write_case(folder, replace(read_case(folder / "one.json"), labels=altered))
    (tmp_path / "scans" / "one.nii.gz").unlink()
    build(folder, tmp_path / "out")
    first = table(tmp_path / "out")[0]  # the page of the earlier run shows another label map
    assert (first["page"], first["review"]) == ("", "reviewed before it was segmented anew")


def test_a_scan_that_moved_is_found_and_another_one_is_not_taken_for_it(folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "archive" / "deep"
    moved.parent.mkdir()
    shutil.move(tmp_path / "scans", moved)
    made = build(folder, tmp_path / "out", source=tmp_path / "archive")
    assert made.done == ("one", "two")
    shutil.copy(moved / "two.nii.gz", moved / "one.nii.gz")
    made = build(folder, tmp_path / "other", source=tmp_path / "archive")
    assert made.done == ("two",)
    assert "none of the files there is the scan that was segmented" in made.failed[0]


def test_a_zip_of_the_scans_will_do(folder: Path, tmp_path: Path) -> None:
    zipped = shutil.make_archive(str(tmp_path / "scans"), "zip", tmp_path / "scans")
    shutil.rmtree(tmp_path / "scans")
    assert build(folder, tmp_path / "out", source=Path(zipped)).done == ("one", "two")
    assert sorted(path.name for path in (folder / ".private").iterdir()) == ["sources.json"]


def test_of_several_channels_the_first_is_shown_and_said_to_be(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "scans" / "one.nii.gz"
    first = nibabel.load(path)
    image = np.stack([np.asarray(first.dataobj), np.asarray(first.dataobj)[::-1]], axis=-1)
    nibabel.save(nibabel.Nifti1Image(image, first.affine), path)
    described = json.loads((folder / "one.json").read_text())
    described["provenance"]["input_sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    shown = open_case(folder / "one.json", described)
    assert (shown.channels, shown.channel) == (2, "channel 1 of 2")
    np.testing.assert_array_equal(shown.image, image[..., 0])
    facts = ModelFacts("model", "1", "0" * 64, channels=("FLAIR", "T1"))
    assert replace(shown, facts=facts).channel == "channel 1 of 2 (FLAIR)"


def test_a_damaged_case_is_told(folder: Path, tmp_path: Path) -> None:
    (folder / "one.nii.gz").write_bytes(b"no image")
    made = build(folder, tmp_path / "out")
    assert made.done == ("two",)
    assert "one.nii.gz" in made.failed[0]


def test_cases_that_were_not_segmented_are_on_the_list(folder: Path, tmp_path: Path) -> None:
    Manifest(folder).add(Entry("three", "failed", "three: is cut short. Repair: export it again"))
    Manifest(folder).add(Entry("four", "skipped", "a localiser"))
    build(folder, tmp_path / "out")
    first = table(tmp_path / "out")[0]
    assert (first["case"], first["reason"]) == ("three", "three: is cut short. Repair: export it again")
    assert len(table(tmp_path / "out")) == 3


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(InputError, match="no case that medswin predict wrote"):
        build(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def answered(folder: Path, case: str, **more: object) -> dict[str, object]:
    described = json.loads((folder / f"{case}.json").read_text())
    answers = [{"value": 1, "answer": "accept", "reason": "", "text": ""}]
    answers += [{"value": 2, "answer": "reject", "reason": "leak", "text": "too large"}]
    keys = {"review_version": 1, "case": case, "package": FACTS.package, "model": "finder", "verdict": "accept"}
    return {
        **keys,
        "input_sha256": described["provenance"]["input_sha256"],
        "labels_sha256": described["labels_sha256"],
        "shape": [12, 14, 10],
        "affine": described["affine"],
        "structures": [{"value": label.value, "name": label.name} for label in NAMES],
        "reviewer": "r7",
        "finished": "2026-11-26T10:00:00.000Z",
        "seconds": 61,
        "edited": None,
        "answers": answers,
        **more,
    }


def test_what_a_reviewer_saved_stays_and_is_shown(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "out")
    for case, review in {
        "one": answered(folder, "one"),
        "two": answered(folder, "two", labels_sha256="cd" * 32),
    }.items():
        (tmp_path / "out" / case / f"{case}_review.json").write_text(json.dumps(review))
    build(folder, tmp_path / "out")
    told = {row["case"]: row["review"] for row in table(tmp_path / "out")}
    assert told == {"one": "1 accept, 1 reject", "two": "reviewed before it was segmented anew"}
    (tmp_path / "out" / "one" / "one_review.json").write_text("{")
    build(folder, tmp_path / "out")
    assert table(tmp_path / "out")[1]["review"].startswith("unreadable review: ")


def test_of_several_reviews_the_last_one_is_shown(folder: Path, tmp_path: Path) -> None:
    build(folder, tmp_path / "out")
    place = tmp_path / "out" / "one"
    later = answered(folder, "one", finished="2026-11-26T11:00:00.000Z")
    later["answers"] = [{**answer, "answer": "accept"} for answer in later["answers"]]  # type: ignore[attr-defined]
    (place / "one_review.json").write_text(json.dumps(answered(folder, "one")))
    (place / "one_review (1).json").write_text(json.dumps(later))
    build(folder, tmp_path / "out")
    assert {row["case"]: row["review"] for row in table(tmp_path / "out")}["one"] == "2 accept"
