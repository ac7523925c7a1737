"""What is unusual about a scan, in words, and which training scans are like it."""

from __future__ import annotations

import json
import re

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
    assert "voxel spacing 5 mm head-foot (training 1.0 to 1.0)" in known.unusual(row(scan(99), spacing=5.0))
    assert not any("spacing" in words for words in known.unusual(row(scan(99), spacing=5.0), ["voxel spacing"]))
    assert any(words.startswith("hippocampus: volume") for words in known.unusual(row(scan(99), volume=8)))
    noisy = scan(99) + np.random.default_rng(0).normal(0, 1, (1, 12, 14, 10)).astype(np.float32)
    said = [words for words in known.unusual(row(noisy)) if words.startswith("noise ")]
    assert re.fullmatch(r"noise \S+ of the range of intensities \(training \S+ to \S+\)", said[0])


def test_inverted_intensities_are_called_so_and_not_listed_one_by_one() -> None:
    said = reference().unusual(row(-scan(99)))
    assert said[0].startswith("intensities look inverted")
    assert not any(words.startswith(("normalised intensity", "lopsidedness")) for words in said)


def test_the_most_similar_scans_are_named_by_number_alone() -> None:
    known = reference()
    near = known.nearest(known.rows[7])
    assert near[0][1] == 0.0
    assert near[0][0].endswith("scan 8")
    assert [distance for _, distance in near] == sorted(distance for _, distance in near)
    assert len({known.people[i] for i in range(30)}) == 15
    assert known.people[6] == known.people[7]


def judge_of(known: Reference) -> Judge:
    held = np.stack([row(scan(seed), volume=3 + seed % 3) for seed in range(100, 140)])
    return Judge.fit(
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


def test_what_a_clinician_reads_of_thick_slices_and_inverted_intensities() -> None:
    size = {**SIZE, "spacing_mm": (1.0, 1.0, 5.0)}
    odd = np.concatenate([row(-scan(99), spacing=5.0)[:-7], row(scan(99))[-7:]])  # what was found has a usual shape
    result = judge_of(reference()).judge(odd, size)
    assert result.verdict == "reject"
    assert result.reasons == (
        "less like the training scans than 40 of the 40 people it was calibrated on",
        "what is unusual: voxel spacing 5 mm head-foot (training 1.0 to 1.0); "
        "intensities look inverted (bright in the training scans, dark here)",
        "do not use the result: use a scan with voxels of about 1 x 1 x 1 mm",
    )


def test_what_a_clinician_reads_of_inverted_intensities_alone() -> None:
    result = judge_of(reference()).judge(row(-scan(99)), SIZE)
    assert result.verdict == "reject"
    assert result.reasons == (
        "less like the training scans than 40 of the 40 people it was calibrated on",
        "what is unusual: intensities look inverted (bright in the training scans, dark here)",
        "far beyond the scans it was calibrated on: do not use the result",
    )


def test_a_verdict_that_is_not_accept_says_what_is_unusual() -> None:
    known, size = reference(), {**SIZE, "spacing_mm": (1.0, 1.0, 1.4)}
    judge = judge_of(known)
    result = judge.judge(row(scan(99), spacing=1.4), size)
    assert result.verdict == "reject"
    assert any("what is unusual: voxel spacing 1.4 mm head-foot (training 1.0 to 1.0)" in r for r in result.reasons)
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


def test_volumes_of_the_training_scans_are_told() -> None:
    """Boxes of 3 to 5 times 5 x 4 voxels of 1 mm3."""
    low, high = reference().volumes_ml()["hippocampus"]
    assert np.allclose([low, high], [0.060, 0.100])


def test_no_volumes_are_told_where_rows_hold_no_shapes() -> None:
    layout = row_layout(View(), 3, ["T1"], ["hippocampus"])
    assert Reference.of(np.zeros((4, 3)), "abcd", layout).volumes_ml() == {}
