"""Splits by person: training, validation (chooses weights) and calibration (sets the OOD limits, chooses nothing)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medswin.errors import ConfigError
from medswin.io import read_json, write_json

PARTS = ("training", "validation", "calibration")


@dataclass(frozen=True)
class Split:
    """Case ids of each part, and the person that each case is of.

    Raises:
        ConfigError: if a person is in two parts.
    """

    training: tuple[str, ...]
    validation: tuple[str, ...]
    calibration: tuple[str, ...]
    people: Mapping[str, str]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for part in PARTS:
            for case in getattr(self, part):
                if seen.setdefault(self.people[case], part) != part:
                    raise ConfigError(
                        f"person {self.people[case]} is in {seen[self.people[case]]} and in {part}",
                        where=case,
                        repair="delete the splits file, or correct the group rule",
                    )

    def to_json(self) -> dict[str, Any]:
        return {**{part: list(getattr(self, part)) for part in PARTS}, "people": dict(self.people)}


def make_split(people: Mapping[str, str], validation: float, calibration: float, seed: int) -> Split:
    """Draw people at random: these shares (0 to 1) of all people for validation and calibration, the rest trains.

    Raises:
        ConfigError: if a share is negative, or fewer than one person would be left for a part that needs one.
    """
    names = sorted(set(people.values()))
    held, calibrated = round(validation * len(names)), round(calibration * len(names))
    if min(validation, calibration) < 0 or held < 1 or held + calibrated >= len(names):
        raise ConfigError(
            f"{len(names)} people cannot be split into shares {validation} for validation and {calibration} for "
            "calibration: at least one person must validate and one train",
            repair=_shares_for(len(names)),
        )
    order = np.random.default_rng(seed).permutation(names)
    part = dict.fromkeys(order[:held], "validation") | dict.fromkeys(order[held : held + calibrated], "calibration")
    cases = {name: tuple(c for c in sorted(people) if part.get(people[c], "training") == name) for name in PARTS}
    return Split(cases["training"], cases["validation"], cases["calibration"], dict(people))


def _shares_for(people: int) -> str:
    """Shares that so few people can be split into: from five on, three train, as a verdict needs."""
    if people < 2:
        return "give cases of more people"
    validation, calibration = (0.2, "0.2") if people > 4 else (round(1 / people, 2), "0 (no verdict)")
    return f"set data.validation={validation} and data.calibration={calibration}, or give cases of more people"


def keep_split(path: Path, people: Mapping[str, str], validation: float, calibration: float, seed: int) -> Split:
    """The split written at ``path``, or a new one, written there.

    Raises:
        ConfigError: if the file was made for other cases or groups.
    """
    if not path.exists():
        split = make_split(people, validation, calibration, seed)
        write_json(path, split.to_json())
        return split
    stored = read_json(path)
    if stored.get("people") != dict(people):
        raise ConfigError(
            "it was made for other cases or another group rule",
            where=path,
            repair="delete it, or use another folder -o",
        )
    return Split(**{part: tuple(stored[part]) for part in PARTS}, people=stored["people"])
