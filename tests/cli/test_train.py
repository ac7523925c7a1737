"""``medswin train``: what it hands to the run, and how it ends; training itself is tested in its own room."""

from collections.abc import Callable
from pathlib import Path

import pytest

WORDS = ["train", "-c", "configs/hippocampus/swin_unetr.yaml", "--data", "d", "-o", "r", "--resume", "--no-progress"]


def test_the_run_gets_what_was_typed(medswin: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def train(config, *, report, **given):
        seen.update(given, steps=config.training.max_steps)
        report("200 scans")
        return Path("r/package")

    monkeypatch.setattr("medswin.config.train", train)
    status, out, err = medswin(*WORDS, "--set", "training.max_steps=20")
    assert (status, err) == (0, "")
    assert seen == {
        "data": Path("d"),
        "out": Path("r"),
        "resume": True,
        "init": None,
        "init_channels": None,
        "reviewed": None,
        "progress": False,
        "steps": 20,
    }
    assert out.splitlines() == [
        "200 scans",
        "model package  r/package",
        "use it with    medswin predict -i SCAN -o OUT -m r/package",
    ]


def test_a_run_that_was_told_to_stop_names_no_package(medswin: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("medswin.config.train", lambda config, **given: None)
    assert medswin(*WORDS) == (0, "", "")
