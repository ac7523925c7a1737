"""What does a verdict cost at 1,000 training scans? The shipped model's detectors and layout, on drawn rows.

Rows are the shipped training scans', drawn and moved. Bars: under 10 ms to judge a scan, under 10 s to fit. Usage:
OMP_NUM_THREADS=1 python pipelines/ood_cost.py
"""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from medswin.io import read_package, write_json
from medswin.ood import Judge

SCANS, CALIBRATION, CASES = 1000, 40, 300
UNUSUAL = {"usual": 0.0, "unusual": 8.0}  # spreads by which all numbers of a scan are moved


def main() -> None:
    """Fit, judge usual and unusual scans, and write the seconds."""
    package = read_package("hippocampus")
    shipped = Judge.from_parts(package.ood_json or {}, package.ood_tensors)
    rng, known, size = np.random.default_rng(0), shipped.reference.rows, shipped.geometry.corners[0]

    def drawn(count: int, shift: float = 0.0) -> Any:
        moved = known.std(axis=0) * (shift + 0.1 * rng.normal(size=(count, 1)))
        return known[rng.integers(len(known), size=count)] + moved

    given: dict[str, Any] = {
        "train_people": range(SCANS), "calibration_people": range(-CALIBRATION, 0),
        "train_geometry": shipped.geometry, "calibration_geometry": [size] * CALIBRATION,
        "detectors": [part.spec for part in shipped.detectors], "combine": shipped.combine,
    }  # fmt: skip
    train, held, started = drawn(SCANS), drawn(CALIBRATION), time.perf_counter()
    judge = Judge.fit(train, held, **given, layout=shipped.reference.layout)
    found: dict[str, Any] = {"scans": SCANS, "width": known.shape[1], "fit_s": round(time.perf_counter() - started, 2)}
    judge = replace(judge, expected=shipped.expected)
    for name, shift in UNUSUAL.items():
        ms, verdicts = [], Counter[str]()
        for row in drawn(CASES, shift):
            started = time.perf_counter()
            verdicts[judge.judge(row, size).verdict] += 1
            ms.append(1000 * (time.perf_counter() - started))
        told = {"first_ms": ms[0], "median_ms": np.median(ms), "p95_ms": np.quantile(ms, 0.95), "most_ms": max(ms)}
        found[name] = {key: round(float(value), 2) for key, value in told.items()} | {"verdicts": dict(verdicts)}
    about = {"date": date.today().isoformat(), "machine": f"{os.cpu_count()} CPU cores, {platform.machine()}"}
    write_json(Path(__file__).with_suffix(".json"), {**about, "threads": os.environ.get("OMP_NUM_THREADS"), **found})
    print(found)


if __name__ == "__main__":
    main()
