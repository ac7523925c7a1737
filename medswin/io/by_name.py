"""Cases of one file or of several, by the names of the files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from medswin.errors import InputError
from medswin.io.layouts import Case, case_names
from medswin.io.nifti import case_name

Found: TypeAlias = tuple[list[Case], list[tuple[str, InputError]]]
"""The cases that can be tried; and of each other one its name, its file or its line, and what is wrong with it."""

_NUMBERED = re.compile(r"(.+)_(\d{4})")


def grouped_by_channel(paths: Sequence[Path], channels: Sequence[str]) -> Found:
    """The cases that files make by their names.

    For one channel each file is a case, see `medswin.io.layouts.case_names`. For several, ``CASE_0000.nii.gz``,
    ``CASE_0001.nii.gz`` and so on are one, as nnU-Net has it; where no file ends in a number, each is a case that
    holds all the channels itself.

    Args:
        paths: of the files.
        channels: names of the model's channels, in order.
    """
    if len(channels) == 1:
        return _one_file_each(case_names(paths))
    numbered = {path: _NUMBERED.fullmatch(case_name(path)) for path in paths}
    if not any(numbered.values()):
        return _one_file_each({path: case_name(path) for path in paths})
    groups: dict[str, list[tuple[int, Path]]] = {}
    for path, match in numbered.items():
        if match:
            groups.setdefault(match[1], []).append((int(match[2]), path))
    good, failed = [], [(str(path), _unnumbered(path)) for path, match in numbered.items() if not match]
    for name, files in sorted(groups.items()):
        error = _misnumbered(name, files, channels)
        if error is None:
            good.append(Case(name, tuple(path for _, path in sorted(files))))
        else:
            failed.append((name, error))
    return good, failed


def _one_file_each(names: Mapping[Path, str]) -> Found:
    paths: dict[str, list[Path]] = {}
    for path, name in names.items():
        paths.setdefault(name, []).append(path)
    good, failed = [], []
    for name, (path, *others) in paths.items():
        if others:
            what = f"has the same case name as {' and '.join(other.name for other in others)}"
            failed.append((name, InputError(what, where=path, repair="rename or remove all but one of them")))
        else:
            good.append(Case(name, (path,)))
    return good, failed


def _unnumbered(path: Path) -> InputError:
    return InputError(
        "its name does not end in the number of a channel, others here do",
        where=path,
        repair=f"name it like {case_name(path)}_0000{_suffix(path)}, or put it into a folder of its own",
    )


def _misnumbered(name: str, files: Sequence[tuple[int, Path]], channels: Sequence[str]) -> InputError | None:
    """What is wrong with the numbers of a case's files."""
    times, path = Counter(number for number, _ in files), files[0][1]
    several = next((number for number in times if times[number] > 1), None)
    if several is not None:
        named = " and ".join(path.name for number, path in sorted(files) if number == several)
        return InputError(f"has two files for channel {several:04d}, {named}", where=name, repair="remove one of them")
    beyond = next((number for number in sorted(times) if number >= len(channels)), None)
    if beyond is not None:
        what = f"has a file for channel {beyond:04d}, the model takes {_numbers(channels)}"
        return InputError(what, where=name, repair="remove the file, or use another model")
    lacking = [number for number in range(len(channels)) if number not in times]
    if lacking:
        what = f"lacks channel {', '.join(f'{number:04d} ({channels[number]})' for number in lacking)}"
        files_lacking = " and ".join(f"{name}_{number:04d}{_suffix(path)}" for number in lacking)
        return InputError(what, where=name, repair=f"put {files_lacking} beside {path.name} and name their folder")
    return None


def _numbers(channels: Sequence[str]) -> str:
    return ", ".join(f"{number:04d} ({name})" for number, name in enumerate(channels))


def _suffix(path: Path) -> str:
    return path.name[len(case_name(path)) :]
