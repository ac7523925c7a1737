"""How the process of the ``medswin`` command is set up, before a command imports anything large."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from typing import Any

# MONAI imports these where they are installed, for parts of it that no command uses: a third of its loading.
UNUSED = {"mlflow", "matplotlib.pyplot", "pandas", "pydicom"}


def set_up(*, quiet: bool) -> None:
    """Memory pages, imports and, where it is to be quiet, warnings."""
    # Fresh memory in pages of 2 MB, where the system has them: in pages of 4 kB it takes a seventh of a network's time.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch's own switch, read when it first allocates
    sys.meta_path.insert(0, _WithoutUnused())
    if quiet:
        hush()


def hush() -> None:
    """Keep the warnings and small talk of the libraries below off the screen."""
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)


def show_log() -> logging.Handler:
    """From now on medswin's whole log goes to stderr, and with it the traceback of each case that failed."""
    log, handler = logging.getLogger("medswin"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s (%(processName)s): %(message)s"))
    logging.disable(logging.NOTSET)
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    return handler


@contextmanager
def logged() -> Iterator[None]:
    """`show_log` within it, and all as before after it."""
    log = logging.getLogger("medswin")
    level, silenced = log.level, logging.root.manager.disable
    handler = show_log()
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        logging.disable(silenced)


def is_logged() -> bool:
    """Whether the log is shown."""
    return logging.getLogger("medswin").level == logging.DEBUG


class _WithoutUnused(MetaPathFinder):
    """Answers "not installed" for what is `UNUSED` while MONAI is imported, and never again."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        monai = sys.modules.get("monai")
        if fullname in UNUSED and monai is not None and getattr(monai.__spec__, "_initializing", False):
            raise ModuleNotFoundError(f"{fullname} is not imported while MONAI is", name=fullname)
