"""Data sets as they are found: the Medical Segmentation Decathlon's layout, and nnU-Net's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medswin.errors import InputError
from medswin.io.dicom import Series, find_series
from medswin.io.dicom.series import search
from medswin.io.files import read_json
from medswin.io.layouts import Case, case_names, msd_cases, nnunet_cases
from medswin.io.nested import nested_cases, nifti_below
from medswin.io.nifti import IMAGE_FOLDERS, find_scans, named_like_scans
from medswin.io.private import keep_sources, naming_key

_NAMED = 5  # missing files named in one error


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
            one name, a channel has no name,
            there is no training case, or labels are regions (lists of values), to be ignored, or leave a gap.
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
    layout = _layout(about)
    channels = _channels(about, path)
    found = (nnunet_cases if layout == "nnunet" else msd_cases)(about, folder, path, channels)
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


def _layout(about: Mapping[str, Any]) -> Literal["msd", "nnunet"]:
    return "nnunet" if {"channel_names", "file_ending"} & set(about) else "msd"


def read_unlabelled(
    folder: Path | str, private: Path, report: Callable[[str], None] = lambda line: None
) -> list[Case | Series]:
    """All scans of a folder; labels are not looked at.

    They are those that its ``dataset.json`` lists; else its NIfTI files; and where it has none of these, the DICOM
    series in the whole tree below it, see `find_series`, or else the NIfTI files there, see `nested_cases`.

    Args:
        folder: of the scans.
        private: where DICOM series are found, what their names stand for is kept here, for the owner's eyes only.
        report: is told what is passed over beside NIfTI files or in a tree, and what is taken out of folders below.

    Raises:
        InputError: if there is none, the ``dataset.json`` lists no images, or NIfTI files below are all label maps.
    """
    folder = Path(folder)
    path = folder / "dataset.json"
    if path.is_file():
        about = read_json(path)
        channels = _channels(about, path)
        found = (nnunet_cases if _layout(about) == "nnunet" else msd_cases)(about, folder, path, channels)
        return sorted((Case(case.id, case.images) for case in found), key=lambda case: case.id)
    if not folder.is_dir() or named_like_scans(folder):
        cases = [Case(name, (path,)) for path, name in case_names(find_scans(folder)).items()]
        _tell(report, _beside(folder, len(cases)) if folder.is_dir() else {})
        return [*cases]
    try:
        tree = find_series(folder, naming_key(private))
    except InputError:
        if any((folder / name).is_dir() and named_like_scans(folder / name) for name in IMAGE_FOLDERS):
            find_scans(folder)  # says which folder to name
        cases, maps = nested_cases(folder)
        if not cases:
            raise
        report(f"taking {len(cases)} NIfTI files in the folders below as scans")
        _tell(report, {"NIfTI files called label maps": maps})
        return [*cases]
    keep_sources(private, tree.series)
    _tell(report, tree.passed_over)
    return list(tree.series)


def _beside(folder: Path, taken: int) -> dict[str, int]:
    """What else lies in a folder whose own NIfTI files are taken."""
    series = search(folder, b"").series  # by names that nobody sees
    return {"DICOM series": len(series), "NIfTI files in folders below": len(nifti_below(folder)) - taken}


def _tell(report: Callable[[str], None], passed_over: Mapping[str, int]) -> None:
    told = ", ".join(f"{count} {what}" for what, count in sorted(passed_over.items()) if count)
    if told:
        report(f"passed over: {told}")


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
    _check_trainable(given, path)
    try:
        pairs = _pairs(given)
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


def _pairs(given: Mapping[str, Any]) -> list[tuple[str, int]]:
    """Name and value of each label: newer files map names to values, older ones values to names."""
    if all(str(key).isdecimal() for key in given):
        return [(str(name), int(value)) for value, name in given.items()]
    return [(name, int(str(value))) for name, value in given.items()]  # str, as int alone would take 1.5 for 1


def _check_trainable(given: Mapping[str, Any], path: Path) -> None:
    regions = [str(name) for name, value in given.items() if isinstance(value, list)]
    if regions:
        raise InputError(
            f"the labels {', '.join(regions)} are regions (lists of values), which cannot be trained on yet",
            where=path,
            repair="give each structure one value of its own",
        )
    if "ignore" in map(str, [*given, *given.values()]):
        raise InputError(
            "it has the label 'ignore' for voxels that nobody looked at, which cannot be trained with yet",
            where=path,
            repair="label those voxels, or leave their cases out",
        )


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
