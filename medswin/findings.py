"""Findings: what was noticed about a scan on its way through, for people to read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Grade = Literal["note", "warn", "refuse"]

NO_ORIENTATION = "no-orientation"
"""Code of the finding that nothing says which way the array lies."""

SIDES_CONTRADICT = "sides-contradict"
"""Code of the finding that two parts of a header contradict each other on which side is left."""


@dataclass(frozen=True)
class Finding:
    """One observation about a scan.

    Attributes:
        code: stable short name in kebab-case, for example ``"no-orientation"``.
        grade: ``"note"`` (nothing to do), ``"warn"`` (check before use) or ``"refuse"`` (do not use the result).
        message: one sentence in plain words, with the values and their units.
        repair: what the user can do about it; empty where there is nothing to do.
    """

    code: str
    grade: Grade
    message: str
    repair: str = ""


def oriented(findings: Iterable[Finding]) -> bool:
    """Whether left and right can be told, after all that was noticed about a scan."""
    return not {NO_ORIENTATION, SIDES_CONTRADICT} & {finding.code for finding in findings}
