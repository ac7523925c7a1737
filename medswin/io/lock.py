"""Folders that only one process at a time may write in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from medswin.errors import InputError


@contextmanager
def locked(file: Path, where: Path, wait_s: float) -> Iterator[None]:
    """Hold a lock, which ends with the process, however that ends.

    Args:
        file: of the lock, made where missing.
        where: the folder that it guards.
        wait_s: how long to wait for another process, in seconds.

    Raises:
        InputError: if another process holds it for longer, or the disk has no locks.
    """
    lock = FileLock(file, timeout=wait_s)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            "another run is writing its results here", where=where, repair="wait for it, or choose another folder"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise InputError(
            f"cannot be locked against other runs ({error})", where=where, repair="choose a folder on another disk"
        ) from error
    try:
        yield
    finally:
        lock.release()
