"""Which slices belong together: those of one series, size, spacing, orientation and time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from medswin.io.dicom.header import Header

JITTER = 1e-3  # of a direction, between slices that belong together
SAME_MM = 1e-2  # positions along the normal that are one


def volumes(headers: Iterable[Header]) -> list[list[Header]]:
    """The slices of each volume, sorted along their normal; the volumes of a series in the order of their times.

    Slices without a position come in the order of their names.
    """
    parts = [part for group in _groups(headers) for part in _by_repeats(group)]
    return sorted(parts, key=lambda part: (part[0].series, _order(part[0].times), _order(part[0].repeats)))


def along(headers: Sequence[Header]) -> NDArray[np.float64] | None:
    """Where slices lie along their normal in mm; None where one does not say."""
    places = [header.place for header in headers if header.place is not None]
    if len(places) < len(headers):
        return None
    return np.array([place.origin_mm for place in places]) @ places[0].normal


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
    """The group in its order, or its parts by the fewest `REPEATS` that give each part one slice at every place."""
    positions = along(group)
    if positions is None:
        return [group]
    order = np.argsort(positions, kind="stable")
    group, positions = [group[i] for i in order], positions[order]
    if not _repeated(positions):
        return [group]
    told = range(min(len(header.repeats) for header in group))
    for keys in (*combinations(told, 1), *combinations(told, 2)):
        parts: dict[tuple[str, ...], list[int]] = {}
        for row, header in enumerate(group):
            parts.setdefault(tuple(header.repeats[key] for key in keys), []).append(row)
        if len(parts) > 1 and all(_complete(positions[rows], positions) for rows in parts.values()):
            return [[group[row] for row in rows] for rows in parts.values()]
    return [group]


def _complete(part: NDArray[np.float64], positions: NDArray[np.float64]) -> bool:
    """Whether a part has one slice at each of the places."""
    return len(part) == 1 + int((np.diff(positions) >= SAME_MM).sum()) and not _repeated(part)


def _repeated(positions: NDArray[np.float64]) -> bool:
    return bool((np.diff(positions) < SAME_MM).any())


def _order(values: Sequence[str]) -> list[tuple[float, str]]:
    """A key that sorts numbers by their value, before words."""
    return [(_number(value), value) for value in values]


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return np.inf
