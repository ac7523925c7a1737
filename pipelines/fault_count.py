"""What became of planted studies: done, reported, lost, or wrong."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from fault_scans import FAULTS, Study
from numpy.typing import NDArray

from medswin.inference import Predictor
from medswin.io import Scan
from medswin.io.manifest import Entry, Manifest
from medswin.io.private import read_origins

FILES = (".gz", ".mha", ".nrrd")  # that are a study each; of others, their folder is
VOXELS = 0.01  # by which a voxel may miss its place: DICOM and NIfTI round positions


def count(studies: Sequence[Study], out: Path) -> list[dict[str, Any]]:
    """For each fault: studies in, done, reported, lost (neither), and wrong (other labels, another place or end)."""
    found, predictor = entries(out), Predictor.load("hippocampus", threads=1)
    counts: dict[str, Counter[str]] = {fault: Counter() for fault in FAULTS}
    for study in studies:
        cases = found.get(str(study.place.absolute()), {})
        states = {entry.state for entry in cases.values()} - {"skipped"}
        state = "done" if states == {"done"} else "reported" if "failed" in states else "lost"
        done = [out / f"{case}.nii.gz" for case, entry in cases.items() if entry.state == "done"]
        right = states == ({"done"} if study.volumes else {"failed"}) and alike(done, study, predictor)
        counts[study.fault].update(["in", state] + ["wrong"] * (not right))
        if not right:
            print(f"WRONG: {study.fault} in {study.place.name}: {[entry.reason for entry in cases.values()]}")
    keys = ("in", "done", "reported", "lost", "wrong")
    return [{"fault": fault, **{key: row[key] for key in keys}} for fault, row in counts.items() if row["in"]]


def entries(out: Path) -> dict[str, dict[str, Entry]]:
    """Folder of slices, or file -> each case in it, and the line of the manifest that counts."""
    last, found = Manifest(out).last, defaultdict[str, dict[str, Entry]](dict)
    for case, row in read_origins(out).items():
        file = Path(row["files"][0])
        if case in last:
            found[str(file if file.suffix in FILES else file.parent)][case] = last[case]
    return found


def alike(labels: Sequence[Path], study: Study, predictor: Predictor) -> bool:
    """Whether each volume has its label map, with the labels of the array that never was a file, in their place."""
    left = [nibabel.load(path) for path in labels]
    for image, affine in study.volumes:
        expected = predictor(Scan.from_array(image, affine)).labels
        mine = next((one for one in left if expected.any() and in_place(one, expected, affine, study.differ)), None)
        if mine is None:
            return False
        left.remove(mine)
    return not left


def in_place(found: Any, expected: NDArray[np.uint8], affine: NDArray[np.float64], differ: float) -> bool:
    """Whether each voxel lies where one is expected, and has its label, but for a share of them."""
    index = np.indices(found.shape).reshape(3, -1)
    there = np.linalg.solve(affine, found.affine @ np.vstack([index, np.ones(index.shape[1])]))[:3]
    near = np.rint(there).astype(int)
    inside = (near >= 0).all() and (near.max(axis=1) < expected.shape).all()
    if not inside or np.abs(there - near).max() > VOXELS or found.shape != expected.shape:
        return False
    return bool((np.asarray(found.dataobj).ravel() != expected[tuple(near)]).mean() <= differ)
