"""One verdict: its rate of false alarms, its reasons, and what it does with little or bad material."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from medswin.errors import ConfigError, InputError, PackageError, ShapeError
from medswin.ood import Calibration, GeometryRange, Judge, Layout, not_checked
from medswin.ood.judge import UNLIKE
from medswin.prediction import OODResult

WIDTH = 5
SIZE = {"fov_mm": (36.0, 50.0, 36.0), "spacing_mm": (1.0, 1.0, 1.0)}
HEAD = {"fov_mm": (220.0, 220.0, 110.0), "spacing_mm": (1.0, 1.0, 1.0)}


def people(rng: np.random.Generator, count: int, first: int = 0) -> tuple[np.ndarray, list[int]]:
    """Every other person has two scans that are much alike."""
    owner = np.repeat(np.arange(count), 1 + np.arange(count) % 2)
    rows = rng.normal(size=(count, WIDTH))[owner] + 0.3 * rng.normal(size=(len(owner), WIDTH))
    return rows, (owner + first).tolist()


def fitted(seed: int = 0, train: int = 40, calibration: int = 39, **options: Any) -> Judge:
    rng = np.random.default_rng(seed)
    train_ND, train_people = people(rng, train)
    held_ND, held_people = people(rng, calibration, first=1000)
    options = {
        "train_geometry": [SIZE] * len(train_ND), "calibration_geometry": [SIZE] * len(held_ND),
        "train_people": train_people, "calibration_people": held_people, **options,
    }  # fmt: skip
    return Judge.fit(train_ND, held_ND, **options)


def test_an_ordinary_scan_is_accepted() -> None:
    result = fitted().judge(np.zeros(WIDTH), SIZE)
    assert result.verdict == "accept"
    assert result.p_value > 0.5
    assert result.score < result.limit
    assert result.people == 39
    assert result.false_alarm_rate == 0.05
    assert set(result.parts) == {"mahalanobis", "knn"}
    assert result.score == max(result.parts.values())
    (reason,) = result.reasons
    assert reason.endswith("of the 39 people it was calibrated on were at least as unusual")


def test_a_far_scan_is_rejected_with_the_smallest_p_value_there_is() -> None:
    result = fitted().judge(np.full(WIDTH, 30.0), SIZE)
    assert result.verdict == "reject"
    assert result.p_value == 1 / 40
    assert result.reasons == (
        "less like the training scans than 39 of the 39 people it was calibrated on",
        "no single measurement stands out; the network's inner features do",
        "far beyond the scans it was calibrated on: do not use the result",
    )


def test_a_scan_for_review_is_told_what_to_do() -> None:
    judge = fitted()
    result = next(r for step in np.linspace(0, 9, 90) if (r := judge.judge(np.full(WIDTH, step), SIZE)).p_value < 0.05)
    assert result.verdict == "review"  # of 39 people one has a scan as unusual and one less so: neither is counted
    assert result.reasons == (
        "less like the training scans than 38 of the 39 people it was calibrated on",
        "no single measurement stands out; the network's inner features do",
        "check every outline before using the result",
    )


def test_features_are_not_blamed_where_another_detector_alarms() -> None:
    """The first number is called a feature, the others outputs: only the last of these is unusual, and has no name."""
    layout = Layout({"features": 1, "other": 4})
    judge = fitted(layout=layout, detectors=["mahalanobis", {"name": "knn", "reads": ["other"]}])
    assert judge.judge(np.array([0, 0, 0, 0, 30.0]), SIZE).reasons[1] == "no single measurement stands out"
    assert judge.judge(np.array([30.0, 0, 0, 0, 0]), SIZE).reasons[1].endswith("the network's inner features do")


def test_a_rank_below_one_person_is_not_told_as_none() -> None:
    """Of the 20 people the most unusual has two scans, one of them beyond the new scan: p = 1.5 / 21."""
    scores = np.array([*range(19), 30.0, 40.0])
    calibration = Calibration.fit(scores, [*range(19), 19, 19])
    judge = replace(fitted(), calibration=calibration, detectors=fitted().detectors[:1])
    step = next(s for s in np.linspace(0, 200, 2000) if 30 < judge.judge(np.full(WIDTH, s), SIZE).score < 40)
    result = judge.judge(np.full(WIDTH, step), SIZE)
    assert result.verdict == "accept"
    assert result.p_value == pytest.approx(1.5 / 21)
    assert result.reasons == (
        "like the training scans, but only just: 1 scan of the 20 people it was calibrated on was at least as unusual",
    )


def test_between_the_limit_and_far_lies_review() -> None:
    judge = fitted()
    verdicts, scores = [], []
    for step in np.linspace(0, 30, 120):
        result = judge.judge(np.full(WIDTH, step), SIZE)
        verdicts.append(result.verdict)
        scores.append(result.score)
        assert (result.verdict == "accept") == (result.score <= result.limit)
        assert (result.verdict == "reject") == (result.score > judge.far)
    # One way only: accept, then review, then reject.
    assert [v for i, v in enumerate(verdicts) if i == 0 or v != verdicts[i - 1]] == ["accept", "review", "reject"]


def test_far_is_as_far_again_as_the_most_unusual_calibration_scan() -> None:
    judge = fitted()
    top, middle = judge.calibration.scores[-1], judge.calibration.middle
    assert judge.far == top + max(top - middle, 1.0)
    assert judge.far >= top + 1.0


def test_sizes_unlike_are_rejected_whatever_the_features_say() -> None:
    result = fitted().judge(np.zeros(WIDTH), HEAD)
    assert result.verdict == "reject"
    assert result.score == UNLIKE
    assert result.p_value == 1 / 40
    assert result.reasons == (
        "less like the training scans than 39 of the 39 people it was calibrated on",
        "what is unusual: field of view 220 x 220 x 110 mm (training 36 x 50 x 36 mm)",
        "do not use the result: cut out the region that the model was made for, and use that part alone",
    )
    assert json.loads(json.dumps(result.score, allow_nan=False)) == UNLIKE


def test_no_feature_is_as_unusual_as_sizes_unlike() -> None:
    with np.errstate(all="ignore"):
        result = fitted().judge(np.full(WIDTH, 1e200), SIZE)
    assert result.verdict == "reject"
    assert result.score < UNLIKE


def test_calibration_scans_unlike_in_size_count_against_the_rate() -> None:
    """4 of 39 people are unlike: nobody is accepted wrongly, and the rate that holds is said."""
    _, owners = people(np.random.default_rng(0), 39)
    sizes = [HEAD if owner in (2, 4, 6, 8) else SIZE for owner in owners]
    judge = fitted(calibration_geometry=sizes)
    result = judge.judge(np.zeros(WIDTH), HEAD)
    assert result.verdict == "reject"
    assert result.p_value == result.false_alarm_rate == 5 / 40
    assert result.reasons[0] == "less like the training scans than 35 of the 39 people it was calibrated on"
    assert "4 of the 39 people it was calibrated on had sizes unlike" in result.reasons[2]
    assert "12.5 % instead of 5 %" in result.reasons[2]
    assert result.reasons[-1].startswith("do not use the result")
    assert judge.judge(np.zeros(WIDTH), SIZE).verdict == "accept"


def test_where_all_calibration_people_are_unlike_nothing_is_accepted_and_all_numbers_are_finite() -> None:
    _, owners = people(np.random.default_rng(1), 20)
    judge = fitted(calibration=20, calibration_geometry=[HEAD] * len(owners))
    usual, odd = judge.judge(np.zeros(WIDTH), SIZE), judge.judge(np.full(WIDTH, 30.0), SIZE)
    assert (usual.verdict, odd.verdict) == ("review", "reject")
    assert judge.far == 2.0  # training scans stand in: 1 is their 95 % quantile, 0 their middle
    assert usual.false_alarm_rate == 1.0
    assert np.isnan(usual.limit)
    assert json.loads(json.dumps(usual.to_json(), allow_nan=False))["limit"] is None
    assert set(judge.figures()) == {"calibration_people", "false_alarm_rate", "middle", "far"}
    assert usual.reasons[0] == "not less like the training scans than any of the 20 people it was calibrated on"
    assert "20 of the 20 people it was calibrated on had sizes unlike" in usual.reasons[2]


@pytest.mark.parametrize("endless", [float("inf"), -float("inf"), float("nan")])
def test_no_number_without_an_end_gets_into_json(endless: float) -> None:
    row = OODResult("review", endless, endless, endless, 3, endless, parts={"knn": endless}).to_json()
    assert json.loads(json.dumps(row, allow_nan=False))["limit"] is None
    assert np.isnan(OODResult.from_json(row).limit)


def test_what_was_learned_of_sizes_before_will_do() -> None:
    ranges = GeometryRange.fit([SIZE], factor=3.0)
    judge = fitted(train_geometry=ranges)
    assert judge.geometry == ranges
    assert judge.judge(np.zeros(WIDTH), {**SIZE, "spacing_mm": (2.9, 1.0, 1.0)}).verdict == "accept"
    assert judge.judge(np.zeros(WIDTH), {**SIZE, "spacing_mm": (3.1, 1.0, 1.0)}).verdict == "reject"


def test_few_people_raise_the_rate_and_say_so() -> None:
    judge = fitted(calibration=7)
    for feature, verdict in ((np.zeros(WIDTH), "accept"), (np.full(WIDTH, 30.0), "reject")):
        result = judge.judge(feature, SIZE)
        assert result.verdict == verdict
        assert result.false_alarm_rate == 1 / 8
        assert result.reasons[1 if verdict == "accept" else 2] == (
            "calibrated on 7 people only: false alarms may reach 12.5 %, and a limit of 5 % needs 19 people or more"
        )


def test_with_few_people_nothing_beyond_them_all_is_accepted() -> None:
    judge = fitted(calibration=1)
    top = judge.calibration.scores[-1]
    for step in np.linspace(0, 10, 60):
        result = judge.judge(np.full(WIDTH, step), SIZE)
        assert (result.verdict == "accept") == (result.score <= top)


def test_nineteen_people_are_just_enough() -> None:
    assert fitted(calibration=19).rate == 0.05
    assert fitted(calibration=18).rate == 1 / 19


def test_a_calibration_scan_judged_again_counts_itself() -> None:
    rng = np.random.default_rng(0)
    people(rng, 40)
    rows, owners = people(rng, 39, first=1000)
    judge = fitted()
    for row in rows:
        score = judge.judge(row, SIZE).score
        assert score in judge.calibration.scores
    assert len(set(owners)) == judge.calibration.people


def test_false_alarms_and_finds_over_many_sites() -> None:
    """New people like the others are flagged in at most about 5 %, and not far less; shifted ones nearly always."""
    few = {"name": "mahalanobis", "params": {"n_components": 2, "covariance": "empirical"}}
    alarms, found, sites, each = 0, 0, 70, 10
    for seed in range(sites):
        judge = fitted(seed, train=25, calibration=39, detectors=["mahalanobis", few])
        rows, owners = people(np.random.default_rng(10_000 + seed), each)
        firsts = [owners.index(owner) for owner in range(each)]
        alarms += sum(judge.judge(rows[i], SIZE).verdict != "accept" for i in firsts)
        found += judge.judge(rows[0] + 6.0, SIZE).verdict != "accept"
    # New people vary, and so does the rate of a site's own 39 people: Beta(2, 38), variance 0.05 * 0.95 / 41.
    margin = 3 * np.sqrt(0.05 * 0.95 * (1 / (sites * each) + 1 / (sites * 41)))
    assert 0.05 - margin < alarms / (sites * each) < 0.05 + margin
    assert found >= 0.98 * sites


def test_the_scale_takes_nothing_from_calibration_people() -> None:
    one = fitted(calibration=39)
    other = fitted(calibration=20)
    assert [(p.center, p.spread) for p in one.detectors] == [(p.center, p.spread) for p in other.detectors]


def test_on_the_common_scale_training_people_left_out_lie_between_0_and_1() -> None:
    judge = fitted(train=100, calibration=200)
    for i, name in enumerate(("mahalanobis", "knn")):
        rows, _ = people(np.random.default_rng(99), 200)
        scaled = np.array([judge.detectors[i].score(row, judge.reference.layout) for row in rows])
        assert abs(np.median(scaled)) < 0.3, name
        assert 0.85 < np.mean(scaled < 1) < 0.99, name


def test_save_and_load_give_the_same_bits() -> None:
    judge = fitted(detectors=[{"name": "knn", "params": {"k": 1, "normalize": True}}, "knn", "mahalanobis"])
    row, tensors = judge.to_parts()
    again = Judge.from_parts(json.loads(json.dumps(row, allow_nan=False)), {k: t.clone() for k, t in tensors.items()})
    for feature, size in ((np.zeros(WIDTH), SIZE), (np.arange(WIDTH) / 3, SIZE), (np.ones(WIDTH), HEAD)):
        assert again.judge(feature, size) == judge.judge(feature, size)
    assert set(judge.judge(np.zeros(WIDTH), SIZE).parts) == {"knn-1", "knn-2", "mahalanobis"}


def test_what_is_saved_names_nobody() -> None:
    judge = fitted()
    row, tensors = judge.to_parts()
    assert "1000" not in json.dumps(row)
    assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())


def test_damaged_and_newer_parts_are_refused() -> None:
    row, tensors = fitted().to_parts()
    with pytest.raises(PackageError, match="format version 3"):
        Judge.from_parts({**row, "format_version": 3}, tensors)
    with pytest.raises(PackageError, match="center_"):
        Judge.from_parts(row, {k: t for k, t in tensors.items() if k != "detector.0.center_"})
    with pytest.raises(PackageError, match="scores"):
        Judge.from_parts(row, {k: t for k, t in tensors.items() if k != "calibration.scores"})
    with pytest.raises(PackageError, match="geometry"):
        Judge.from_parts({k: v for k, v in row.items() if k != "geometry"}, tensors)
    with pytest.raises(PackageError, match="'oracle'"):
        Judge.from_parts({**row, "detectors": [{**row["detectors"][0], "name": "oracle"}]}, tensors)


def test_nobody_may_be_on_both_sides() -> None:
    _, owners = people(np.random.default_rng(0), 39)
    with pytest.raises(InputError, match="39 people are among the training and the calibration scans"):
        fitted(calibration_people=owners)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"calibration_people": [1000]}, InputError, "must be as many"),
        ({"train_geometry": [SIZE]}, InputError, "must be as many"),
        ({"detectors": []}, ConfigError, "at least one detector"),
        ({"detectors": ["oracle"]}, ConfigError, "oracle"),
        ({"detectors": [{"name": "knn", "k": 3}]}, ConfigError, "name, params and reads"),
        ({"false_alarm_rate": 0.0}, ConfigError, "between 0 and 1"),
        ({"train": 2}, InputError, "at least 3 training people, got 2"),
        ({"calibration": 0}, InputError, "no scan was given"),
    ],
)
def test_what_cannot_be_fitted_is_refused(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        fitted(**options)


def test_what_cannot_be_judged_is_refused() -> None:
    judge = fitted()
    with pytest.raises(ShapeError, match="5 features per scan, got 4"):
        judge.judge(np.zeros(4), SIZE)
    with pytest.raises(ShapeError, match="one scan"):
        judge.judge(np.zeros((1, WIDTH)), SIZE)
    with pytest.raises(InputError, match="NaN"):
        judge.judge(torch.full((WIDTH,), torch.nan), SIZE)


def test_tensors_of_any_precision_are_taken() -> None:
    judge = fitted()
    assert judge.judge(torch.zeros(WIDTH, dtype=torch.bfloat16), SIZE) == judge.judge(np.zeros(WIDTH), SIZE)


def test_a_model_without_detector_is_not_checked() -> None:
    result = not_checked()
    assert result.verdict == "not checked"
    assert result.people == 0
    assert "no detector" in result.reasons[0]
