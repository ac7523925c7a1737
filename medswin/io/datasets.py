"""Data sets as they are found: the Medical Segmentation Decathlon's layout, and nnU-Net's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medswin.errors import InputError
from medswin.io.files import read_json
from medswin.io.nifti import SUFFIXES, case_name

_NAMED = 5  # missing files named in one error


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


@dataclass(frozen=True)
class Dataset:
    """A data set, its files known to be there but not yet read.

    Attributes:
        name: as it calls itself, or its folder.
        layout: ``"msd"`` or ``"nnunet"``.
        cases: in the order of their names, those with a label first.
        channel_names: of the images' channels, in order.
        label_names: name -> value, 0 (the background) to n without a gap.
        licence: as it says; empty where it does not.
    """

    name: str
    layout: Literal["msd", "nnunet"]
    cases: tuple[Case, ...]
    channel_names: tuple[str, ...]
    label_names: dict[str, int]
    licence: str


def read_dataset(folder: Path | str) -> Dataset:
    """Read the ``dataset.json`` of a folder in the Decathlon's or nnU-Net's layout (version 2, or 1).

    Decathlon: ``training`` lists images and labels as dicts or names, ``test`` images. nnU-Net: ``imagesTr`` holds
    ``CASE_0000.nii.gz`` for each channel, ``labelsTr`` ``CASE.nii.gz``, unless ``dataset`` lists the files. Hidden
    files are passed over. Test cases are left out where the whole folder of their images is.

    Raises:
        InputError: if there is no ``dataset.json``, it does not say what it must, a file is missing, two cases have
            one name, there is no training case, or labels are regions (lists of values) or leave a gap.
    """
    folder = Path(folder)
    path = folder if folder.is_file() else folder / "dataset.json"
    folder = path.parent
    if not path.is_file():
        raise InputError(
            "no dataset.json in this folder",
            where=folder,
            repair="name a folder in the layout of the Medical Segmentation Decathlon or of nnU-Net",
        )
    about = read_json(path)
    layout: Literal["msd", "nnunet"] = "nnunet" if {"channel_names", "file_ending"} & set(about) else "msd"
    channels = _channels(about, path)
    found = _nnunet(about, folder, path, channels) if layout == "nnunet" else _msd(about, folder, path, channels)
    cases = tuple(sorted(found, key=lambda case: (case.label is None, case.id)))
    _check_cases(cases, path)
    return Dataset(
        str(about.get("name") or folder.resolve().name),
        layout,
        cases,
        channels,
        _labels(about.get("labels"), path),
        str(about.get("licence") or about.get("license") or ""),
    )


def _channels(about: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    names = about.get("channel_names", about.get("modality", {"0": "image"}))
    names = dict(enumerate(names)) if isinstance(names, list) else names
    order = [str(i) for i in range(len(names))] if isinstance(names, dict) else []
    if not order or {str(key) for key in names} != set(order):
        raise InputError(
            "its channels must be named by 0, 1, ... in order", where=path, repair='write {"0": "T1", "1": "T2"}'
        )
    return tuple({str(key): str(name) for key, name in names.items()}[key] for key in order)


def _labels(given: Any, path: Path) -> dict[str, int]:
    if not isinstance(given, dict) or not given:
        raise InputError("it names no labels", where=path, repair='write {"background": 0, "liver": 1}')
    regions = [str(name) for name, value in given.items() if isinstance(value, list)]
    if regions:
        raise InputError(
            f"the labels {', '.join(regions)} are regions (lists of values), which cannot be trained on yet",
            where=path,
            repair="give each structure one value of its own",
        )
    try:
        by_value = all(str(key).isdecimal() for key in given)
        pairs = [(str(v), int(k)) if by_value else (str(k), int(v)) for k, v in given.items()]
    except (TypeError, ValueError) as error:
        raise InputError("a label's value is no whole number", where=path, repair='write {"liver": 1}') from error
    if 0 not in [value for _, value in pairs]:
        pairs.append(("background", 0))
    names = dict(sorted(pairs, key=lambda pair: pair[1]))
    if list(names.values()) != list(range(len(pairs))):
        raise InputError(
            f"label values must be 0, 1, 2, ... each with a name of its own, got {pairs}",
            where=path,
            repair="renumber the labels, in the files too",
        )
    return names


def _msd(about: Mapping[str, Any], folder: Path, path: Path, channels: Sequence[str]) -> list[Case]:
    cases = []
    for row in _rows(about, "training", path):
        row = {"image": row} if isinstance(row, str) else row
        if not isinstance(row, dict) or not isinstance(row.get("image"), str):
            raise InputError("a training case names no image", where=path, repair='write {"image": ..., "label": ...}')
        image = _place(folder, row["image"])
        label = _place(folder, row["label"]) if "label" in row else folder / "labelsTr" / image.name
        if not image.name.startswith("."):
            cases.append(Case(case_name(image), _split_channels(image, channels), label))
    tests = [row["image"] if isinstance(row, dict) else row for row in _rows(about, "test", path)]
    images = [_place(folder, str(row)) for row in tests]
    shown = [image for image in images if image.parent.is_dir() and not image.name.startswith(".")]
    return cases + [Case(case_name(image), _split_channels(image, channels)) for image in shown]


def _rows(about: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    rows = about.get(key) or []
    if not isinstance(rows, list):
        raise InputError(f"{key!r} must be a list of cases", where=path, repair="list the files")
    return rows


def _place(folder: Path, name: Any) -> Path:
    return folder / str(name).replace("\\", "/")


def _split_channels(image: Path, channels: Sequence[str]) -> tuple[Path, ...]:
    """The file, or nnU-Net's version 1: it lists ``CASE.nii.gz`` and means ``CASE_0000.nii.gz`` and so on."""
    suffix = image.name.removeprefix(case_name(image))
    split = tuple(image.with_name(f"{case_name(image)}_{i:04d}{suffix}") for i in range(len(channels)))
    return split if not image.exists() and split[0].exists() else (image,)


