"""What a judge costs is bound by its memory: nothing grows with the square of the number of training scans.

Seconds are measured by `pipelines/ood_cost.py`; here it is held that no table of scans by scans is made or kept.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from medswin.ood import Judge, Layout, build, row_layout
from medswin.ood.view import View

SIZE = {"fov_mm": (36.0, 50.0, 36.0), "spacing_mm": (1.0, 1.0, 1.0)}
VIEW = View(outputs=("entropy",), appearance=True, shape=True)
FEATURES = 12
LAYOUT = row_layout(VIEW, FEATURES, ["T1"], ["head"])
SPECS: tuple[Any, ...] = ("mahalanobis", "knn", "entropy", {"name": "ranges", "reads": ["shape"]})


def rows(count: int, seed: int = 0, layout: Layout = LAYOUT) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, layout.width))


def fitted(count: int) -> Judge:
    held = rows(40, seed=1)
    return Judge.fit(
        rows(count),
        held,
        train_people=list(range(count)),
        calibration_people=list(range(-40, 0)),
        train_geometry=[SIZE] * count,
        calibration_geometry=[SIZE] * 40,
        detectors=SPECS,
        combine="fisher",
        layout=LAYOUT,
    )


def peak_bytes(work: Callable[[], Any]) -> int:
    """What it takes at most beside what was there before; numpy tells tracemalloc of its arrays."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_measure_sees_a_table_of_scans_by_scans() -> None:
    table = rows(1000)
    assert peak_bytes(lambda: table @ table.T) >= 8 * 1000**2


def test_fitting_makes_no_table_of_scans_by_scans() -> None:
    fitted(50)  # imports
    count = 2000
    assert peak_bytes(lambda: fitted(count)) < 8 * count**2 / 2


def test_judging_a_scan_takes_memory_by_the_row() -> None:
    """A flagged scan, whose reasons look at all rows, and its nearest training scans."""
    count = 2000
    judge, odd = fitted(count), np.full(LAYOUT.width, 9.0)
    judge.judge(odd, SIZE)
    assert judge.judge(odd, SIZE).verdict == "reject"
    table = judge.reference.rows.nbytes
    assert peak_bytes(lambda: judge.judge(odd, SIZE)) < 2 * table
    assert peak_bytes(lambda: judge.reference.nearest(odd)) < 4 * table


@pytest.mark.parametrize("name", ["mahalanobis", "knn", "ranges", "entropy"])
def test_what_a_detector_keeps_grows_by_the_row_at_most(name: str) -> None:
    kept = []
    for count in (500, 1000):
        arrays = build(name).fit(rows(count)[:, :FEATURES]).state()[1]
        kept.append(sum(array.size for array in arrays.values()))
        assert max(array.size for array in arrays.values()) <= max(count * FEATURES, FEATURES**2)
    assert kept[1] <= 2 * kept[0]


def test_the_scale_keeps_one_number_a_scan() -> None:
    assert [part.unseen.shape for part in fitted(200).detectors] == [(200,)] * 4
