"""Slices alone, which are no volume: single ones, and whole series that fell apart into them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from medswin.io.dicom import Series
from medswin.io.dicom.grouping import like_a_volume, volumes
from medswin.io.dicom.header import Header
from medswin.io.dicom.series import numbered

MANY = 3
"""Slices alone from which on those of one series are told as one."""

_ONE = "a slice alone, which is no volume"
_LIKELY = "as when each file was made anonymous by itself"
_APART = "of another size, spacing, direction or time each"


@dataclass(frozen=True)
class Lone:
    """Slices that are told as one.

    Attributes:
        series: they, as if they were a volume.
        why: they are none.
        repair: what can be done.
        torn: whether they would be one, but for identifiers that differ.
    """

    series: Series
    why: str
    repair: str = ""
    torn: bool = False


def lone_slices(lone: Sequence[Series]) -> list[Lone]:
    """What is to be told of slices alone: of each by itself, or of `MANY` and more together.

    Those that go together are of one series; or of many series but one folder, in which they lie like a volume's
    slices, whatever is missing or there twice.
    """
    torn = _torn([one for one in lone if one.slices[0].has_uid], lambda header: header.series)
    beside = _torn(_without(lone, torn), lambda header: f"{header.path.parent} {header.description}")
    torn += [group for group in beside if like_a_volume(_slices(group))]
    rest = _without(lone, torn)
    of_series: dict[str, list[Series]] = {}
    for one in rest:
        of_series.setdefault(one.slices[0].series, []).append(one)
    whole = [group for group in of_series.values() if len(group) >= MANY]
    together = numbered([_together(group) for group in (*torn, *whole)])
    told = [_told(one, torn=i < len(torn)) for i, one in enumerate(together)]
    return told + [Lone(one, _ONE) for one in _without(rest, whole)]


def _torn(lone: Sequence[Series], by: Callable[[Header], str]) -> list[list[Series]]:
    """Slices that would be a volume, if those of whom ``by`` tells the same named one patient, study and series."""
    of = {(header.path, header.frame): one for one in lone for header in one.slices}
    alike = (replace(header, patient="", study="", series=by(header)) for header in _slices(lone))
    groups = [[of[header.path, header.frame] for header in part] for part in volumes(alike)]
    return [group for group in groups if len(group) >= MANY and _differ(_slices(group))]


def _without(lone: Sequence[Series], groups: Sequence[Sequence[Series]]) -> list[Series]:
    known = {one.id for group in groups for one in group}
    return [one for one in lone if one.id not in known]


def _slices(group: Sequence[Series]) -> list[Header]:
    return [header for one in group for header in one.slices]


def _together(group: Sequence[Series]) -> Series:
    name = "-".join(group[0].id.replace("slice", "slices", 1).split("-")[:2])
    return replace(group[0], id=name, slices=tuple(_slices(group)))


def _told(series: Series, *, torn: bool) -> Lone:
    count, differ = len(series.slices), _differ(series.slices)
    if not differ:
        return Lone(series, f"{count} slices of one series, {_APART}, which are no volume")
    why = f"its {count} slices are no volume, as they name {differ}, {_LIKELY}"
    repair = "export the series again, or make it anonymous again with one identifier for all its slices"
    return Lone(series, why, repair, torn)


def _differ(slices: Sequence[Header]) -> str:
    """How many of each identifier there are, of which there are several."""
    named = {
        "PatientID": {header.patient for header in slices},
        "StudyInstanceUID": {header.study for header in slices},
        "SeriesInstanceUID": {header.series for header in slices},
    }
    return " and ".join(f"{len(values)} {tag}s" for tag, values in named.items() if len(values) > 1)
