"""Learning at the end of a run which Dice to expect: validation scans, as they are and degraded, with known labels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch import Tensor

from medswin.errors import InputError
from medswin.labels import LabelSet
from medswin.metrics import dice
from medswin.networks import Segmenter
from medswin.ood import ExpectedDice, Judge, View, row
from medswin.ood.expected import FOLDS, LEAST_PEOPLE
from medswin.training.data import PreparedCase
from medswin.training.split import Split
from medswin.transforms import Preprocessing
from medswin.transforms.degrade import DEGRADATIONS, STRENGTHS, degrade

Observe = Callable[[MetaTensor, Segmenter], tuple[NDArray[np.uint8], Tensor]]
"""(image (C, D, H, W), network) -> labels (D, H, W), and the features and outputs that the judge sees."""
Degradation = tuple[str, int, int]
"""Name, strength and seed."""


@dataclass(frozen=True)
class Glance:
    """One pass over a case: its row for the judge, and its labels."""

    network: Segmenter
    observe: Observe
    label_set: LabelSet
    view: View

    def __call__(self, case: PreparedCase, image: MetaTensor) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """``image`` is the case's, or a degraded copy of it."""
        found, told = self.observe(image, self.network)
        values = [part.value for part in self.label_set]
        affine = np.asarray(image.affine)
        return row(self.view, told.numpy(), image.numpy(), case.geometry, found, affine, values), found


def with_expected_dice(
    judge: Judge,
    glance: Glance,
    cases: Mapping[str, PreparedCase],
    split: Split,
    preprocessing: Mapping[str, Any],
    count: int,
    bar: Callable[[list[Any]], Iterable[Any]] = iter,
) -> Judge:
    """The judge that also says which Dice to expect; the same one where there are too few people to learn that from.

    Args:
        judge: fitted; scans that it rejects are left out of the interval, as nothing is said of them.
        glance: of the network.
        cases, split: validation scans teach the line, calibration scans its interval.
        preprocessing: of the model, as JSON.
        count: degraded copies of validation scans, all kinds as often; of each calibration scan there is one. 0 for no
            expected Dice.
        bar: wraps the list of passes, for a progress bar.
    """
    learners, others = (len({split.people[name] for name in part}) for part in (split.validation, split.calibration))
    if count == 0 or learners < FOLDS or others < LEAST_PEOPLE:
        return judge
    told: list[Any] = []
    for part, copies in ((split.validation, count), (split.calibration, len(split.calibration))):
        numbers, scores, owners = [], [], []
        for name, degradation in bar([*((name, None) for name in part), *_draws(part, copies)]):
            case = cases[name]
            image, label = case.load()
            image = image if degradation is None else degraded(image, degradation, preprocessing)
            made, found = glance(case, image)
            if part is split.calibration and judge.judge(made, case.geometry).verdict == "reject":
                continue
            numbers.append(judge.summary(made))
            scores.append(np.mean([dice(found == s.value, label.numpy()[0] == s.value) for s in glance.label_set]))
            owners.append(split.people[name])
        told.append((numbers, scores, owners))
    learned, held_out = told
    try:
        return replace(judge, expected=ExpectedDice.fit(*learned, *held_out))
    except InputError:  # too many calibration scans were rejected
        return judge


def _draws(cases: Sequence[str], count: int) -> list[tuple[str, Degradation]]:
    rng, kinds = np.random.default_rng(0), list(DEGRADATIONS)
    drawn = zip(rng.integers(len(kinds), size=count), rng.integers(1, max(STRENGTHS) + 1, count), strict=True)
    return [(cases[i % len(cases)], (kinds[kind], int(strength), i)) for i, (kind, strength) in enumerate(drawn)]


def degraded(image: MetaTensor, degradation: Degradation, preprocessing: Mapping[str, Any]) -> MetaTensor:
    """A preprocessed image as if the scan had been degraded before: its intensities are brought to scale again."""
    name, strength, seed = degradation
    values = image.as_tensor()
    changed = torch.stack([torch.from_numpy(degrade(channel.numpy(), name, strength, seed)) for channel in values])
    if preprocessing["intensity"]["name"] == "zscore":
        return Preprocessing(None, preprocessing["intensity"])(MetaTensor(changed, affine=image.affine))
    return MetaTensor(changed.clamp(float(values.min()), float(values.max())), affine=image.affine)
