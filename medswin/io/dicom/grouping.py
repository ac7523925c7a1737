"""Which slices belong together: those of one series, size, spacing, orientation and time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from math import isclose, isfinite

import numpy as np
from numpy.typing import NDArray

from medswin.io.dicom.header import Header

JITTER = 1e-3  # of a direction, and share of a pixel, between slices that belong together
UNEVEN = 0.02  # share of the distance of slices by which one may differ
_SAME_TIME = 0.01  # share by which numbers of one time may differ
_NEARLY = 0.1  # of a direction, between slices that may have been meant to
SAME_MM = 1e-2  # positions along the normal that are one


def volumes(headers: Iterable[Header]) -> list[list[Header]]:
    """The slices of each volume, sorted along their normal; the volumes of a series in the order of their times.

    Slices without a position come in the order of their names.
    """
    parts = [part for group in _groups(headers) for part in _by_time(group)]
    return sorted(parts, key=lambda part: (part[0].series, _order(part[0].times), _order(part[0].repeats)))


def along(headers: Sequence[Header]) -> NDArray[np.float64] | None:
    """Where slices lie along their normal in mm; None where one does not say."""
    places = [header.place for header in headers if header.place is not None]
    if len(places) < len(headers):
        return None
    return np.array([place.origin_mm for place in places]) @ places[0].normal


def halves(a: Sequence[Header], b: Sequence[Header]) -> str:
    """How two groups of a series may be parts of one volume: evenly ``"between"`` each other, ``"behind"``, or not."""
    if _whose(a[0]) != _whose(b[0]) or a[0].size != b[0].size or not _nearly_parallel(a[0], b[0]):
        return ""
    first, second, both = along(a), along(b), along([*a, *b])
    if first is None or second is None or both is None or not _even(np.sort(both)):
        return ""
    apart = max(first.min(), second.min()) > min(first.max(), second.max())
    return "behind" if apart else "between"


def like_a_volume(headers: Sequence[Header]) -> bool:
    """Whether slices of one direction lie evenly at three places and more, but for gaps and doubles."""
    positions = along(headers)
    if positions is None:
        return False
    steps = np.diff(np.sort(positions))
    steps = steps[steps >= SAME_MM]
    if len(steps) < 2:
        return False
    step = float(np.median(steps))
    return bool(np.abs(steps - np.round(steps / step) * step).max() <= max(UNEVEN * step, SAME_MM))


def _nearly_parallel(a: Header, b: Header) -> bool:
    return a.place is not None and b.place is not None and np.abs(a.place.axes - b.place.axes).max().item() <= _NEARLY


def _whose(header: Header) -> tuple[str, ...]:
    return header.patient, header.study, header.series, header.modality


def _groups(headers: Iterable[Header]) -> list[list[Header]]:
    """Slices of one series, size and, all but for jitter, of one spacing and orientation."""
    alike: dict[object, list[list[Header]]] = {}
    for header in headers:
        groups = alike.setdefault((_whose(header), header.size), [])
        group = next((group for group in groups if _parallel(group[0], header)), None)
        if group is None:
            groups.append([header])
        else:
            group.append(header)
    return [group for groups in alike.values() for group in groups]


def _parallel(a: Header, b: Header) -> bool:
    if a.place is None or b.place is None:
        return a.place is b.place
    differences = (a.place.axes - b.place.axes, a.place.pixel_mm / b.place.pixel_mm - 1)
    return all(np.abs(difference).max() <= JITTER for difference in differences)


def _by_time(group: list[Header]) -> list[list[Header]]:
    """The group in its order, or its parts by the fewest of times and `REPEATS` that give each one slice a place.

    Where no two slices lie at one place, or nothing gives that, all times tell volumes apart.
    """
    positions = along(group)
    if positions is None:
        return _each_time(group)
    order = np.argsort(positions, kind="stable")
    group, positions = [group[i] for i in order], positions[order]
    if not _repeated(positions):
        return _each_time(group)
    return _by_fewest(group, positions, lambda header: (*header.times, header.space, *header.repeats)) or [
        part for each in _each_time(group) for part in _by_repeats(each)
    ]


def _by_repeats(group: list[Header]) -> list[list[Header]]:
    positions = along(group)
    if positions is None or not _repeated(positions):
        return [group]
    return _by_fewest(group, positions, lambda header: header.repeats) or [group]


def _by_fewest(
    group: list[Header], positions: NDArray[np.float64], told: Callable[[Header], tuple[str, ...]]
) -> list[list[Header]]:
    """The parts by one or two of what headers tell, each with one slice at every place; none where there are not."""
    values = [told(header) for header in group]
    count = range(min(map(len, values)))
    for keys in (*combinations(count, 1), *combinations(count, 2)):
        parts: dict[tuple[str, ...], list[int]] = {}
        for row, value in enumerate(values):
            parts.setdefault(tuple(value[key] for key in keys), []).append(row)
        if len(parts) > 1 and all(_complete(positions[rows], positions) for rows in parts.values()):
            return [[group[row] for row in rows] for rows in parts.values()]
    return []


def _each_time(group: Sequence[Header]) -> list[list[Header]]:
    """The slices of each time; times that differ by little are one, as some scanners measure them for each slice."""
    parts: list[list[Header]] = []
    for header in group:
        part = next((part for part in parts if _near(part[0].times, header.times)), None)
        if part is None:
            parts.append([header])
        else:
            part.append(header)
    return parts


def _near(a: tuple[str, ...], b: tuple[str, ...]) -> bool:
    pairs = ((x, _number(x), y, _number(y)) for x, y in zip(a, b, strict=True))
    return all(x == y or (isfinite(p) and isclose(p, q, rel_tol=_SAME_TIME)) for x, p, y, q in pairs)


def _even(positions: NDArray[np.float64]) -> bool:
    """Whether rising positions lie as evenly as a volume's have to."""
    steps = np.diff(positions)
    step = float(np.median(steps)) if len(steps) else 0.0
    return step >= SAME_MM and bool(np.abs(steps - step).max() <= max(UNEVEN * step, SAME_MM))


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
