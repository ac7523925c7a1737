"""The loop as it is typed: train, predict, review, import, and train again with what was decided."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
from typer.testing import CliRunner

from medswin.cli.app import app


def typed(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.output


def review(predictions: Path, case: str, answer: str) -> Path:
    """What the page saves; an edit takes the first labelled voxel away."""
    described = json.loads((predictions / f"{case}.json").read_text())
    label = nibabel.load(predictions / f"{case}.nii.gz")
    mask = np.asanyarray(label.dataobj).copy()
    edited = None
    if answer == "edit":
        mask[tuple(np.argwhere(mask)[0])] = 0
        edited = {"file": f"{case}_edited.nii.gz", "voxels_changed": 1}
        nibabel.save(nibabel.Nifti1Image(mask, label.affine, label.header), predictions / edited["file"])
    said = described["provenance"]
    values = {
        "review_version": 1, "case": case, "package": said["package"], "model": said["model"],
        "input_sha256": said["input_sha256"], "labels_sha256": described["labels_sha256"], "shape": list(mask.shape),
        "affine": described["affine"], "structures": [{"value": 1, "name": "blob"}], "verdict": "accept",
        "reviewer": "r7", "finished": "2026-11-26T10:00:00Z", "seconds": 9, "edited": edited,
        "answers": [{"value": 1, "answer": answer, "reason": "", "text": ""}],
    }  # fmt: skip
    path = predictions / f"{case}_review.json"
    path.write_text(json.dumps(values))
    return path


def test_what_was_reviewed_teaches_the_next_model(config_file: Path, blobs: Path, tmp_path: Path) -> None:
    """new_103 was rejected, and new_105 is a validation scan under another name: neither may teach."""
    first = ["train", "-c", config_file, "-o", tmp_path / "first", "--no-progress"]
    typed(*first)
    split = json.loads((tmp_path / "first" / "splits.json").read_text())
    scans = tmp_path / "scans"
    scans.mkdir()
    sources = [*split["training"][:3], split["validation"][0]]
    answers = ("edit", "accept", "reject", "accept")
    for number, source in zip((101, 102, 103, 105), sources, strict=True):
        shutil.copy(blobs / "imagesTr" / f"{source}.nii.gz", scans / f"new_{number}.nii.gz")
    out = tmp_path / "out"
    typed("predict", "-i", scans, "-o", out, "-m", tmp_path / "first" / "package", "--no-progress")
    for number, answer in zip((101, 102, 103, 105), answers, strict=True):
        review(out, f"new_{number}", answer)
    told = typed(
        "review", "import", out, "-p", out, "-o", tmp_path / "q", "--held-out", tmp_path / "first" / "splits.json"
    )
    assert "4 reviewed, 3 of them may teach" in told
    changed = nibabel.load(tmp_path / "q" / "labelsTr" / "new_101.nii.gz")
    kept = nibabel.load(out / "new_101.nii.gz")
    assert int((np.asanyarray(changed.dataobj) != np.asanyarray(kept.dataobj)).sum()) == 1

    again = ["train", "-c", config_file, "--no-progress", "--set", "training.stop_at_step=2"]
    told = typed(*again, "-o", tmp_path / "second", "--reviewed", tmp_path / "q")
    assert "reviewed cases that teach too: 2; 1 left out" in told
    assert json.loads((tmp_path / "second" / "splits.json").read_text()) == split
    prepared = {path.name.split("-")[0] for path in (tmp_path / "second" / "cache").iterdir()}
    assert {name for name in prepared if name.startswith("new")} == {"new_101", "new_102"}
