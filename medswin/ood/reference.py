"""The training scans' rows: what a new scan is compared with, and what is unusual about it in words."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from medswin.ood.appearance import PERCENTILES
from medswin.ood.contract import Features
from medswin.ood.gloss import measured, span
from medswin.ood.ranges import Ranges
from medswin.ood.view import FEATURES, Layout

MOST_REASONS = 3
FAR = 2.5  # spreads of a number from its middle below which nothing is said of it
TOLD = ("outputs", "appearance", "shape")
_LEVEL = "intensity at "
_VOLUME = ": volume, ml"


@dataclass(frozen=True, eq=False)
class Reference:
    """Rows of the training scans, without names, in an order that tells nothing but the rows themselves.

    Attributes:
        rows: (N, D), sorted by their numbers.
        people: (N,) number of each scan's person, in the order of the rows.
        layout: of a row.
    """

    rows: Features
    people: NDArray[np.int64]
    layout: Layout

    @classmethod
    def of(cls, rows: Features, people: Sequence[Hashable], layout: Layout) -> Reference:
        """Number the people; the rows must be sorted (`order_of`)."""
        numbers: dict[str, int] = {}
        return cls(rows, np.array([numbers.setdefault(str(p), len(numbers)) for p in people], dtype=np.int64), layout)

    def pseudonym(self, scan: int) -> str:
        """``"person 17, scan 42"``: numbers within the package that say nothing of who it is."""
        return f"person {int(self.people[scan]) + 1}, scan {scan + 1}"

    def nearest(self, row_D: Features, count: int = 3) -> list[tuple[str, float]]:
        """The training scans whose features are most like a scan's: pseudonym and distance in standard deviations."""
        places = self.layout.place(FEATURES)
        scaler = StandardScaler().fit(self.rows[:, places])
        away = scaler.transform(self.rows[:, places]) - scaler.transform(row_D[None, places])
        distances = np.sqrt((away**2).mean(axis=1))
        return [(self.pseudonym(int(i)), float(distances[i])) for i in np.argsort(distances, kind="stable")[:count]]

    def unusual(self, row_D: Features, told: Sequence[str] = ()) -> list[str]:
        """What no training scan had, in words, the farthest first: ``"volume 8 ml (training 3 to 5)"``.

        Args:
            row_D: of the scan.
            told: beginnings of names of which nothing is to be said here.
        """
        said: list[tuple[float, str]] = []
        inverted = self._inverted(row_D)
        missing = self._missing(row_D)
        for part in self._ranges:
            places, names = self.layout.place(part), self.layout.names(part)
            own, rows = row_D[places], self.rows[:, places]
            low, high = rows.min(axis=0), rows.max(axis=0)
            distances = self._ranges[part].distances(own[None])[0]
            for i in np.flatnonzero(((own < low) | (own > high)) & (distances > FAR)):
                certain = part == "outputs" and own[i] < low[i]  # surer than ever is no reason for doubt
                covered = (inverted and _is_intensity(names[i])) or names[i].rpartition(": ")[0] in missing
                if not (certain or covered or names[i].startswith(tuple(told))):
                    words = f"{measured(names[i], own[i])} ({span(names[i], low[i], high[i])})"
                    said.append((float(distances[i]), words))
        said += [(np.inf, f"{structure} was not found") for structure in missing]
        if inverted:
            said.append((np.inf, "intensities look inverted (bright in the training scans, dark here)"))
        return [words for _, words in sorted(said, key=lambda pair: -pair[0])[:MOST_REASONS]]

    def outside(self, row_D: Features) -> list[float]:
        """How far appearance and shape lie outside of the training scans' ranges, where a row has them."""
        parts = {name: part for name, part in self._ranges.items() if name != "outputs"}
        return [float(part.score(row_D[None, self.layout.place(name)])[0]) for name, part in parts.items()]

    def volumes_ml(self) -> dict[str, tuple[float, float]]:
        """Structure -> its smallest and largest volume in ml among the training scans, where rows hold shapes."""
        found = {}
        for name in self.layout.names("shape"):
            if name.endswith(_VOLUME):
                column = self.rows[:, self.layout.place(name)[0]]
                found[name.removesuffix(_VOLUME)] = (float(column.min()), float(column.max()))
        return found

    @cached_property
    def _ranges(self) -> dict[str, Ranges]:
        return {part: Ranges().fit(self.rows[:, self.layout.place(part)]) for part in TOLD if self.layout.names(part)}

    def _missing(self, row_D: Features) -> list[str]:
        """Structures of every training scan that are not in this one."""
        found = []
        for name in self.layout.names("shape"):
            if name.endswith(_VOLUME):
                place = self.layout.place(name)[0]
                if row_D[place] == 0 < self.rows[:, place].min():
                    found.append(name.removesuffix(_VOLUME))
        return found

    def _inverted(self, row_D: Features) -> bool:
        """Whether some channel's intensities are far from the training scans', and turned about their middle near."""
        levels = [i for i, name in enumerate(self.layout.names("appearance")) if name.startswith(_LEVEL)]
        places = self.layout.place("appearance") if levels else []
        for first in range(0, len(levels), len(PERCENTILES)):
            some = levels[first : first + len(PERCENTILES)]
            own, rows = row_D[places][some], self.rows[:, places][:, some]
            turned = np.median(own[::-1] + np.median(rows, axis=0)) - own[::-1]  # about the point that suits it best
            ranges = Ranges().fit(rows)
            plain, other = (float(ranges.score(row[None])[0]) for row in (own, turned))
            if plain > FAR and other < plain / 2:
                return True
        return False


def order_of(rows: Features) -> NDArray[np.intp]:
    """The order of rows by their numbers, so that it does not tell in which order scans were given."""
    return np.lexsort(rows.T[::-1])


def _is_intensity(name: str) -> bool:
    return name.startswith((_LEVEL, "skewness"))
