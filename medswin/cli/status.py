"""Exit statuses, and the lines in which a command says what went wrong."""

from __future__ import annotations

import sys

DONE, SOME_FAILED, NOTHING_RAN = 0, 1, 2


def batch_status(done: int, failed: int) -> int:
    """0 where all cases were processed, whatever their verdicts; 1 where some failed; 2 where none was."""
    if not done:
        return NOTHING_RAN
    return SOME_FAILED if failed else DONE


def complain(text: str) -> None:
    """Write one line to stderr, never wrapped to the width of the terminal."""
    sys.stderr.write(f"medswin: {text}\n")
