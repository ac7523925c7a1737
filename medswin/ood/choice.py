"""What a judge is made of where nothing is said: what won `pipelines/ood_study.py`."""

from __future__ import annotations

from typing import Any

from medswin.ood.combine import Combine
from medswin.ood.scale import parsed
from medswin.ood.view import View, is_output

CHOSEN_COMBINE: Combine = "fisher"


def chosen_detectors(*, mirrored: bool) -> list[str | dict[str, Any]]:
    """Features, entropy and shapes; where the windows are mirrored, whether both passes agree too."""
    disagreement = ["disagreement"] if mirrored else []
    return ["mahalanobis", "entropy", *disagreement, {"name": "ranges", "reads": ["shape"]}]


def chosen_view(features: int, *, mirrored: bool) -> View:
    """What they read: the mean over the scan of all of an encoder's ``features`` but the image itself, and the rest."""
    reads = [name for spec in chosen_detectors(mirrored=mirrored) for name in parsed(spec)[2]]
    outputs = tuple(name for name in reads if is_output(name))
    return View(stages=tuple(range(1, features)), outputs=outputs, appearance=True, shape=True)
