"""Who measures a model, and so must never teach it: what a training run's ``splits.json`` keeps from training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from medswin.errors import InputError
from medswin.io.files import read_json
from medswin.io.people import people

PARTS = ("validation", "calibration")


@dataclass(frozen=True)
class HeldOut:
    """Cases and people that are kept from training.

    Attributes:
        cases: their names.
        persons: whose scans these are.
        group: the rule that tells whose scan another case is, see `medswin.io.people`; each is of a person of its own
            where it is not known.
    """

    cases: frozenset[str] = frozenset()
    persons: frozenset[str] = frozenset()
    group: Mapping[str, str] = field(default_factory=lambda: {"by": "case"})

    def __contains__(self, case: object) -> bool:
        """Whether a case, or another scan of its person, is kept from training.

        Raises:
            InputError: if the rule does not tell whose scan it is.
        """
        name = str(case)
        return bool(self.cases) and (name in self.cases or people([name], self.group)[name] in self.persons)


def read_held_out(splits: Path) -> HeldOut:
    """What a ``splits.json`` holds out; the run's ``config.json`` beside it tells the rule for people.

    Raises:
        InputError: if it cannot be read, or is no such file.
    """
    values = read_json(splits)
    try:
        cases = [str(case) for part in PARTS for case in values[part]]
        persons = frozenset(str(values["people"][case]) for case in cases)
    except (KeyError, TypeError):
        raise InputError("is no splits.json of a training run", where=splits, repair="name another file") from None
    return HeldOut(frozenset(cases), persons, _rule(splits.with_name("config.json")))


def _rule(config: Path) -> dict[str, str]:
    if not config.is_file():
        return {"by": "case"}
    try:
        return dict(read_json(config)["data"]["group"])
    except (KeyError, TypeError, ValueError):
        raise InputError("does not say whose scan a case is", where=config, repair="restore it, or remove it") from None
