"""Which cases were begun and never ended: one of them may have ended the process with itself."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from medswin.errors import InputError
from medswin.inference.outcome import Failed
from medswin.io.files import read_json, remove, write_json
from medswin.io.private import private_folder
from medswin.io.sources import Source

MOST = 3
"""How often a case is begun; one that never ended so many times is not begun again."""


class Begun:
    """``.private/begun.json`` of a folder of results: how often each case was begun since it last ended.

    A crash or a kill leaves the case that was segmented there, and its neighbours that were read and written at the
    time. The next run does those last, each alone, so that the others are done whatever happens, and only the one that
    is to blame is begun again and again. Where the file cannot be written, nothing is kept.

    Args:
        out: the folder.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.path, self._lock = out, private_folder(out) / "begun.json", threading.Lock()
        self._now: set[str] = set()
        try:
            kept = read_json(self.path) if self.path.is_file() else {}
        except InputError:
            kept = {}
        self.times = {case: times for case, times in kept.items() if type(times) is int and times > 0}
        self.before = frozenset(self.times)
        """Cases that an earlier run left so."""

    def sorted(self, sources: Sequence[Source], *, again: bool) -> tuple[tuple[Source, ...], tuple[Failed, ...]]:
        """The cases to do, those last that were begun most often, and those that are given up.

        Args:
            sources: all cases.
            again: give none up.
        """
        if again:
            self.times.clear()
        given_up = [one for one in sources if self.times.get(one.case, 0) >= MOST]
        rest = [one for one in sources if one not in given_up]
        ordered = sorted(rest, key=lambda one: self.times.get(one.case, 0))  # stable: else as they came
        return tuple(ordered), tuple(Failed(one.case, one.where, _words(one)) for one in given_up)

    def begin(self, case: str) -> None:
        """Note that a case is begun."""
        with self._lock:
            self._now.add(case)
            self.times[case] = self.times.get(case, 0) + 1
            self._keep()

    def end(self, case: str) -> None:
        """Note that it ended, whether well or not."""
        with self._lock:
            if self.times.pop(case, None) is not None:
                self._keep()

    def interrupted(self) -> None:
        """Take back what was begun and will not end because the run was told to stop: no case is to blame."""
        with self._lock:
            for case in self._now & set(self.times):
                self.times[case] -= 1
            self.times = {case: times for case, times in self.times.items() if times > 0}
            self._keep()

    def __reduce__(self) -> tuple[type[Begun], tuple[Path]]:
        return Begun, (self.out,)  # for other processes, which only look

    def _keep(self) -> None:
        try:
            if self.times:
                write_json(self.path, self.times)
            else:
                remove(self.path)
        except InputError:
            return  # on a full disk, which the results' own files tell of


def _words(source: Source) -> str:
    return (
        f"{source.where}: was begun {MOST} times, and each time the process ended before it did, killed or crashed. "
        "Repair: give it more memory, or cut the region out with --box; then name it alone with -i, and add --overwrite"
    )
