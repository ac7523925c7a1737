"""Measurements of a scan in plain words. A package stores their names; what these mean is said when they are told."""

from __future__ import annotations

import re

import numpy as np

_SURE = "on a scale of 0 to 1"
GLOSSES = (
    (r"(voxel spacing|field of view) (\S+), mm", r"\1 {} mm \2"),
    (r"intensity at (\d+) %(| of .+)", r"normalised intensity\2 below which \1 % of the voxels lie: {}"),
    (r"skewness of the intensities(| of .+)", r"lopsidedness (skewness) of the normalised intensities\1: {}"),
    (r"(noise|sharpness)(| of .+)", r"\1\2 {} of the range of intensities"),
    (r"entropy", rf"the network is unsure of its outlines: {{}} {_SURE}"),
    (r"msp@.+", rf"the network is unsure of its outlines: {{}} {_SURE}"),
    (r"energy@.+", r"the network's answer is weak: free energy {}"),
    (r"disagreement", rf"the mirrored scan is outlined differently: {{}} {_SURE}"),
    (r"(.+): volume, ml", r"\1: volume {} ml on the model's grid"),
    (r"(.+): separate pieces", r"\1: {} separate pieces on the model's grid"),
    (r"(.+): share of the largest piece", r"\1: share of the largest piece {} on the model's grid"),
    (r"(.+): elongation", r"\1: elongation (longest over shortest extent) {}"),
    (r"(.+), (mm|ml)", r"\1 {} \2"),
)
"""Name of a number in a row's layout -> what is said of its value, the first that fits.

Volumes and pieces say where they were counted: the tables beside them count on the scan's own grid.
"""


_SIDES = (
    *(("to the right", "first"), ("to the front", "second"), ("upwards", "third")),
    *(("left-right", "first"), ("front-back", "second"), ("head-foot", "third")),
)


def without_sides(text: str) -> str:
    """What is said of a scan whose sides are unknown: axes have numbers instead."""
    for side, axis in _SIDES:
        text = text.replace(side, f"along the {axis} axis")
    return text


def measured(name: str, value: float) -> str:
    """A number of a scan, by its name in the layout: ``"noise"`` and 0.31 -> ``"noise 0.31 of the range of ..."``."""
    for pattern, words in GLOSSES:
        found = re.fullmatch(pattern, name)
        if found:
            return found.expand(words.replace("{}", number(value)))
    return f"{name} {number(value)}"


def span(name: str, low: float, high: float) -> str:
    """``"training 0.02 to 0.07"``; one number where both ends read alike, but of sizes, which have a decimal."""
    size = name.startswith(("voxel spacing", "field of view"))
    texts = [decimal(end) if size else number(end) for end in (low, high)]
    return f"training {texts[0]}" if texts[0] == texts[1] and not size else f"training {' to '.join(texts)}"


def number(value: float) -> str:
    """At most three significant digits, without an exponent: ``"0.02"``, ``"12.3"``; below 0.0001 it is ``"0"``."""
    if abs(value) < 1e-4:
        return "0"
    if abs(value) >= 1000:
        return f"{value:.0f}"
    if abs(value) >= 1:
        return f"{value:.3g}"
    return f"{value:.{2 - int(np.floor(np.log10(abs(value))))}f}".rstrip("0").rstrip(".")


def decimal(value: float) -> str:
    """The same with one decimal at least: ``"1.0"``, ``"0.625"``."""
    return f"{value:.1f}" if abs(value - round(value, 1)) < 0.005 else number(value)
