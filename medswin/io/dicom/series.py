"""Series: the slices of one volume, in their order along the normal, whatever their names and numbers say."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.dicom.header import SPLITTING, VOLUMETRIC, Header, read_headers

JITTER = 1e-3  # of a direction, between slices that belong together
SAME_MM = 1e-2  # positions along the normal that are one


@dataclass(frozen=True, eq=False)
class Series:
    """The slices of one volume, not yet looked into.

    Attributes:
        id: a name that tells nothing of the patient: a keyed hash of the series' UID.
        modality: CT, MR, PT or NM.
        description: as the scanner's operator wrote it; may hold anything.
        slices: sorted along the normal; those without a position come in the order of their names.
    """

    id: str
    modality: str
    description: str
    slices: tuple[Header, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """Of the slices, in their order."""
        return tuple(header.path for header in self.slices)


def find_series(folder: Path | str, key: bytes = b"") -> list[Series]:
    """The series in a tree of files, each time point or echo of a series its own; with or without ``.dcm``.

    Localisers, secondary captures, colour images, structured reports and what is not DICOM are passed over; so are
    multi-frame files, which are not read yet.

    Args:
        folder: of any depth. Hidden files and ``DICOMDIR`` are passed over.
        key: of the hash that names the series; whoever has it can tell which UID a name stands for.

    Raises:
        InputError: if there is no such folder, or no series in it; the error counts what there is instead.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("no such folder", where=folder, repair="check the path")
    headers, others = [], Counter[str]()
    for found in read_headers(folder):
        if isinstance(found, str):
            others[found] += 1
        elif found.modality in VOLUMETRIC:
            headers.append(found)
        else:
            others[f"modality {found.modality or 'unnamed'}"] += 1
    series = [part for group in _groups(headers) for part in _time_points(group)]
    if not series:
        seen = ", ".join(f"{count} {what}" for what, count in sorted(others.items())) or "no files"
        raise InputError(f"no DICOM series of CT, MR, PT or NM: {seen}", where=folder, repair="name another folder")
    return sorted(_named(series, key), key=lambda one: one.id)


def along(headers: Sequence[Header]) -> NDArray[np.float64] | None:
    """Where slices lie along their normal in mm; None where one does not say."""
    places = [header.place for header in headers if header.place is not None]
    if len(places) < len(headers):
        return None
    return np.array([float(places[0].normal @ place.origin_mm) for place in places])


def _groups(headers: Iterable[Header]) -> list[list[Header]]:
    """Slices of one series, size, spacing and orientation."""
    groups: list[list[Header]] = []
    for header in headers:
        fitting = (group for group in groups if _belong(group[0], header))
        group = next(fitting, None)
        if group is None:
            groups.append([header])
        else:
            group.append(header)
    return groups


def _belong(a: Header, b: Header) -> bool:
    if (a.series, a.modality, a.size) != (b.series, b.modality, b.size):
        return False
    if a.place is None or b.place is None:
        return a.place is b.place
    pairs = ((a.place.axes, b.place.axes), (a.place.pixel_mm, b.place.pixel_mm))
    return all(np.allclose(one, other, rtol=0, atol=JITTER) for one, other in pairs)


def _time_points(group: list[Header]) -> list[list[Header]]:
    """The group, or its parts by the first of `SPLITTING` that leaves no two slices of a part at one place."""
    places = along(group)
    if places is None:
        return [group]
    order = np.argsort(places, kind="stable")
    group, places = [group[i] for i in order], places[order]
    if not _repeated(places):
        return [group]
    for i in range(len(SPLITTING)):
        parts: dict[object, list[int]] = {}
        for row, header in enumerate(group):
            parts.setdefault(header.times[i], []).append(row)
        even = len({len(rows) for rows in parts.values()}) == 1 < len(parts)
        if even and not any(_repeated(places[rows]) for rows in parts.values()):
            return [[group[row] for row in rows] for rows in parts.values()]
    return [group]


def _repeated(places: NDArray[np.float64]) -> bool:
    return bool((np.diff(np.sort(places)) < SAME_MM).any())


def _named(groups: Iterable[list[Header]], key: bytes) -> list[Series]:
    found, seen = [], Counter[str]()
    for group in groups:
        first = group[0]
        name = "series-" + hmac.new(key, first.series.encode(), "sha256").hexdigest()[:12]
        seen[name] += 1
        found.append(Series(name, first.modality, first.description, tuple(group)))
    several, counted = {name for name, count in seen.items() if count > 1}, Counter[str]()
    for i, series in enumerate(found):
        if series.id in several:
            counted[series.id] += 1
            found[i] = replace(series, id=f"{series.id}-{counted[series.id]}")
    return found
