"""Which DICOM series a model takes: rules on modality, orientation, number of slices and description."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from fnmatch import fnmatchcase
from typing import Any

from medswin.errors import PackageError

ORIENTATIONS = ("axial", "coronal", "sagittal", "oblique")

_COUNTS = ("min_slices", "max_slices")
_REPAIR = 'correct "series" in its model.json'


@dataclass(frozen=True)
class Rule:
    """What a series must be to become a channel; what is empty or None asks nothing.

    Attributes:
        modality: DICOM's names, such as ``"MR"``; one of them.
        orientation: some of `ORIENTATIONS`; one of them.
        min_slices, max_slices: how many slices it may have, both included.
        description: globs such as ``"*t2w*"``, in which case does not matter; one of them matches the series
            description.
        not_description: such globs, none of which matches.
    """

    modality: tuple[str, ...] = ()
    orientation: tuple[str, ...] = ()
    min_slices: int | None = None
    max_slices: int | None = None
    description: tuple[str, ...] = ()
    not_description: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, row: Any) -> Rule:
        """The rule that an object of a ``model.json`` describes.

        Raises:
            PackageError: for anything but an object, a key that no rule has, a value of another type, an orientation
                that there is not, or numbers of slices that no series can have.
        """
        if not isinstance(row, Mapping):
            raise _wrong(f"a rule for series is {row!r}, it must be an object")
        known = [field.name for field in fields(cls)]
        unknown = sorted(str(key) for key in row if key not in known)
        if unknown:
            raise _wrong(f"a rule for series has the key {unknown[0]!r}, the keys are {', '.join(known)}")
        values: dict[str, Any] = {key: (_count if key in _COUNTS else _strings)(key, row[key]) for key in row}
        rule = cls(**values)
        rule._check()
        return rule

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads; what asks nothing is left out."""
        values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}
        return {key: value for key, value in values.items() if value not in ([], None)}

    def objection(self, *, modality: str, orientation: str, slices: int, description: str) -> str:
        """Why a series is not for the model, in words that tell nothing of the patient; empty where it is.

        Args:
            modality: as the series states it.
            orientation: one of `ORIENTATIONS`, or empty where it is not known.
            slices: how many it has.
            description: of the series. It may hold anything and is never quoted.
        """
        if self.modality and modality.upper() not in map(str.upper, self.modality):
            return f"{_shown(modality)}, the model takes {_either(self.modality)}"
        if self.orientation and orientation not in self.orientation:
            return f"{orientation or 'unknown orientation'}, the model takes {_either(self.orientation)}"
        if self.min_slices is not None and slices < self.min_slices:
            return f"{slices} slices, the model takes {self.min_slices} or more"
        if self.max_slices is not None and slices > self.max_slices:
            return f"{slices} slices, the model takes {self.max_slices} or fewer"
        wanted = not self.description or _matches(description, self.description)
        if not wanted or _matches(description, self.not_description):
            return f"its description does not match the model's rule: {self._descriptions()}"
        return ""

    def words(self) -> str:
        """What it asks, for a log: ``"MR, axial or oblique, 8 or more slices, description *t2w* but not *fs*"``."""
        least = "" if self.min_slices is None else f"{self.min_slices} or more slices"
        most = "" if self.max_slices is None else f"{self.max_slices} or fewer slices"
        asked = (_either(self.modality), _either(self.orientation), least, most, self._descriptions())
        return ", ".join(filter(None, asked)) or "any series"

    def _descriptions(self) -> str:
        wanted, unwanted = _either(self.description), _either(self.not_description)
        told = f"{wanted or 'any'} but not {unwanted}" if unwanted else wanted
        return f"description {told}" if told else ""

    def _check(self) -> None:
        odd = [name for name in self.orientation if name not in ORIENTATIONS]
        if odd:
            raise _wrong(f"orientation is {odd[0]!r} in a rule for series, it must be {_either(ORIENTATIONS)}")
        least, most = self.min_slices, self.max_slices
        if least is not None and most is not None and least > most:
            raise _wrong(f"min_slices is {least} and max_slices {most} in a rule for series: none can have both")


def rules_of(model_json: Mapping[str, Any], channels: Sequence[str]) -> tuple[Rule, ...]:
    """The rule of each channel, from ``"series"`` of a ``model.json``; rules that ask nothing where it is absent.

    That is one rule for a model of one channel, or ``{"channels": [a rule for each channel]}``.

    Raises:
        PackageError: for another shape, another number of rules, or a wrong rule, see `Rule.from_json`.
    """
    if "series" not in model_json:
        return tuple(Rule() for _ in channels)
    series = model_json["series"]
    rows = series["channels"] if isinstance(series, Mapping) and set(series) == {"channels"} else [series]
    if not isinstance(rows, list) or len(rows) != len(channels):
        count = len(rows) if isinstance(rows, list) else "no list of"
        raise _wrong(f"has {count} rules for series, its {len(channels)} channels need one each")
    return tuple(Rule.from_json(row) for row in rows)


def _strings(key: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) and one for one in value):
        raise _wrong(f"{key} is {value!r} in a rule for series, it must be a list of words")
    return tuple(value)


def _count(key: str, value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise _wrong(f"{key} is {value!r} in a rule for series, it must be a whole number from 1 on")
    return value


def _matches(description: str, globs: Iterable[str]) -> bool:
    text = description.casefold().strip()
    return any(fnmatchcase(text, glob.casefold()) for glob in globs)


def _shown(modality: str) -> str:
    """The modality, if it looks like one of DICOM's: a damaged header may hold anything there."""
    plain = len(modality) == 2 and modality.isascii() and modality.isupper()
    return modality if plain else "another modality"


def _either(names: Iterable[str]) -> str:
    return " or ".join(names)


def _wrong(what: str) -> PackageError:
    return PackageError(what, repair=_REPAIR)
