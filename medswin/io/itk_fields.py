"""The text of MetaImage and NRRD headers: what it says of the voxels, by whatever names."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medswin.errors import InputError
from medswin.io.header import AGAIN

SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
"""Endings of their names, in lower case."""

META = SUFFIXES[:2]
CORRECT = "correct the header, or export the scan again"


@dataclass(frozen=True)
class Header:
    """What the text of a header says.

    Attributes:
        shape: all sizes, those of a vector too.
        spacing: as it is stated; empty where it is stated by directions, None where it is not.
        oriented: whether its axes are those of a patient.
        in_mm: whether no other unit is named.
        scale: slope and intercept that ITK leaves to its caller.
        data: the file that holds the voxels.
        start: byte of it at which they begin; None where the header leaves that open.
        stored: ``"raw"``, or how else.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...] | None
    oriented: bool
    in_mm: bool
    scale: tuple[float, float]
    data: Path
    start: int | None
    stored: str


def fields_of(block: bytes, line: re.Pattern[str], last: str, path: Path) -> tuple[dict[str, str], int]:
    """Name in lower case without blanks -> value of each line, up to the one named ``last``; and the byte after it."""
    fields: dict[str, str] = {}
    end = 0
    for row in block.split(b"\n"):
        end += len(row) + 1
        text = row.decode("utf-8", "surrogateescape").rstrip("\r")
        if not last and text.startswith("#"):  # a comment of an NRRD
            continue
        match = line.fullmatch(text)
        key = match["key"].replace(" ", "").lower() if match else text.strip()
        if key == last == "" or (match is None and not fields):
            break
        if match and (key == "comment" or match["value"].startswith("=")):
            continue
        if match is None or key in fields or "\0" in text:  # ITK might take it for something else than we do
            what = "its header is damaged (a line that names no field, or one again)"
            raise InputError(what, where=path, repair=AGAIN)
        fields[key] = match["value"].strip()
        if key == last:
            break
    return fields, end


def place(named: str, path: Path) -> Path:
    """The file that holds the voxels, if that is this one or one beside it."""
    if named.upper() == "LOCAL":
        return path
    if named.upper().startswith("LIST") or "%" in named:
        raise InputError("its voxels lie in several files", where=path, repair=one_file(path))
    data = path.parent / named
    homes = {path.parent.resolve(), path.resolve().parent}
    if PurePosixPath(named).name != named or data.resolve().parent not in homes:
        raise InputError(
            "its header names a file of another folder for the voxels; it must lie beside the header",
            where=path,
            repair=f"put both into one folder and correct the name, or {one_file(path)}",
        )
    if not data.is_file():
        raise InputError(
            "the file with its voxels, which the header names, is not beside it",
            where=path,
            repair=f"put the two into one folder, or {one_file(path)}",
        )
    return data


def one_file(path: Path) -> str:
    """What to do about voxels that lie elsewhere."""
    return f"save it as one {'.mha' if path.suffix.lower() in META else '.nrrd'} file"


def counts(text: str, path: Path) -> tuple[int, ...]:
    """The sizes in a field."""
    stated = numbers(text, path) or (0.0,)
    if not all(math.isfinite(n) and n >= 1 and n == int(n) for n in stated):
        raise InputError("its header is damaged (sizes must be whole numbers from 1 on)", where=path, repair=AGAIN)
    return tuple(map(int, stated))


def first(text: str | None, default: float, path: Path) -> float:
    """The first number in a field; the default where there is none."""
    return (numbers(text, path) or (default,))[0]


def numbers(text: str | None, path: Path) -> tuple[float, ...] | None:
    """The numbers in a field; None where there is none."""
    try:
        return tuple(map(float, text.split())) if text and text.strip() else None
    except ValueError as error:
        raise InputError("its header is damaged (a number is none)", where=path, repair=AGAIN) from error
