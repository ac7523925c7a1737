"""The cases of an input, checked: names that can name files, and whose places are told as their owner knows them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from medswin.errors import InputError
from medswin.io.cases import check_case_name
from medswin.io.source import Source, as_zipped


@dataclass(frozen=True)
class Sources:
    """What an input holds.

    Attributes:
        cases: to be done, in the order of their names; all names differ and can name files.
        failed: name and reason of each case that cannot even be tried.
        left_out: name of each DICOM series that is not for this model, and why.
        chosen: name of each DICOM series that is, and what it is.
        passed_over: how many files of a DICOM tree are no slice of a volume, by what they are.
        origins: where each case and each series came from, see `Source.origin`.
    """

    cases: tuple[Source, ...]
    failed: tuple[tuple[str, InputError], ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    chosen: tuple[tuple[str, str], ...] = ()
    passed_over: dict[str, int] = field(default_factory=dict)
    origins: dict[str, dict[str, list[str]]] = field(default_factory=dict)


def checked(found: Sources, unpacked: tuple[Path, Path] | None) -> Sources:
    """Refuse names that cannot name files or that two cases share, and say of what was unpacked where it came from."""
    names = Counter(map(_plain, found.cases))
    good: list[Source] = []
    failed = [(as_zipped(case, unpacked), error) for case, error in found.failed]
    for source in (replace(one, where=as_zipped(one.where, unpacked), unpacked=unpacked) for one in found.cases):
        try:
            check_case_name(source.case, source.where)
            if names[_plain(source)] > 1:
                raise InputError(
                    f"{names[_plain(source)]} cases have this name, {source.case}",
                    where=source.where,
                    repair="rename or remove all but one of them",
                )
            good.append(source)
        except InputError as error:
            failed.append((source.case, error))
    failed = [
        (case, InputError(error.what, where=as_zipped(str(error.where), unpacked), repair=error.repair))
        for case, error in failed
    ]
    origins = found.origins | {source.case: source.origin for source in good}
    for row in origins.values():
        row["files"] = [as_zipped(file, unpacked) for file in row["files"]]
    return replace(found, cases=tuple(good), failed=tuple(failed), origins=origins)


def _plain(source: Source) -> str:
    """The case's name as a disk may see it that knows no case of letters."""
    return unicodedata.normalize("NFC", source.case).casefold()
