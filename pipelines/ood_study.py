"""Which scans are unlike the training scans, and on which does the model fail? Detectors beside each other.

The model of the first round of `hippocampus.py` is used: 62 scans have never met it. Detectors learn from its training
scans. What is in the shipped judge was chosen on its validation scans and degraded copies of them (``--choose`` prints
that table); the committed table was made once, on the 62 scans and what was never looked at before.

Usage: python pipelines/ood_study.py --data Task04_Hippocampus --others FOLDER [-o runs/ood_study] [--choose]
"""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import ood_scans as scans
from numpy.typing import NDArray
from ood_table import Group, Row, figures, verdicts

from medswin.inference import Model
from medswin.io import read_json, read_package, write_json
from medswin.io.files import replacing

RESULTS = Path(__file__).with_suffix(".json")
PER_PLACE = 30
NOTE = (
    "Degradations, wrong headers, turns and cuts of test people were first looked at for this table. The crops of "
    "other anatomy and of MNI152 were seen while the judge was chosen; nearly all candidates had an AUROC of 1 on them."
)
SHAPE: dict[str, Any] = {"name": "ranges", "reads": ["shape"]}
LOOKS: dict[str, Any] = {"name": "mahalanobis", "reads": ["appearance"]}
FOUR = ("mahalanobis", "entropy", "disagreement", SHAPE)


def woodland(name: str, **params: Any) -> tuple[dict[str, Any], ...]:
    """A detector as Woodland et al. published it."""
    return ({"name": name, "params": {"woodland": True, **params}},)


# Rows of the table: detectors, how they are combined, stages, cells per axis, kernel of average pooling, and whether
# that is flat. With 123 training scans Woodland's k of 256 cannot be had, nor a covariance of all 12,288 raw features.
ROWS: dict[str, Row] = {
    "shipped: features, entropy, mirroring, shape": (FOUR, "fisher", (1, 2, 3, 4), 1, 1, False),
    "the same, the most alarmed alone": (FOUR, "max", (1, 2, 3, 4), 1, 1, False),
    "features: Mahalanobis, all stages": (("mahalanobis",), "max", (1, 2, 3, 4), 1, 1, False),
    "features: Mahalanobis, bottleneck": (("mahalanobis",), "max", (4,), 1, 1, False),
    "features: Mahalanobis, stage 2 in 8 parts": (("mahalanobis",), "max", (2,), 2, 1, False),
    "features: 5 nearest, all stages": (("knn",), "max", (1, 2, 3, 4), 1, 1, False),
    "features: 5 nearest, unit length": (
        ({"name": "knn", "params": {"normalize": True}},),
        "max",
        (1, 2, 3, 4),
        1,
        1,
        False,
    ),
    "features: UMAP 4 and 5 nearest": (("umap",), "max", (1, 2, 3, 4), 1, 1, False),
    "Woodland: Mahalanobis, bottleneck mean": (woodland("mahalanobis"), "max", (4,), 1, 1, False),
    "Woodland: Mahalanobis, PCA 8": (woodland("mahalanobis", n_components=8), "max", (4,), 4, 1, False),
    "Woodland: Mahalanobis, PCA 32": (woodland("mahalanobis", n_components=32), "max", (4,), 4, 1, False),
    "Woodland: k nearest, k 100": (woodland("knn", k=100), "max", (4,), 4, 1, False),
    "Woodland: k nearest, k 100, pooling 2D (2,1)": (woodland("knn", k=100), "max", (4,), 4, 2, True),
    "Woodland: k nearest, k 100, pooling 2D (3,1)": (woodland("knn", k=100), "max", (4,), 4, 3, True),
    "Woodland: k nearest, k 100, pooling 3D (2,1)": (woodland("knn", k=100), "max", (4,), 4, 2, False),
    "Woodland: k nearest, k 8": (woodland("knn", k=8), "max", (4,), 4, 1, False),
    "output: maximum softmax": (("msp",), "max", (4,), 1, 1, False),
    "output: maximum softmax, T 10": (({"name": "msp", "params": {"temperature": 10}},), "max", (4,), 1, 1, False),
    "output: energy": (("energy",), "max", (4,), 1, 1, False),
    "output: entropy": (("entropy",), "max", (4,), 1, 1, False),
    "output: disagreement of mirrored passes": (("disagreement",), "max", (4,), 1, 1, False),
    "no network: sizes and intensities": ((LOOKS,), "max", (4,), 1, 1, False),
    "labels: volumes and forms": ((SHAPE,), "max", (4,), 1, 1, False),
}


