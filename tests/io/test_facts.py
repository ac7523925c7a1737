"""What is kept of a model beside its results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medswin.io.facts import ModelFacts, dice_of, facts_path, read_facts, write_facts

ROW = {"dice": 0.9, "dice_ci95": [0.85, 0.94], "both": 15, "hd95_mm": 1.2}
FACTS = ModelFacts("liver", "2.0", "cd" * 32, "CC0", {"limits": "adults"}, {"test": {"liver": (0.9, 0.8, 1.0, 7)}}, {})


def test_facts_come_back_as_they_were(tmp_path: Path) -> None:
    facts = ModelFacts(**{**vars(FACTS), "expected_ml": {"liver": (900.0, 2100.5)}})
    assert write_facts(tmp_path, facts) == tmp_path / "model-cdcdcdcdcdcd.json"
    assert read_facts(tmp_path, facts.package) == facts
    assert read_facts(tmp_path, "ef" * 32) is None


@pytest.mark.parametrize(
    "content", ["{", "{}", '{"facts_version": 2}', '{"facts_version": 1, "dice": 3, "expected_ml": {}}']
)
def test_damaged_facts_are_none(tmp_path: Path, content: str) -> None:
    write_facts(tmp_path, FACTS)
    facts_path(tmp_path, FACTS.package).write_text(content)
    assert read_facts(tmp_path, FACTS.package) is None
    write_facts(tmp_path, FACTS)  # and are written again
    assert json.loads(facts_path(tmp_path, FACTS.package).read_text())["name"] == "liver"


def test_dice_is_that_of_scans_that_taught_nothing() -> None:
    metrics = {"training": {"structures": {"liver": ROW}}, "test": {"structures": {"liver": ROW}}}
    assert dice_of(metrics) == {"test": {"liver": (0.9, 0.85, 0.94, 15)}}


@pytest.mark.parametrize("found", [None, 3, {}, {"structures": []}, {"structures": {"liver": {"dice": 1}}}])
def test_metrics_of_another_form_are_left_out(found: object) -> None:
    assert dice_of({"odd": found, "test": {"structures": {"liver": ROW}}}) == {"test": {"liver": (0.9, 0.85, 0.94, 15)}}


def test_a_volume_is_outside_where_no_training_scan_had_it() -> None:
    facts = ModelFacts("liver", "1", "ab" * 32, expected_ml={"liver": (900.0, 2100.0)})
    told = {volume: facts.outside("liver", volume) for volume in (0.0, 899.0, 900.0, 2100.0, 2101.0)}
    assert told == {0.0: False, 899.0: True, 900.0: False, 2100.0: False, 2101.0: True}
    assert not facts.outside("spleen", 5.0)
