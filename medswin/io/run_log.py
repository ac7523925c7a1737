"""``run.log``: what a run chose, did and could not do, for the people who keep the machine. No patient is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medswin.errors import visible
from medswin.io.files import writing
from medswin.io.sources import Sources

LOG = "run.log"


class RunLog:
    """Adds lines to the log of a folder of results, each with its time in UTC.

    Args:
        folder: of the results.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOG

    def begin(self, settings: Mapping[str, Any], sources: Sources) -> None:
        """What is run on what, what was chosen in a tree of DICOM series, and what was not."""
        self.say(f"begin    {len(sources.cases)} cases, {json.dumps(settings)}")
        for name, what in sources.chosen:
            self.say(f"chosen   {name}: {what}")
        for name, why in sources.left_out:
            self.say(f"left out {name}: {why}")
        for what, count in sorted(sources.passed_over.items()):
            self.say(f"files    {count} passed over: {what}")

    def end(self, done: int, failed: int) -> None:
        """How it ended."""
        self.say(f"end      {done} done, {failed} failed")

    def say(self, text: str) -> None:
        """Add a line; control characters in it are shown, as ``\\x1b``.

        Raises:
            InputError: if it cannot be written.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with writing(self.path), self.path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{now} {visible(' '.join(text.split()) if len(text.splitlines()) > 1 else text)}\n")