def main() -> None:
    """Run the study, or what is left of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data set, Decathlon layout")
    parser.add_argument("--others", type=Path, required=True, help="folder with nifti/ and dicom/ of other anatomy")
    parser.add_argument("--run", type=Path, default=Path("runs/hippocampus/first"), help="run that made the model")
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/ood_study"))
    parser.add_argument("--groups", nargs="+", help="of scans, to observe now and no more")
    parser.add_argument("--choose", action="store_true", help="the table on validation scans, and no more")
    options = parser.parse_args()
    split = read_json(options.run / "splits.json")
    groups = samples(options.data, options.others, split)
    observe_all(options.run, options.out, {name: groups[name] for name in options.groups or groups})
    if options.groups:
        return
    found = {name: Group.read(options.out / f"{name}.npz", split["people"]) for name in groups}
    usual, unusual = ("validation", "validation ") if options.choose else ("calibration", "")
    table = []
    for name, row in ROWS.items():
        figure = figures(row, found, usual, unusual)
        table.append({"detector": name, **figure})
        print(f"{name:46}", "  ".join(f"{key} {value}" for key, value in figure.items()), flush=True)
    if not options.choose:
        first = next(iter(ROWS.values()))
        about = {"date": date.today().isoformat(), "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}"}
        about["note"] = NOTE
        write_json(RESULTS, {**about, **verdicts(first, found), "rows": table})


def samples(data: Path, others: Path, split: Mapping[str, Any]) -> dict[str, Callable[[], Iterator[scans.Sample]]]:
    """The groups of scans by name; of people with two scans one is degraded."""
    load, people = partial(scans.clean, data), split["people"]
    firsts = list({people[case]: case for case in reversed(split["calibration"])}.values())[::-1]
    held = {part: partial(map, load, split[part]) for part in ("training", "validation", "calibration")}

    def degraded(cases: Sequence[str], strengths: tuple[int, ...], seed: int) -> Iterator[scans.Sample]:
        return (sample for case in cases for sample in scans.degraded(load(case), strengths, seed))

    def misdescribed(cases: Sequence[str]) -> Iterator[scans.Sample]:
        return (sample for case in cases for sample in scans.misdescribed(load(case)))

    return {
        **held,
        "others": partial(scans.others, others, PER_PLACE, 0),
        "template": partial(scans.template, PER_PLACE, 0),
        "validation degraded": partial(degraded, split["validation"], (1, 3, 5), 10_000),
        "validation misdescribed": partial(misdescribed, split["validation"][:5]),
        "degraded": partial(degraded, firsts, scans.STRENGTHS, 0),
        "misdescribed": partial(misdescribed, firsts),
    }


def observe_all(run: Path, out: Path, groups: Mapping[str, Callable[[], Iterator[scans.Sample]]]) -> None:
    """One pass over each scan; a group that is there is not done again."""
    predictor: Any = None
    for name, make in groups.items():
        path = out / f"{name}.npz"
        if path.exists():
            continue
        predictor = predictor or scans.wide(model_of(run))
        rows = [scans.observed(predictor, sample) for sample in make()]
        path.parent.mkdir(parents=True, exist_ok=True)
        columns: dict[str, NDArray[Any]] = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        with replacing(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **columns)  # type: ignore[arg-type]
        print(f"{name}: {len(rows)} scans", flush=True)


def model_of(run: Path) -> Model:
    """The run's model, without the judge that was fitted then."""
    return Model.build(replace(read_package(run / "package"), ood_json=None, ood_tensors={}))


if __name__ == "__main__":
    main()
