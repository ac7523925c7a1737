"""Slices alone, which are no volume: single ones, and whole series that fell apart into them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from medswin.io.dicom import Series
from medswin.io.dicom.grouping import evenly_spaced
from medswin.io.dicom.header import Header

MANY = 3
"""Slices alone from which on those of one series are told as one."""

_ONE = "a slice alone, which is no volume"
_LIKELY = "as when each file was made anonymous by itself"
_APART = "of another size, spacing, direction or time each"


@dataclass(frozen=True)
class Lone:
    """Slices that are told as one.

    Attributes:
        name: of them.
        series: they, as if they were a volume.
        why: they are none.
        repair: what can be done.
        torn: whether they would be one, but for identifiers that differ.
    """

    name: str
    series: Series
    why: str
    repair: str = ""
    torn: bool = False


def lone_slices(lone: Sequence[Series]) -> list[Lone]:
    """What is to be told of slices alone: of each by itself, or of `MANY` and more together.

    Those are of one series, or of many series but one folder in which they lie as evenly as a volume's slices.
    """
    of_series = _grouped(lone, lambda header: (header.series, header.has_uid))
    rest = [one for group in of_series if len(group) < MANY for one in group]
    in_folder = _grouped(rest, lambda header: (header.path.parent, header.modality, header.size))
    torn = [group for group in in_folder if len(group) >= MANY and evenly_spaced(_slices(group))]
    told = {one.id for group in torn for one in group}
    together = [_together(group) for group in (*(group for group in of_series if len(group) >= MANY), *torn)]
    return together + [Lone(one.id, one, _ONE) for one in rest if one.id not in told]


def _grouped(lone: Sequence[Series], by: Callable[[Header], Hashable]) -> list[list[Series]]:
    groups: dict[Hashable, list[Series]] = {}
    for one in lone:
        groups.setdefault(by(one.slices[0]), []).append(one)
    return list(groups.values())


def _slices(group: Sequence[Series]) -> list[Header]:
    return [header for one in group for header in one.slices]


def _together(group: Sequence[Series]) -> Lone:
    slices = _slices(group)
    name = "-".join(group[0].id.replace("slice", "slices", 1).split("-")[:2])
    series = replace(group[0], id=name, slices=tuple(slices))
    differ = " and ".join(f"{count} {tag}s" for tag, count in _identifiers(slices).items() if count > 1)
    if not differ:
        return Lone(name, series, f"{len(slices)} slices of one series, {_APART}, which are no volume")
    why = f"its {len(slices)} slices are no volume, as they name {differ}, {_LIKELY}"
    repair = "export the series again, or make it anonymous again with one identifier for all its slices"
    return Lone(name, series, why, repair, evenly_spaced(slices))


def _identifiers(slices: Sequence[Header]) -> dict[str, int]:
    """How many of each there are."""
    named = {
        "PatientID": [header.patient for header in slices],
        "StudyInstanceUID": [header.study for header in slices],
        "SeriesInstanceUID": [header.series for header in slices],
    }
    return {tag: len(set(values)) for tag, values in named.items()}
