"""What only the owner of a folder may read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from medswin.io.files import read_bytes

PRIVATE = ".private"


def naming_key(folder: Path) -> bytes:
    """The secret by which the cases of a folder are named, made once and kept in it with mode 0600.

    Whoever has it can tell which identifier a name stands for.
    """
    path = folder / PRIVATE / "key"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(secrets.token_bytes(32))
    except FileExistsError:
        pass
    return read_bytes(path)
