"""Exit statuses, and the lines in which a command says what went wrong."""

from __future__ import annotations

import sys
from pathlib import Path

from medswin.errors import visible

DONE, SOME_FAILED, NOTHING_RAN = 0, 1, 2


def batch_status(done: int, failed: int) -> int:
    """0 where all cases were processed, whatever their verdicts; 1 where some failed; 2 where none was."""
    if not done:
        return NOTHING_RAN
    return SOME_FAILED if failed else DONE


def complain(text: str) -> None:
    """Write one line to stderr, never wrapped to the width of the terminal; control characters are shown, not sent."""
    sys.stderr.write(f"medswin: {visible(text)}\n")


def check_output(out: Path, example: str) -> None:
    """Refuse a file that cannot be written before anything is computed; nothing is left on the disk."""
    from tempfile import TemporaryFile

    from medswin.errors import InputError

    try:
        if out.is_dir():
            raise InputError("is a folder, -o names a file", where=out, repair=f"use -o {out / example}")
        with TemporaryFile(dir=next(folder for folder in out.absolute().parents if folder.exists())):
            return
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})", where=out, repair="choose a folder that can be written to"
        ) from error
