"""Where the files of a case lie, in the Decathlon's layout and in nnU-Net's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medswin.errors import InputError
from medswin.io.nifti import SUFFIXES, case_name

_CHANNEL = re.compile(r"(.+)_(\d{4})")


@dataclass(frozen=True)
class Case:
    """One case of a data set.

    Attributes:
        id: its name.
        images: one file per channel, or one file that holds them all.
        label: its label map; None for a test case.
    """

    id: str
    images: tuple[Path, ...]
    label: Path | None = None


def msd_cases(about: Mapping[str, Any], folder: Path, path: Path, channels: Sequence[str]) -> list[Case]:
    """The cases that ``training`` and ``test`` list, as names or as dicts, see `medswin.io.datasets.read_dataset`.

    A training image without a label of its own has the one of its name in ``labelsTr``.

    Raises:
        InputError: if a row names no image.
    """
    cases = []
    for image, label in _rows(about, "training", folder, path):
        cases.append(
            Case(case_name(image), _split_channels(image, channels), label or folder / "labelsTr" / image.name)
        )
    for image, _ in _rows(about, "test", folder, path):
        if image.parent.is_dir():
            cases.append(Case(case_name(image), _split_channels(image, channels)))
    return cases


def _rows(about: Mapping[str, Any], key: str, folder: Path, path: Path) -> list[tuple[Path, Path | None]]:
    """Image and label of each row; the hidden files that Macs leave behind are passed over."""
    rows = about.get(key) or []
    if not isinstance(rows, list):
        raise InputError(f"{key!r} must be a list of cases", where=path, repair="list the files")
    found = []
    for row in rows:
        row = {"image": row} if isinstance(row, str) else row
        if not isinstance(row, dict) or not isinstance(row.get("image"), str):
            raise InputError(
                f"a case under {key!r} names no image", where=path, repair='write {"image": ..., "label": ...}'
            )
        image, label = _place(folder, row["image"]), row.get("label")
        if not image.name.startswith("."):
            found.append((image, _place(folder, label) if label else None))
    return found


def _place(folder: Path, name: Any) -> Path:
    return folder / str(name).replace("\\", "/")


def _split_channels(image: Path, channels: Sequence[str]) -> tuple[Path, ...]:
    """The file, or nnU-Net's version 1: it lists ``CASE.nii.gz`` and means ``CASE_0000.nii.gz`` and so on."""
    suffix = image.name.removeprefix(case_name(image))
    split = tuple(image.with_name(f"{case_name(image)}_{i:04d}{suffix}") for i in range(len(channels)))
    return split if not image.exists() and split[0].exists() else (image,)


def nnunet_cases(about: Mapping[str, Any], folder: Path, path: Path, channels: Sequence[str]) -> list[Case]:
    """The cases that ``dataset`` lists, or else those in ``imagesTr`` and ``imagesTs``.

    Raises:
        InputError: for files that are not NIfTI or do not end in a channel's number, or a case that lists no images.
    """
    ending = about.get("file_ending", ".nii.gz")
    if ending not in SUFFIXES:
        raise InputError(f"file_ending is {ending!r}", where=path, repair="convert the files to .nii.gz")
    listed = about.get("dataset")
    if isinstance(listed, dict):
        return [_listed(name, row, folder, path) for name, row in listed.items()]
    cases = []
    for side, labels in (("imagesTr", folder / "labelsTr"), ("imagesTs", None)):
        for name in _case_names(folder / side, ending, len(channels)):
            images = tuple(folder / side / f"{name}_{i:04d}{ending}" for i in range(len(channels)))
            cases.append(Case(name, images, labels / f"{name}{ending}" if labels else None))
    return cases


def case_names(scans: Sequence[Path]) -> dict[Path, str]:
    """The case that each scan is: the name of its file, without nnU-Net's ``_0000`` where all of them end in it."""
    names = {path: case_name(path) for path in scans}
    found = {path: _CHANNEL.fullmatch(name) for path, name in names.items()}
    first = {path: match[1] for path, match in found.items() if match and match[2] == "0000"}
    return first if len(first) == len(names) else names


def _case_names(folder: Path, ending: str, channels: int) -> list[str]:
    files = [p.name for p in folder.iterdir() if not p.name.startswith(".")] if folder.is_dir() else []
    found = [(name, _CHANNEL.fullmatch(name.removesuffix(ending))) for name in files if name.endswith(ending)]
    odd = sorted(name for name, match in found if not match or int(match[2]) >= channels)
    if odd:
        raise InputError(
            f"{odd[0]} does not end in the number of one of {channels} channels",
            where=folder,
            repair=f"name it like CASE_0000{ending}, and name every channel in dataset.json",
        )
    return sorted({match[1] for _, match in found if match})


def _listed(name: str, row: Any, folder: Path, path: Path) -> Case:
    if not isinstance(row, dict) or not isinstance(row.get("images"), list) or not row["images"]:
        raise InputError(
            f"its case {name!r} lists no images", where=path, repair='write {"images": [...], "label": ...}'
        )
    label = row.get("label")
    return Case(name, tuple(_place(folder, p) for p in row["images"]), _place(folder, label) if label else None)
