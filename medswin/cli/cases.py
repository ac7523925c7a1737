"""The cases that a command is given, for a model: in files, tables, DICOM trees and zips alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medswin.io.sources import Source, Sources

INPUT = "A scan, a folder of scans, a tree of DICOM files, a zip or a table."


@contextmanager
def cases(model: str, inputs: Path, folder: Path) -> Iterator[Sources]:
    """What there is for the model; a zip stays unpacked within.

    What the names of DICOM cases stand for is kept in ``.private`` of the folder, and so is the key by which they are
    named: beside one folder a series always has one name.

    Raises:
        InputError: if there is no case.
        PackageError: for a model that cannot be used.
    """
    from medswin.io.package import read_package
    from medswin.io.private import PRIVATE, keep_origins, private_folder
    from medswin.io.selection import rules_of
    from medswin.io.sources import find_sources, unzipped

    described = read_package(model).model
    channels = tuple(map(str, described["channels"]))
    private_folder(folder)
    with unzipped(inputs, folder / PRIVATE) as opened:
        found = find_sources(opened, folder, channels, rules_of(described, channels), zipped=inputs)
        keep_origins(folder, found.origins)
        yield found


def one_of(found: Sources, name: str | None, inputs: Path) -> Source:
    """The only case, or the one of that name.

    Raises:
        InputError: where it is not clear which.
    """
    from medswin.errors import InputError

    named = [one for one in found.cases if name in (None, one.case)]
    if len(named) == 1:
        return named[0]
    if not found.cases:
        raise found.failed[0][1]
    names = ", ".join(one.case for one in found.cases)
    what = f"holds {len(found.cases)} cases" if name is None else f"holds no case {name}"
    raise InputError(what, where=inputs, repair=f"name one with --case: {names}")


def whose(scans: Sequence[Source], people: Path | None) -> dict[Source, str]:
    """The person of each case: by a table, or as far as the scans themselves tell."""
    from medswin.io.people import people as owners_of

    if people is None:
        return {one: one.person for one in scans}
    owners = owners_of([one.case for one in scans], {"by": "table", "file": str(people)})
    return {one: owners[one.case] for one in scans}


def tell_left_out(found: Sources) -> None:
    """Say which series are not for the model, and why."""
    from medswin.cli import screen

    for name, why in found.left_out:
        screen.line(f"{name}: left out: {why}")
