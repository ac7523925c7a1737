"""Learning which Dice to expect: from degraded validation scans, with an interval from calibration people."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.ndimage import gaussian_filter

from medswin.labels import LabelSet
from medswin.ood import Judge, View, row_layout
from medswin.training.expected import Glance, degraded, with_expected_dice
from medswin.training.split import Split

SIZE = {"fov_mm": (16.0, 16.0, 16.0), "spacing_mm": (1.0, 1.0, 1.0)}
VIEW = View(appearance=True, shape=True)
ZSCORE = {"spacing_mm": None, "intensity": {"name": "zscore"}}


@dataclass
class Case:
    """A bright ball in smooth noise, standardised."""

    number: int
    geometry: Any = None

    def __post_init__(self) -> None:
        self.geometry = SIZE

    def load(self) -> tuple[MetaTensor, MetaTensor]:
        rng = np.random.default_rng(self.number)
        axes = np.indices((16, 16, 16)) - 7.5
        ball = np.sqrt((axes**2).sum(0)) < 4 + rng.random()
        image = ball + 0.5 * gaussian_filter(rng.normal(size=ball.shape), 1)
        image = (image - image.mean()) / image.std()
        label = MetaTensor(torch.from_numpy(ball[None].astype(np.uint8)), affine=np.eye(4))
        return MetaTensor(torch.from_numpy(image[None]).float(), affine=np.eye(4)), label


def observe(image: MetaTensor, network: Any) -> tuple[np.ndarray, torch.Tensor]:
    """A threshold as a network, which noise and inversion defeat; its feature is the noise of the scan."""
    values = image.numpy()[0]
    return (values > 1).astype(np.uint8), torch.tensor([float(np.abs(np.diff(values, axis=0)).mean()), 0.0])


@pytest.fixture(scope="module")
def parts() -> tuple[Judge, Glance, dict[str, Any], Split]:
    names = [f"case_{i:02d}" for i in range(64)]
    cases: dict[str, Any] = {name: Case(i) for i, name in enumerate(names)}
    split = Split(tuple(names[:30]), tuple(names[30:40]), tuple(names[40:]), {name: name for name in names})
    glance = Glance(None, observe, LabelSet.from_names(["ball"]), VIEW)  # type: ignore[arg-type]
    rows = {name: glance(case, case.load()[0])[0] for name, case in cases.items()}
    judge = Judge.fit(
        np.stack([rows[name] for name in split.training]),
        np.stack([rows[name] for name in split.calibration]),
        train_people=split.training,
        calibration_people=split.calibration,
        train_geometry=[SIZE] * 30,
        calibration_geometry=[SIZE] * 24,
        detectors=[{"name": "ranges", "reads": ["shape"]}],
        layout=row_layout(VIEW, 2, ["MRI"], ["ball"]),
    )
    return judge, glance, cases, split


def test_a_good_scan_is_expected_to_be_better_than_a_noisy_one(parts: Any) -> None:
    judge, glance, cases, split = parts
    shown: list[int] = []
    told = with_expected_dice(
        judge, glance, cases, split, ZSCORE, 60, lambda passes: shown.append(len(passes)) or passes
    )
    assert told.expected is not None
    assert told.expected.people == 24
    assert shown == [10 + 60, 24 + 24]
    image = Case(99).load()[0]
    good, bad = (glance(Case(99), shown)[0] for shown in (image, degraded(image, ("noise", 5, 0), ZSCORE)))
    assert told.expected(told.summary(good))[0] > told.expected(told.summary(bad))[0] + 0.05
    result = told.judge(good, SIZE)
    assert result.expected_dice is not None
    assert result.expected_dice[1] <= result.expected_dice[0] <= result.expected_dice[2]


def test_nothing_is_told_of_rejected_scans(parts: Any) -> None:
    judge, glance, cases, split = parts
    told = with_expected_dice(judge, glance, cases, split, ZSCORE, 30)
    empty = glance(Case(99), MetaTensor(torch.zeros(1, 16, 16, 16), affine=np.eye(4)))[0]
    assert told.judge(empty, SIZE).verdict == "reject"
    assert told.judge(empty, SIZE).expected_dice is None


def test_too_few_people_learn_nothing_and_cost_nothing(parts: Any) -> None:
    judge, _, cases, split = parts

    def never(image: Any, network: Any) -> Any:
        raise AssertionError("a pass for nothing")

    glance = Glance(None, never, LabelSet.from_names(["ball"]), VIEW)  # type: ignore[arg-type]
    few = replace(split, calibration=split.calibration[:18])
    assert with_expected_dice(judge, glance, cases, few, ZSCORE, 60) is judge
    assert with_expected_dice(judge, glance, cases, replace(split, validation=()), ZSCORE, 60) is judge
    assert with_expected_dice(judge, glance, cases, split, ZSCORE, 0) is judge


def test_degraded_images_are_on_the_scale_of_the_network() -> None:
    image = Case(0).load()[0]
    standard = degraded(image, ("noise", 5, 1), ZSCORE)
    assert abs(float(standard.mean())) < 1e-3
    assert abs(float(standard.std()) - 1) < 1e-3
    windowed = (image - image.min()) / (image.max() - image.min())
    clipped = degraded(windowed, ("noise", 5, 1), {"intensity": {"name": "window"}})
    assert float(clipped.min()) >= 0
    assert float(clipped.max()) <= 1
