"""What inference has to say about a scan beside the verdict: findings for people to read."""

from __future__ import annotations

from medswin.findings import Finding
from medswin.io.scan import Scan
from medswin.labels import LabelSet

QUICK_LOOK = Finding(
    "quick-look",
    "warn",
    "The scan is far larger than the training scans: it got a quick look, without overlap or mirroring.",
    "cut the region out, and use that part alone",
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
    doubted = label_set.sided and not scan.oriented
    return (*((SIDE_UNKNOWN,) if doubted else ()), *((QUICK_LOOK,) if quick else ()))
