"""The reasons for a verdict, in sentences for a clinician."""

from __future__ import annotations

import math
from collections.abc import Sequence

from medswin.ood.calibration import Calibration


def rank(calibration: Calibration, score: float, accepted: bool) -> str:
    """Where the scan stands among the calibration people; a person whose scans lie on both sides is not counted."""
    as_unusual, people = calibration.as_unusual(score), f"the {plural(calibration.people)} it was calibrated on"
    if not accepted:
        passed = _whole(calibration.people - as_unusual)
        found = f"{passed} of" if passed else "any of"
        return f"{'' if passed else 'not '}less like the training scans than {found} {people}"
    counted = _whole(as_unusual)
    if counted == 0:  # of a person with several scans, some
        scans = calibration.scans_as_unusual(score)
        only = "1 scan" if scans == 1 else f"{scans} scans"
        return f"like the training scans, but only just: {only} of {people} {_was(scans)} at least as unusual"
    return f"like the training scans: {counted} of {people} {_was(counted)} at least as unusual"


def unusual(found: Sequence[str]) -> str:
    """What no training scan had, said of a scan that is not accepted."""
    return f"what is unusual: {'; '.join(found)}"


def nothing_unusual(features: bool) -> str:
    """Said instead where every single number is usual; ``features``: whether the network's alarm by themselves."""
    return "no single measurement stands out" + ("; the network's inner features do" if features else "")


def repair(*, rejected: bool, sizes: Sequence[str]) -> str:
    """What to do with a scan that is not accepted; ``sizes``: the repairs of sizes that are unlike."""
    if sizes:
        return f"do not use the result: {'; '.join(sizes)}"
    if rejected:
        return "far beyond the scans it was calibrated on: do not use the result"
    return "check every outline before using the result"


def too_few(people: int, wanted_rate: float, rate: float) -> str:
    """Said with every verdict of a model that was calibrated on too few people for the rate that was asked for."""
    needed = math.ceil(1.0 / wanted_rate - 1e-9) - 1
    return (
        f"calibrated on {plural(people)} only: false alarms may reach {percent(rate)}, and a limit of "
        f"{percent(wanted_rate)} needs {plural(needed)} or more"
    )


def unlike_people(people: float, of: int, wanted_rate: float, rate: float) -> str:
    """Said where calibration people themselves broke the rule on sizes, so often that the rate cannot be kept."""
    return (
        f"{people:.3g} of the {of} people it was calibrated on had sizes unlike the training scans too: false alarms "
        f"may reach {percent(rate)} instead of {percent(wanted_rate)}"
    )


def percent(rate: float) -> str:
    """A share as people read it: 0.125 -> ``"12.5 %"``."""
    return f"{100 * rate:.3g} %"


def plural(people: int) -> str:
    """``"1 person"``, ``"40 people"``."""
    return "1 person" if people == 1 else f"{people} people"


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _whole(people: float) -> int:
    return math.floor(people + 1e-9)
