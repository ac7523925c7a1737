"""What inference has to say about a scan beside the verdict: findings for people to read."""

from __future__ import annotations

import re

from medswin.findings import Finding
from medswin.io.scan import Scan
from medswin.labels import LabelSet

SIDES = {"left", "right", "l", "r"}

QUICK_LOOK = Finding(
    "quick-look",
    "warn",
    "The scan is far larger than the training scans: it got a quick look, without overlap or mirroring.",
    "cut the region out with --box",
)
SIDE_UNKNOWN = Finding(
    "side-unknown",
    "warn",
    "The scan does not say which side is left: structures that are named by side may be swapped.",
    "take the scan from a source that keeps its orientation",
)


def remarks(scan: Scan, label_set: LabelSet, *, quick: bool) -> tuple[Finding, ...]:
    """Findings on a scan; ``quick`` where it was only looked at quickly.

    A network tells left from right by the way the scan lies, which has to be known for that.
    """
    doubted = sided(label_set) and not scan.oriented
    return (*((SIDE_UNKNOWN,) if doubted else ()), *((QUICK_LOOK,) if quick else ()))


def sided(label_set: LabelSet) -> bool:
    """Whether a structure's name says left or right."""
    return any(SIDES & set(re.split(r"[^a-z]+", name.lower())) for name in label_set.names)
