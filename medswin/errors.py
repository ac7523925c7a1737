"""The errors that medswin raises, each saying what is wrong, where, and how to repair it."""

from __future__ import annotations

import os
import re
from pathlib import Path

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class MedswinError(Exception):
    """Base of every error that medswin raises on purpose.

    Args:
        what: the rule that was broken and the value that broke it, without a full stop at the end.
        where: the file, argument or key it was found in.
        repair: what the user can do about it.
    """

    def __init__(self, what: str, *, where: object = None, repair: str = "") -> None:
        self.what, self.where, self.repair = what, where, repair
        text = f"{where}: {what}" if where is not None else what
        super().__init__(f"{text}. Repair: {repair}" if repair else text)


class InputError(MedswinError, ValueError):
    """A scan, label map, dataset or other input of the user cannot be used."""


class ShapeError(MedswinError, ValueError):
    """An array has a shape that the network, window or detector cannot take."""


class ConfigError(MedswinError, ValueError):
    """A config holds an unknown key, an unregistered name or a value outside its range."""


class PackageError(MedswinError, ValueError):
    """A model package is damaged, incomplete, or of a version that this medswin cannot read."""


class WeightsError(MedswinError, ValueError):
    """A weight file does not fit the network it was meant for."""


class TrainingError(MedswinError, RuntimeError):
    """Training cannot go on: a loss that is not finite, or a run that does not fit its checkpoint."""


def visible(text: str) -> str:
    """Text whose control characters are shown, as ``\\x1b``: those in the name of a file could steer a terminal."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def without_folder(text: str, where: object) -> str:
    """Text on a file without the folders that it lies in, whose names may be a patient's."""
    parent = Path(str(where)).parent
    return text if parent == Path() else text.replace(f"{parent}{os.sep}", "")


def explain(error: Exception, where: Path | None = None) -> str:
    """One line on what went wrong: as written for our own errors, the system's words for files, else the type too.

    Args:
        error: what was raised.
        where: the file that was worked on; the line begins with it unless it names that file anyway.
    """
    if isinstance(error, MedswinError):
        text = str(error)
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    else:
        text = f"unexpected {type(error).__name__}: {error}. Repair: add --debug to see where, and report it"
    named = where is None or where.name in text
    return " ".join((text if named else f"{where}: {text}").split())
