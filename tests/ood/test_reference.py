"""What is unusual about a scan, in words, and which training scans are like it."""

from __future__ import annotations

import json

import numpy as np

from medswin.ood import Judge, Layout, appearance, row_layout, shape
from medswin.ood.reference import Reference
from medswin.ood.view import View

SIZE = {"fov_mm": (36.0, 50.0, 36.0), "spacing_mm": (1.0, 1.0, 1.0)}


def scan(seed: int, bright: float = 1.0) -> np.ndarray:
    """A dark background with a bright box, a little noisy."""
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 0.1, (12, 14, 10))
    image[2:9, 2:11, 2:8] += 3 * bright
    return ((image - image.mean()) / image.std()).astype(np.float32)[None]


def row(image: np.ndarray, spacing: float = 1.0, volume: int = 4) -> np.ndarray:
    labels = np.zeros(image.shape[1:], np.uint8)
    labels[4 : 4 + volume, 4:9, 3:7] = 1
    size = {**SIZE, "spacing_mm": (1.0, 1.0, spacing)}
    features = image.reshape(1, -1)[0, :3]
    return np.concatenate(
        [features, appearance.appearance(image, size), shape.shape(labels, np.diag([1, 1, spacing, 1]), [1])]
    )


def reference(count: int = 30) -> Reference:
    layout = row_layout(View(appearance=True, shape=True), 3, ["T1"], ["hippocampus"])
    rows = np.stack([row(scan(seed), volume=3 + seed % 3) for seed in range(count)])
    return Reference.of(rows, [f"p{i // 2}" for i in range(count)], layout)


def test_a_usual_scan_has_nothing_unusual() -> None:
    assert reference().unusual(row(scan(99))) == []


def test_what_is_unusual_comes_with_the_training_range() -> None:
    known = reference()
    assert "voxel spacing head-foot 5 mm (training 1)" in known.unusual(row(scan(99), spacing=5.0))
    assert any(words.startswith("hippocampus: volume") for words in known.unusual(row(scan(99), volume=8)))
    noisy = scan(99) + np.random.default_rng(0).normal(0, 1, (1, 12, 14, 10)).astype(np.float32)
    assert any(words.startswith("noise ") and "(training " in words for words in known.unusual(row(noisy)))


def test_inverted_intensities_are_called_so_and_not_listed_one_by_one() -> None:
    said = reference().unusual(row(-scan(99)))
    assert said[0].startswith("intensities look inverted")
    assert not any(words.startswith(("intensity at", "skewness")) for words in said)


def test_the_most_similar_scans_are_named_by_number_alone() -> None:
    known = reference()
    near = known.nearest(known.rows[7])
    assert near[0][1] == 0.0
    assert near[0][0].endswith("scan 8")
    assert [distance for _, distance in near] == sorted(distance for _, distance in near)
    assert len({known.people[i] for i in range(30)}) == 15
    assert known.people[6] == known.people[7]


def test_a_verdict_that_is_not_accept_says_what_is_unusual() -> None:
    known, size = reference(), {**SIZE, "spacing_mm": (1.0, 1.0, 1.4)}
    held = np.stack([row(scan(seed), volume=3 + seed % 3) for seed in range(100, 140)])
    judge = Judge.fit(
        known.rows,
        held,
        train_people=list(range(30)),
        calibration_people=list(range(100, 140)),
        train_geometry=[SIZE] * 30,
        calibration_geometry=[SIZE] * 40,
        detectors=[{"name": "mahalanobis", "reads": ["appearance"]}, "ranges"],
        combine="fisher",
        layout=known.layout,
    )
    result = judge.judge(row(scan(99), spacing=1.4), size)
    assert result.verdict == "reject"
    assert any("what is unusual: voxel spacing head-foot 1.4 mm (training 1)" in reason for reason in result.reasons)
    usual = judge.judge(row(scan(98)), SIZE)
    assert usual.verdict == "accept"
    assert not any("unusual:" in reason for reason in usual.reasons)
    parts, tensors = judge.to_parts()
    again = Judge.from_parts(json.loads(json.dumps(parts)), tensors)
    assert again.judge(row(scan(99), spacing=1.4), size) == result


def test_columns_are_found_by_part_and_by_name() -> None:
    layout = Layout({"features": 3, "outputs": ("entropy", "msp@1")})
    assert layout.place("features") == [0, 1, 2]
    assert layout.place("outputs") == [3, 4]
    assert layout.place("msp@1") == [4]
    assert layout.width == 5
