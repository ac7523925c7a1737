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
from medswin.findings import Finding
from medswin.io.dicom.header import Header, read_headers

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
        findings: what was noticed about their folders.
    """

    id: str
    modality: str
    description: str
    slices: tuple[Header, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Of the slices, in their order."""
        return tuple(header.path for header in self.slices)


@dataclass(frozen=True, eq=False)
class Tree:
    """What a tree of files holds.

    Attributes:
        series: sorted by their names.
        passed_over: how many files were left out, by what they are.
    """

    series: tuple[Series, ...]
    passed_over: dict[str, int]


def find_series(folder: Path | str, key: bytes) -> Tree:
    """The series in a tree of files, each time point or echo of a series its own; with or without ``.dcm``.

    Localisers, lone slices, secondary captures, colour images, structured reports and what is not DICOM are passed
    over; so are multi-frame files, which are not read yet. A series in whose folder a file is damaged says so.

    Args:
        folder: of any depth. Hidden files and ``DICOMDIR`` are passed over.
        key: of the hash that names the series; whoever has it can tell which UID a name stands for.

    Raises:
        InputError: if there is no such folder, or no series in it; the error counts what there is instead.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("no such folder", where=folder, repair="check the path")
    headers: list[Header] = []
    others, damaged = Counter[str](), Counter[Path]()
    for path, found in read_headers(folder):
        if isinstance(found, Header):
            headers.append(found)
        else:
            others[found] += 1
            damaged[path.parent] += found == "damaged"
    parts = [part for group in _groups(headers) for part in _by_repeats(group)]
    series = [part for part in parts if len(part) > 1]
    if len(series) < len(parts):
        others["lone slices"] = len(parts) - len(series)
    if not series:
        seen = ", ".join(f"{count} {what}" for what, count in sorted(others.items())) or "no files"
        raise InputError(
            f"no NIfTI file, and no DICOM series of CT, MR, PT or NM: {seen}",
            where=folder,
            repair="name another folder",
        )
    return Tree(tuple(sorted(_named(series, key, damaged), key=lambda one: one.id)), dict(others))


def along(headers: Sequence[Header]) -> NDArray[np.float64] | None:
    """Where slices lie along their normal in mm; None where one does not say."""
    places = [header.place for header in headers if header.place is not None]
    if len(places) < len(headers):
        return None
    return np.array([float(places[0].normal @ place.origin_mm) for place in places])


def _groups(headers: Iterable[Header]) -> list[list[Header]]:
    """Slices of one series, size, time and, all but for jitter, of one spacing and orientation."""
    alike: dict[object, list[list[Header]]] = {}
    for header in headers:
        groups = alike.setdefault((header.series, header.modality, header.size, header.times), [])
        group = next((group for group in groups if _parallel(group[0], header)), None)
        if group is None:
            groups.append([header])
        else:
            group.append(header)
    return [group for groups in alike.values() for group in groups]


def _parallel(a: Header, b: Header) -> bool:
    if a.place is None or b.place is None:
        return a.place is b.place
    differences = (a.place.axes - b.place.axes, a.place.pixel_mm - b.place.pixel_mm)
    return all(np.abs(difference).max() <= JITTER for difference in differences)


def _by_repeats(group: list[Header]) -> list[list[Header]]:
    """The group in its order, or its parts by the first of `REPEATS` that leaves no part two slices at one place."""
    places = along(group)
    if places is None:
        return [group]
    order = np.argsort(places, kind="stable")
    group, places = [group[i] for i in order], places[order]
    if not _repeated(places):
        return [group]
    for i in range(len(group[0].repeats)):
        parts: dict[str, list[int]] = {}
        for row, header in enumerate(group):
            parts.setdefault(header.repeats[i], []).append(row)
        even = len({len(rows) for rows in parts.values()}) == 1 < len(parts)
        if even and not any(_repeated(places[rows]) for rows in parts.values()):
            return [[group[row] for row in rows] for rows in parts.values()]
    return [group]


def _repeated(places: NDArray[np.float64]) -> bool:
    return bool((np.diff(places) < SAME_MM).any())


def _named(groups: Sequence[list[Header]], key: bytes, damaged: Counter[Path]) -> list[Series]:
    found = []
    for group in groups:
        name = "series-" + hmac.new(key, group[0].series.encode(), "sha256").hexdigest()[:12]
        bad = sum(damaged[folder] for folder in {header.path.parent for header in group})
        said = f"{bad} damaged file(s) lie beside its slices: its first or last slice may be missing."
        findings = (Finding("damaged-files", "warn", said, "export the series again"),) if bad else ()
        found.append(Series(name, group[0].modality, group[0].description, tuple(group), findings))
    counts, seen = Counter(series.id for series in found), Counter[str]()
    for i, series in enumerate(found):
        if counts[series.id] > 1:
            seen[series.id] += 1
            found[i] = replace(series, id=f"{series.id}-{seen[series.id]}")
    return found