def _nnunet(about: Mapping[str, Any], folder: Path, path: Path, channels: Sequence[str]) -> list[Case]:
    ending = about.get("file_ending", ".nii.gz")
    if ending not in SUFFIXES:
        raise InputError(f"file_ending is {ending!r}", where=path, repair="convert the files to .nii.gz")
    listed = about.get("dataset")
    if isinstance(listed, dict):
        return [_listed(name, row, folder, path) for name, row in listed.items()]
    cases = []
    for side, labels in (("imagesTr", folder / "labelsTr"), ("imagesTs", None)):
        for name in _case_names(folder / side, ending):
            images = tuple(folder / side / f"{name}_{i:04d}{ending}" for i in range(len(channels)))
            cases.append(Case(name, images, labels / f"{name}{ending}" if labels else None))
    return cases


def _case_names(folder: Path, ending: str) -> list[str]:
    files = [p.name for p in folder.iterdir() if not p.name.startswith(".")] if folder.is_dir() else []
    stems = [name.removesuffix(ending) for name in files if name.endswith(ending)]
    return sorted({stem[:-5] for stem in stems if stem[-5:-4] == "_" and stem[-4:].isdecimal()})


def _listed(name: str, row: Any, folder: Path, path: Path) -> Case:
    if not isinstance(row, dict) or not isinstance(row.get("images"), list) or not row["images"]:
        raise InputError(
            f"its case {name!r} lists no images", where=path, repair='write {"images": [...], "label": ...}'
        )
    label = row.get("label")
    return Case(name, tuple(_place(folder, p) for p in row["images"]), _place(folder, label) if label else None)


def _check_cases(cases: Sequence[Case], path: Path) -> None:
    if not cases or cases[0].label is None:
        raise InputError("it has no training case", where=path, repair="list images with labels, or put them in place")
    names = [case.id for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"two cases are called {twice[0]}", where=path, repair="rename or remove one of them")
    files = [file for case in cases for file in (*case.images, *([case.label] if case.label else []))]
    missing = [_short(file, path) for file in files if not file.is_file()]
    if missing:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        raise InputError(
            f"{len(missing)} files are missing: {', '.join(missing[:_NAMED])}{more}",
            where=path,
            repair="put them in place, or remove their cases from it",
        )


def _short(file: Path, path: Path) -> str:
    return file.relative_to(path.parent).as_posix() if file.is_relative_to(path.parent) else str(file)
