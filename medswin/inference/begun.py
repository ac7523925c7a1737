"""Which cases were begun and never ended: one of them may have ended the process with itself."""

from __future__ import annotations

import threading
from pathlib import Path

from medswin.errors import InputError
from medswin.io.files import read_json, remove, write_json
from medswin.io.private import private_folder


class Begun:
    """``.private/begun.json`` of a folder of results: the cases that were begun and did not end.

    A crash or a kill leaves the case that was segmented there, and its neighbours that were read and written at the
    time; which of them is to blame, if any is, cannot be told. Where the file cannot be written, nothing is kept.

    Args:
        out: the folder.

    Attributes:
        before: the cases that an earlier run left so.
    """

    def __init__(self, out: Path) -> None:
        self.out, self.path, self._lock = out, private_folder(out) / "begun.json", threading.Lock()
        try:
            kept = read_json(self.path).get("cases") if self.path.is_file() else []
        except InputError:
            kept = []
        self.before = (
            frozenset(case for case in kept if isinstance(case, str)) if isinstance(kept, list) else frozenset()
        )
        self._left, self._now = set(self.before), set[str]()

    def begin(self, case: str) -> None:
        """Note that a case is begun."""
        with self._lock:
            self._now.add(case)
            self._keep()

    def end(self, case: str, *, well: bool) -> None:
        """Note that a case ended; one that was left before, and did not end well now, may do so again."""
        with self._lock:
            self._now.discard(case)
            if well:
                self._left.discard(case)
            self._keep()

    def interrupted(self) -> None:
        """Take back what was begun and will not end because the run was told to stop: no case is to blame."""
        with self._lock:
            self._now.clear()
            self._keep()

    def __reduce__(self) -> tuple[type[Begun], tuple[Path]]:
        return Begun, (self.out,)  # for other processes, which only look

    def _keep(self) -> None:
        cases = sorted(self._left | self._now)
        try:
            if cases:
                write_json(self.path, {"cases": cases})
            else:
                remove(self.path)
        except InputError:
            return  # on a full disk, which the results' own files tell of
