"""One verdict from several detectors, with one false-alarm rate in all."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from medswin.errors import ConfigError, InputError, PackageError, ShapeError
from medswin.ood import words
from medswin.ood.calibration import Calibration
from medswin.ood.combine import Combine, check_combine, combined
from medswin.ood.contract import Features, as_features
from medswin.ood.expected import ExpectedDice
from medswin.ood.geometry import Geometry, GeometryRange, Unlike
from medswin.ood.reference import Reference, order_of
from medswin.ood.scale import Scaled, Spec, fit_scaled, from_tensors, to_tensors
from medswin.ood.view import FEATURES, Layout
from medswin.prediction import OODResult, Verdict

FORMAT_VERSION = 2
DEFAULT_DETECTORS: tuple[Spec, ...] = ("mahalanobis", "knn")
UNLIKE = 1e6
"""Score of a scan whose sizes are unlike the training scans: above all that a detector can give."""


@dataclass(frozen=True, eq=False)
class Judge:
    """Says whether a scan is one that the model can be trusted on: accept, review or reject.

    A scan's score is the largest of its detectors' scores on their common scale (``combine="max"``), or their mean
    surprise, -log of the p-value among training scans (``"fisher"``, `medswin.ood.scale`). It is `UNLIKE` where field
    of view or spacing are unlike the training scans (`medswin.ood.geometry`). Calibration scans are scored by the same
    rule, sizes included, and one p-value is taken of that one score, so that the rate of false alarms holds for all
    parts together.

    **accept** if the p-value is above the rate in force, else **review**, or **reject** if the sizes are unlike or
    the score is far. The rate in force is ``false_alarm_rate``, or the smallest p-value that the calibration can give
    where that is larger (fewer than ``1 / rate - 1`` people); every verdict then says so, and a scan more unusual
    than all calibration people is never accepted. Of scans of new people that are exchangeable with the calibration
    people, at most that share is not accepted, on average over calibration sets (`medswin.ood.calibration`).

    A score is far if it lies beyond the most unusual calibration scan of usual size by as much as that lies above the
    middle one, and by at least 1, the distance from the median to the 95 % quantile of training scans (which stand in
    where no calibration scan is of usual size). This line only grades an alarm: it carries no probability of its own.

    Attributes:
        detectors: fitted detectors with their scales.
        combine: how their scores become one.
        reference: the training scans' rows, and how a row is laid out.
        geometry: sizes of the training scans.
        calibration: scores of the calibration people.
        false_alarm_rate: the rate that was asked for, in (0, 1).
        expected: what Dice to expect; None where it was not learned.
    """

    detectors: tuple[Scaled, ...]
    combine: Combine
    reference: Reference
    geometry: GeometryRange
    calibration: Calibration
    false_alarm_rate: float
    expected: ExpectedDice | None = None

    @classmethod
    def fit(
        cls,
        train_ND: ArrayLike | torch.Tensor,
        calibration_ND: ArrayLike | torch.Tensor,
        *,
        train_people: Sequence[Hashable],
        calibration_people: Sequence[Hashable],
        train_geometry: Sequence[Geometry] | GeometryRange,
        calibration_geometry: Sequence[Geometry],
        detectors: Sequence[Spec] = DEFAULT_DETECTORS,
        combine: Combine = "max",
        layout: Layout | None = None,
        false_alarm_rate: float = 0.05,
    ) -> Judge:
        """Learn from training scans what is usual, and from held-out people where to draw the line.

        Args:
            train_ND: (N, D) rows of the training scans (`medswin.ood.view`), of at least three people.
            calibration_ND: (M, D) rows of scans of other people, who were used for nothing else.
            train_people, calibration_people: the person of each scan.
            train_geometry, calibration_geometry: ``{"fov_mm": (x, y, z), "spacing_mm": (x, y, z)}`` of each scan; of
                the training scans, what was learned of these will do.
            detectors: registered names, or ``{"name": ..., "params": {...}, "reads": [...]}``.
            combine: ``"max"`` or ``"fisher"``.
            layout: parts of a row; None for features alone.
            false_alarm_rate: share of usual scans that may be flagged, in (0, 1).

        Raises:
            InputError: if a person is on both sides, a list has another length than its features, there are too few
                people, or features are NaN or infinite.
            ShapeError: if the features are not tables of one width.
            ConfigError: for no detector, an unknown one, one that reads what is not in a row, or a rate outside (0, 1).
        """
        train, held_out = as_features(train_ND), as_features(calibration_ND)
        _check_rows("training", train, train_people, train_geometry)
        _check_rows("calibration", held_out, calibration_people, calibration_geometry)
        _check_plan(train_people, calibration_people, detectors, combine, false_alarm_rate)
        order = order_of(train)  # nothing that is stored tells in which order the scans came
        train, train_people = train[order], [train_people[i] for i in order]
        parts = Layout({FEATURES: train.shape[1]}) if layout is None else layout
        if parts.width != train.shape[1]:
            raise ShapeError(f"rows of {train.shape[1]} numbers do not fit the layout, which has {parts.width}")
        scaled = tuple(fit_scaled(spec, train, train_people, parts) for spec in detectors)
        ranges = train_geometry if isinstance(train_geometry, GeometryRange) else GeometryRange.fit(train_geometry)
        scores = [
            UNLIKE
            if ranges.unlike(geometry)
            else combined(scaled, combine, [part.score(row, parts) for part in scaled])
            for row, geometry in zip(held_out, calibration_geometry, strict=True)
        ]
        calibration = Calibration.fit(np.array(scores), calibration_people)
        reference = Reference.of(train, train_people, parts)
        return cls(scaled, combine, reference, ranges, calibration, false_alarm_rate)

    @property
    def rate(self) -> float:
        """The false-alarm rate in force: what was asked for, or more where the calibration cannot reach that."""
        return max(self.false_alarm_rate, self.calibration.p_value(UNLIKE))

    @property
    def far(self) -> float:
        """The score beyond which a scan is rejected rather than sent to review."""
        usual = self.calibration.scores[self.calibration.scores < UNLIKE]
        top, middle = (float(usual[-1]), self.calibration.middle) if len(usual) else (1.0, 0.0)
        return top + max(top - middle, 1.0)

    @property
    def limit(self) -> float:
        """The score above which a scan is not accepted; NaN where none is, as all calibration people are unlike."""
        limit = self.calibration.limit(self.rate)
        return limit if math.isfinite(limit) else math.nan

    def figures(self) -> dict[str, float]:
        """What was set on the calibration people, for a log of experiments; what is not there is left out."""
        found = {
            "calibration_people": float(self.calibration.people),
            "false_alarm_rate": self.rate,
            "limit": self.limit,
            "middle": self.calibration.middle,
            "far": self.far,
        }
        return {name: value for name, value in found.items() if math.isfinite(value)}

    def judge(self, feature_D: ArrayLike | torch.Tensor, geometry: Geometry) -> OODResult:
        """The verdict on one scan.

        Args:
            feature_D: (D,) row of the scan, taken as the training scans' were.
            geometry: ``{"fov_mm": (x, y, z), "spacing_mm": (x, y, z)}`` of the scan, per RAS axis.

        Returns:
            The result; ``parts`` holds each detector's score on the common scale.

        Raises:
            ShapeError: if the feature has another width than those that the judge was fitted on.
            InputError: if the feature is NaN or infinite, or a size is not positive.
        """
        row = _one_row(feature_D, self.reference.layout.width)
        found = [part.score(row, self.reference.layout) for part in self.detectors]
        parts = dict(zip(self._keys(), found, strict=True))
        unlike = self.geometry.unlike(geometry)
        score = UNLIKE if unlike else combined(self.detectors, self.combine, found)
        p_value, rate = self.calibration.p_value(score), self.rate
        verdict: Verdict = "accept" if p_value > rate else "reject" if unlike or score > self.far else "review"
        reasons = [words.rank(self.calibration, score, verdict == "accept")]
        if verdict != "accept":
            reasons.append(self._unusual(row, unlike, found))
        reasons += self._caveats()
        if verdict != "accept":
            reasons.append(words.repair(rejected=verdict == "reject", sizes=[size.repair for size in unlike]))
        expected = None if verdict == "reject" or self.expected is None else self.expected(self.summary(row))
        people = self.calibration.people
        return OODResult(verdict, score, self.limit, p_value, people, rate, tuple(reasons), parts, expected)

    def summary(self, row_D: ArrayLike) -> Features:
        """The few numbers of a row that `ExpectedDice` reads.

        Each detector's score, how far the appearance and the shape of what was found lie outside of their ranges (all
        as log(1 + s)), and the outputs of the network.
        """
        row, layout = np.asarray(row_D, dtype=np.float64), self.reference.layout
        scores = [part.score(row, layout) for part in self.detectors] + self.reference.outside(row)
        outputs = row[layout.place("outputs") if "outputs" in layout.parts else []]
        return np.concatenate([np.log1p(np.maximum(scores, 0.0)), outputs])

    def _unusual(self, row: Features, unlike: Sequence[Unlike], scaled: Sequence[float]) -> str:
        """What no training scan had: sizes first. The features have no words; where nothing else speaks, they do."""
        found = [*(size.words for size in unlike), *self.reference.unusual(row, [size.what for size in unlike])]
        if found:
            return words.unusual(found)
        ours = [score for part, score in zip(self.detectors, scaled, strict=True) if FEATURES in part.reads]
        return words.nothing_unusual(features=bool(ours) and max(ours) >= min(max(scaled), 1.0))

    def _caveats(self) -> list[str]:
        """What is said with every verdict of a judge that cannot keep to the rate it was asked for."""
        calibration, wanted = self.calibration, self.false_alarm_rate
        if 1 / (calibration.people + 1) > wanted:
            return [words.too_few(calibration.people, wanted, self.rate)]
        if self.rate > wanted:
            return [words.unlike_people(calibration.as_unusual(UNLIKE), calibration.people, wanted, self.rate)]
        return []

    def _keys(self) -> list[str]:
        names = [part.name for part in self.detectors]
        places = [names[: i + 1].count(name) for i, name in enumerate(names)]
        return [name if names.count(name) == 1 else f"{name}-{i}" for name, i in zip(names, places, strict=True)]

    def to_parts(self) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
        """The judge as JSON and tensors (float64), without names of people."""
        rows: list[dict[str, Any]] = []
        tensors: dict[str, torch.Tensor] = {}
        for i, part in enumerate(self.detectors):
            row, arrays = part.to_parts()
            rows.append(row)
            tensors |= to_tensors(arrays, f"detector.{i}")
        kept = self.calibration
        tensors |= to_tensors({"scores": kept.scores, "weights": kept.weights}, "calibration")
        expected = None
        if self.expected is not None:
            expected, arrays = self.expected.to_parts()
            tensors |= to_tensors(arrays, "expected")
        tensors |= to_tensors({"rows": self.reference.rows, "people": self.reference.people}, "reference")
        return {
            "format_version": FORMAT_VERSION,
            "false_alarm_rate": self.false_alarm_rate,
            "calibration_people": kept.people,
            "geometry": self.geometry.to_json(),
            "layout": self.reference.layout.to_json(),
            "combine": self.combine,
            "detectors": rows,
            "expected": expected,
        }, tensors

    @classmethod
    def from_parts(cls, row: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> Judge:
        """The judge whose `to_parts` this is; its results are the same to the last bit.

        Raises:
            PackageError: if a part is missing or malformed, or of a newer format version.
        """
        version = row.get("format_version")
        if version != FORMAT_VERSION:
            raise PackageError(
                f"the detector part has format version {version!r}, this medswin reads {FORMAT_VERSION}",
                repair="update medswin, or make the package again with this one",
            )
        try:
            detectors = tuple(
                Scaled.from_parts(part, from_tensors(tensors, f"detector.{i}"))
                for i, part in enumerate(row["detectors"])
            )
            kept = from_tensors(tensors, "calibration")
            calibration = Calibration(kept["scores"], kept["weights"], int(row["calibration_people"]))
            ranges = GeometryRange.from_json(row["geometry"])
            kept = from_tensors(tensors, "reference")
            reference = Reference(kept["rows"], kept["people"], Layout.from_json(row["layout"]))
            combine = check_combine(row["combine"])
            expected = row.get("expected")
            line = ExpectedDice.from_parts(expected, from_tensors(tensors, "expected")) if expected else None
            return cls(detectors, combine, reference, ranges, calibration, float(row["false_alarm_rate"]), line)
        except (ConfigError, KeyError, IndexError, TypeError, ValueError) as error:
            raise PackageError(
                f"the detector part is damaged ({error})", repair="get the model package again"
            ) from error


def not_checked() -> OODResult:
    """The result for a model whose package brings no detector."""
    return OODResult(
        "not checked",
        reasons=("this model brings no detector: compare the scan with those that the model was trained on",),
    )


def _one_row(feature_D: ArrayLike | torch.Tensor, width: int) -> Features:
    shape = tuple(feature_D.shape) if isinstance(feature_D, torch.Tensor) else np.shape(feature_D)
    if len(shape) != 1:
        raise ShapeError(f"one scan is judged at a time: its feature must have the shape (D,), got {shape}")
    row_1D = feature_D[None] if isinstance(feature_D, torch.Tensor) else np.asarray(feature_D)[None]
    feature: Features = as_features(row_1D, width)[0]
    return feature


def _check_rows(
    side: str, table_ND: Features, people: Sequence[Hashable], geometries: Sequence[Geometry] | GeometryRange
) -> None:
    sizes = len(people) if isinstance(geometries, GeometryRange) else len(geometries)
    if not len(table_ND) == len(people) == sizes:
        raise InputError(
            f"{side}: {len(table_ND)} features, {len(people)} people and {sizes} geometries must be as many",
            repair="give the person and the geometry of each scan",
        )
    if len(table_ND) == 0:
        raise InputError(f"{side}: no scan was given", repair="hold people out of training for calibration")


def _check_plan(
    train_people: Sequence[Hashable],
    calibration_people: Sequence[Hashable],
    detectors: Sequence[Spec],
    combine: str,
    rate: float,
) -> None:
    check_combine(combine)
    shared = set(map(str, train_people)) & set(map(str, calibration_people))
    if shared:
        raise InputError(
            f"{len(shared)} people are among the training and the calibration scans",
            repair="split by person, so that nobody is on both sides",
        )
    if not detectors:
        raise ConfigError("a verdict needs at least one detector", repair="name one, for example mahalanobis")
    if not 0 < rate < 1:
        raise ConfigError(f"false_alarm_rate must lie between 0 and 1, got {rate}", repair="use 0.05")
