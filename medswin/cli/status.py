"""Exit statuses, and the one line in which a command says why it could not go on."""

from __future__ import annotations

import sys

from medswin.errors import MedswinError

DONE, SOME_FAILED, NOTHING_RAN = 0, 1, 2


def batch_status(done: int, failed: int) -> int:
    """0 where all cases were processed, whatever their verdicts; 1 where some failed; 2 where none could be."""
    if failed == 0:
        return DONE
    return SOME_FAILED if done else NOTHING_RAN


def explain(error: Exception) -> str:
    """One line on what went wrong: as written for our own errors, the system's words for files, else the type too."""
    if isinstance(error, MedswinError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        text = f"{place}{error.strerror}"
    else:
        text = f"unexpected {type(error).__name__}: {error}. Repair: add --debug to see where, and report it"
    return " ".join(text.split())


def complain(text: str) -> None:
    """Write one line to stderr, never wrapped to the width of the terminal."""
    sys.stderr.write(f"medswin: {text}\n")
