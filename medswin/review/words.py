"""The out-of-distribution verdict in plain words, for pages, tables and terminals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from medswin.prediction import OODResult, Verdict

Lamp = Literal["green", "amber", "red", "grey"]

BEYOND_SCALE = 1e5
"""Scores from here on are no measurements but marks: of sizes unlike the training scans, or of an overflow."""


@dataclass(frozen=True)
class VerdictWords:
    """A verdict as a person says it.

    Attributes:
        lamp: the traffic light's colour; never the only carrier of the meaning.
        headline: the verdict in a few words.
        meaning: one sentence: what was found, and what it does not mean.
        advice: one sentence: what to do.
    """

    lamp: Lamp
    headline: str
    meaning: str
    advice: str


_WORDS: dict[Verdict, VerdictWords] = {
    "accept": VerdictWords(
        "green",
        "Accepted: looks like the training scans",
        "The scan is no more unusual than scans of people that the limit was set on. "
        "This says nothing about whether the outlines are right.",
        "Look the outlines over as usual before using a volume.",
    ),
    "review": VerdictWords(
        "amber",
        "Review: unusual scan",
        "The scan is more unusual than nearly all scans of people that the limit was set on.",
        "Check every outline before using a volume.",
    ),
    "reject": VerdictWords(
        "red",
        "Rejected: unlike the training scans",
        "The model was not made for a scan like this; its outlines may be meaningless.",
        "Do not use the outlines or volumes.",
    ),
    "not checked": VerdictWords(
        "grey",
        "Not checked",
        "Nothing checked whether this scan is like the training scans. This is not a pass.",
        "Treat every outline and volume as unverified.",
    ),
}


def verdict_words(verdict: Verdict) -> VerdictWords:
    """The plain words of a verdict."""
    return _WORDS[verdict]


def numbers(ood: OODResult) -> tuple[tuple[str, str], ...]:
    """What the verdict rests on, as (name, value in words) pairs; a value that was not computed is left out.

    No p-value finer than 1 / (people + 1) is claimed: at that floor it is printed as "at most".
    """
    rows: list[tuple[str, str]] = []
    if math.isfinite(ood.score):
        rows.append(("Score", f"{score_words(ood.score)} (higher = more unusual)"))
    if math.isfinite(ood.limit):
        rows.append(("Limit", f"{ood.limit:.3g} (accepted up to here)"))
    if math.isfinite(ood.p_value):
        rows.append(("p-value", _p_value(ood)))
    if ood.people > 0:
        rows.append(("Limit set on", f"{ood.people} {'person' if ood.people == 1 else 'people'} kept out of training"))
    if math.isfinite(ood.false_alarm_rate):
        rows.append(("False alarms", _false_alarms(ood.false_alarm_rate)))
    if ood.expected_dice is not None:
        rows.append(("Expected Dice", f"{dice_words(ood.expected_dice)}: {DICE_CAVEAT}"))
    if ood.parts:
        rows.append(("By detector", ", ".join(f"{name} {score_words(score)}" for name, score in ood.parts.items())))
    return tuple(rows)


def score_words(score: float, form: str = ".3g") -> str:
    """A score as people read it: ``"7.31"``, ``"beyond the scale"``, or a dash where there is none."""
    if math.isnan(score):
        return "-"
    return "beyond the scale" if score >= BEYOND_SCALE else format(score, form)


DICE_CAVEAT = "nine in ten of a mixture of usual and degraded scans lie within, which is no promise for this one"


def dice_words(expected: tuple[float, float, float]) -> str:
    """``"0.87 (0.80-0.91)"``: what the segmentation's Dice is expected to be, and an interval: see `DICE_CAVEAT`."""
    middle, low, high = expected
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def _p_value(ood: OODResult) -> str:
    if ood.people > 0 and ood.p_value <= 1.0 / (ood.people + 1) * (1 + 1e-9):
        return f"at most {1.0 / (ood.people + 1):.2g}: none of the {ood.people} people was as unusual"
    return f"{ood.p_value:.2g}: share of those people (and this scan) at least as unusual"


def _false_alarms(rate: float) -> str:
    often = f", about 1 in {round(1 / rate)}" if 0 < rate <= 0.5 else ""
    return f"{100 * rate:.2g} % of scans like the training scans{often}, are not accepted"
