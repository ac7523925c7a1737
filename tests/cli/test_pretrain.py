"""``medswin pretrain``: what it hands to the run, and how it ends; the run is tested in its own room."""

from collections.abc import Callable
from pathlib import Path

import pytest

WORDS = ["pretrain", "-c", "configs/pretrain/hippocampus_tang.yaml", "--data", "d", "-o", "r", "--no-progress"]


def test_the_run_gets_what_was_typed(medswin: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def pretrain(config, *, report, **given):
        seen.update(given, steps=config.training.max_steps)
        report("200 scans")
        return Path("r/pretrained.safetensors")

    monkeypatch.setattr("medswin.config.pretrain", pretrain)
    status, out, err = medswin(*WORDS, "--set", "training.max_steps=20", "--resume")
    assert (status, err) == (0, "")
    assert seen == {"data": Path("d"), "out": Path("r"), "resume": True, "progress": False, "steps": 20}
    assert out.splitlines() == [
        "200 scans",
        "encoder        r/pretrained.safetensors",
        "use it with    medswin train -c CONFIG --data DATA --init r/pretrained.safetensors",
    ]


def test_a_run_that_was_told_to_stop_names_no_file(medswin: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medswin.config.pretrain", lambda config, **given: None)
    assert medswin(*WORDS) == (0, "", "")
