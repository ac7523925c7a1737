"""What became of each case of a run: one line of JSON each, added as cases end; the last line of a case counts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from medswin.io.files import writing

MANIFEST = "manifest.jsonl"
State = Literal["done", "failed", "skipped"]


@dataclass(frozen=True)
class Entry:
    """One line.

    Attributes:
        case: its name.
        state: ``"done"`` (results are there), ``"failed"`` or ``"skipped"`` (not for this model, or
            a name that is no more: see `medswin.io.superseded`).
        reason: why it failed or was skipped, with the repair.
        seconds: that it took.
        outputs: name -> SHA-256 of each file of its results.
    """

    case: str
    state: State
    reason: str = ""
    seconds: float = 0.0
    outputs: Mapping[str, str] = field(default_factory=dict)


class Manifest:
    """``manifest.jsonl`` of a folder of results.

    A line is added by one write and flushed to the disk. A line that a kill or a full disk cut short is passed over,
    and the next one begins on a line of its own.

    Args:
        folder: of the results.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST
        self.last = self._read()
        """The entry of each case that counts."""

    def add(self, entry: Entry) -> None:
        """Write a line, unless it would repeat the last one of its case.

        Raises:
            InputError: if it cannot be written.
        """
        old = self.last.get(entry.case)
        if old is not None and (old.state, old.reason, old.outputs) == (entry.state, entry.reason, entry.outputs):
            return
        line = (
            json.dumps(vars(entry) | {"outputs": dict(entry.outputs)}, ensure_ascii=False).encode(
                errors="backslashreplace"
            )
            + b"\n"
        )
        with writing(self.path), self.path.open("ab") as stream:
            stream.write(line if self._whole() else b"\n" + line)
            stream.flush()
            os.fsync(stream.fileno())
        self.last[entry.case] = entry

    def _whole(self) -> bool:
        """Whether the file ends with a line's end, or is empty."""
        with self.path.open("rb") as stream:
            if stream.seek(0, os.SEEK_END) == 0:
                return True
            stream.seek(-1, os.SEEK_END)
            return stream.read(1) == b"\n"

    def _read(self) -> dict[str, Entry]:
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return {}
        found = (entry for entry in map(_entry, lines) if entry is not None)
        return {entry.case: entry for entry in found}


def _entry(line: bytes) -> Entry | None:
    """The entry in a line; None for one that is damaged or of another kind."""
    try:
        row: Any = json.loads(line)
        entry = Entry(str(row["case"]), row["state"], row["reason"], float(row["seconds"]), dict(row["outputs"]))
    except (ValueError, KeyError, TypeError):
        return None
    return entry if entry.state in ("done", "failed", "skipped") else None
