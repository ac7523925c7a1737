"""Reviewed cases beside a data set's own: into training, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medswin.config.reviewed import add_reviewed, hashes, read_reviewed
from medswin.errors import ConfigError, InputError
from medswin.io import read_dataset
from medswin.io.files import sha256
from medswin.io.quarantine import paths, write_records
from medswin.labels import LabelSet
from medswin.training.split import Split

HEAD = LabelSet.from_names(["the head"])
LABELS = {"0": "background", "1": "head"}


def dataset(
    folder: Path, cases: list[str], *, test: tuple[str, ...] = (), labels: dict[str, str] | None = None
) -> Path:
    for part in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / part).mkdir(parents=True)
    image = nibabel.Nifti1Image(np.random.default_rng(0).random((4, 4, 4)).astype(np.float32), np.eye(4))
    for case in cases:
        nibabel.save(image, folder / "imagesTr" / f"{case}.nii.gz")
        nibabel.save(
            nibabel.Nifti1Image(np.ones((4, 4, 4), np.uint8), np.eye(4)), folder / "labelsTr" / f"{case}.nii.gz"
        )
    for case in test:
        nibabel.save(image, folder / "imagesTs" / f"{case}.nii.gz")
    rows = [{"image": f"imagesTr/{case}.nii.gz", "label": f"labelsTr/{case}.nii.gz"} for case in cases]
    about = {"name": folder.name, "modality": {"0": "T1"}, "labels": labels or LABELS, "training": rows}
    about["test"] = [f"imagesTs/{case}.nii.gz" for case in test]
    (folder / "dataset.json").write_text(json.dumps(about))
    return folder


def test_only_people_who_are_not_held_out_teach(tmp_path: Path) -> None:
    """Persons are the letters: a validates, b calibrates, c is tested, d teaches; e and d's other scans are new."""
    own = read_dataset(dataset(tmp_path / "own", ["a-1", "b-1", "d-1"], test=("c-1",)))
    split = Split(("d-1",), ("a-1",), ("b-1",), {"a-1": "a", "b-1": "b", "d-1": "d"})
    more = read_reviewed(dataset(tmp_path / "q", ["a-2", "b-2", "c-2", "d-2", "e-2"]), own, HEAD)
    both, after, left = add_reviewed(more, own, split, {"by": "pattern", "pattern": r"(\w)-\d"})
    assert left == ("a-2", "b-2", "c-2")
    assert (after.training, after.validation, after.calibration) == (("d-1", "d-2", "e-2"), ("a-1",), ("b-1",))
    assert (after.people["d-2"], after.people["e-2"]) == ("d", "e")
    assert [case.id for case in both.cases] == ["a-1", "b-1", "d-1", "c-1", "d-2", "e-2"]
    assert set(hashes(more)) == {"a-2", "b-2", "c-2", "d-2", "e-2"}


@pytest.mark.parametrize(
    ("cases", "labels", "words"),
    [
        (["x"], {"0": "background", "1": "tail"}, "its structures are"),
        (["a-1"], None, "1 of its cases are in own already, for example a-1"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, cases: list[str], labels: dict[str, str] | None, words: str
) -> None:
    own = read_dataset(dataset(tmp_path / "own", ["a-1"]))
    with pytest.raises(ConfigError, match=words):
        read_reviewed(dataset(tmp_path / "q", cases, labels=labels), own, HEAD)


def test_structures_may_be_called_as_the_model_calls_them(tmp_path: Path) -> None:
    own = read_dataset(dataset(tmp_path / "own", ["a-1"]))
    called = dataset(tmp_path / "q", ["x"], labels={"0": "background", "1": "the head"})
    assert list(read_reviewed(called, own, HEAD)) == ["x"]


def quarantine(folder: Path, cases: dict[str, str | None], *, usable: bool = True) -> Path:
    """Cases with the hash of the scan that each was made of."""
    dataset(folder, list(cases))
    records = {}
    for case, digest in cases.items():
        image, label = (sha256(path.read_bytes()) for path in paths(folder, case))
        about = {"usable": usable, "channels": 1, "finished": "2026-11-26T10:00:00+00:00", "input_sha256": digest}
        records[case] = {**about, "image_sha256": image, "labels_sha256": label}
    write_records(folder, records, {"head": 1})
    return folder


def test_a_scan_that_measures_does_not_teach_under_another_name(tmp_path: Path) -> None:
    """x is the scan a validates on, y the one c is tested with, z one that b learns from, and w another."""
    folder = dataset(tmp_path / "own", ["a", "b"], test=("c",))
    scans = {"a": folder / "imagesTr" / "a.nii.gz", "b": folder / "imagesTr" / "b.nii.gz"}
    scans["c"] = folder / "imagesTs" / "c.nii.gz"
    for name, path in scans.items():  # each with a content of its own
        nibabel.save(nibabel.Nifti1Image(np.full((4, 4, 4), ord(name), np.float32), np.eye(4)), path)
    own = read_dataset(folder)
    digests = {name: sha256(path.read_bytes()) for name, path in scans.items()}
    more = read_reviewed(
        quarantine(tmp_path / "q", {"w": None, "x": digests["a"], "y": digests["c"], "z": digests["b"]}), own, HEAD
    )
    _, after, left = add_reviewed(more, own, Split(("b",), ("a",), (), {"a": "a", "b": "b"}), {"by": "case"})
    assert (after.training, left) == (("b", "w", "z"), ("x", "y"))


def test_a_quarantine_teaches_what_was_taken_in_or_not_at_all(tmp_path: Path) -> None:
    own = read_dataset(dataset(tmp_path / "own", ["a"]))
    folder = quarantine(tmp_path / "q", {"x": None})
    assert list(read_reviewed(folder / "dataset.json", own, HEAD)) == ["x"]
    label = paths(folder, "x")[1]
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), label)
    with pytest.raises(InputError, match="is not the file that was taken in"):
        read_reviewed(folder, own, HEAD)
    with pytest.raises(ConfigError, match="none of its 1 cases may teach"):
        read_reviewed(quarantine(tmp_path / "r", {"x": None}, usable=False), own, HEAD)
