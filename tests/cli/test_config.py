"""``medswin config``: a sound config, an unsound one in one line, and a printed one that can be read again."""

from collections.abc import Callable
from pathlib import Path

import pytest

SHIPPED = "configs/hippocampus/swin_unetr.yaml"


def test_the_shipped_config_is_sound(medswin: Callable) -> None:
    status, out, err = medswin("config", "check", SHIPPED)
    assert (status, err) == (0, "")
    assert out.endswith("swin_unetr.yaml: sound\n")


@pytest.mark.parametrize(
    ("change", "word"),
    [("training.max_step=3", "max_step"), ("network.name=unet9", "unet9"), ("network.feature_sise=3", "feature_sise")],
)
def test_what_is_unknown_is_named_in_one_line(medswin: Callable, change: str, word: str) -> None:
    status, _, err = medswin("config", "check", SHIPPED, "--set", change)
    assert (status, len(err.splitlines())) == (2, 1)
    assert word in err
    assert "swin_unetr.yaml" in err


def test_what_is_shown_can_be_read_again(medswin: Callable, tmp_path: Path) -> None:
    status, shown, _ = medswin("config", "show", SHIPPED, "--set", "training.max_steps=20")
    assert status == 0
    assert "max_steps: 20" in shown
    (tmp_path / "mine.yaml").write_text(shown, encoding="utf-8")
    assert medswin("config", "show", tmp_path / "mine.yaml")[1] == shown


def test_configs_of_pretraining_are_checked_and_shown_too(medswin: Callable) -> None:
    name = "pretrain/hippocampus_tang"
    assert medswin("config", "check", name)[1].endswith("hippocampus_tang.yaml: sound\n")
    assert "weighting: fixed" in medswin("config", "show", name)[1]
    status, _, err = medswin("config", "check", name, "--set", "training.patch_size=[10,10,10]")
    assert status == 2
    assert "must be divisible by" in err
