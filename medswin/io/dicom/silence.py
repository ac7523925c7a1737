"""Discretion: what pydicom and the decoders below it would say of a file, values and all, is said to nobody."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGERS = tuple(logging.getLogger(name) for name in ("pydicom", "highdicom", "pylibjpeg", "openjpeg"))
"""Which quote what files hold."""

for _logger in LOGGERS:
    _logger.addFilter(lambda record: False)  # for good, as pydicom warns of values when they are looked at

_lock = threading.Lock()
_inside: list[tuple[warnings.catch_warnings[None], list[int]]] = []
_count = 0


@contextmanager
def silenced() -> Iterator[None]:
    """No warnings within the block, of any thread, and no records of the loggers below `LOGGERS`.

    `warnings.catch_warnings` alone does not do: of two threads that leave in another order than they came, the first
    switches the warnings on while the second still reads. So the first that enters switches them off, and the last
    that leaves switches them on.
    """
    global _count
    with _lock:
        _count += 1
        if _count == 1:
            _silence()
    try:
        yield
    finally:
        with _lock:
            _count -= 1
            if _count == 0:
                _speak()


def _silence() -> None:
    caught = warnings.catch_warnings()
    _inside.append((caught, [logger.level for logger in LOGGERS]))
    caught.__enter__()
    warnings.simplefilter("ignore")
    for logger in LOGGERS:
        logger.setLevel(logging.CRITICAL + 1)


def _speak() -> None:
    caught, levels = _inside.pop()
    for logger, level in zip(LOGGERS, levels, strict=True):
        logger.setLevel(level)
    caught.__exit__(None, None, None)
