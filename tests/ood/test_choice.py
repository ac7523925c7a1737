"""What a judge is made of where nothing is said, by a config and by a site."""

from __future__ import annotations

from typing import Any

import pytest

from medswin.config import Config, check, load, parts
from medswin.ood import chosen_detectors, chosen_view, parsed
from medswin.resources import find_config

SHAPE = {"name": "ranges", "reads": ["shape"]}
PLAIN = ["mahalanobis", "entropy", SHAPE]
MIRRORED = ["mahalanobis", "entropy", "disagreement", SHAPE]
RUN = {"name": "run", "network": {"name": "swin_unetr", "feature_size": 12}, "training": {"patch_size": [32, 32, 64]}}


@pytest.mark.parametrize("config", ["hippocampus/swin_unetr", "hippocampus/cswin_unet"])
def test_it_is_what_the_shipped_configs_write_out(config: str) -> None:
    said = load(find_config(config)).ood
    assert list(map(parsed, said.detectors)) == list(map(parsed, chosen_detectors(mirrored=True)))
    assert said.stages == chosen_view(5, mirrored=True).stages == (1, 2, 3, 4)
    assert said.combine == "fisher"


@pytest.mark.parametrize(
    ("more", "detectors"),
    [
        ({}, PLAIN),
        ({"window": {"mirror_axes": [1]}}, MIRRORED),
        ({"window": {"mirror_axes": [1]}, "ood": {"stages": [1, -1]}}, MIRRORED),
        ({"window": {"mirror_axes": [1]}, "ood": {"detectors": ["knn"]}}, ["knn"]),
        ({"ood": {"detectors": PLAIN}, "window": {"mirror_axes": [1]}}, PLAIN),
    ],
)
def test_mirrored_windows_bring_disagreement(more: dict[str, Any], detectors: list[Any]) -> None:
    config = Config.model_validate(RUN | more)
    assert config.ood.detectors == detectors
    check(config)
    assert ("disagreement" in parts.view(config).outputs) == ("disagreement" in detectors)
    assert Config.model_validate(config.model_dump()) == config


@pytest.mark.parametrize("mirrored", [True, False])
def test_a_view_holds_what_the_detectors_read(mirrored: bool) -> None:
    view = chosen_view(6, mirrored=mirrored)
    assert view.stages == (1, 2, 3, 4, 5)
    assert view.outputs == (("entropy", "disagreement") if mirrored else ("entropy",))
    assert (view.appearance, view.shape, view.cells) == (True, True, 1)
