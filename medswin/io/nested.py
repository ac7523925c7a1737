"""NIfTI files in the folders below one, as BIDS and many archives keep them."""

from __future__ import annotations

import re
from pathlib import Path

from medswin.errors import InputError
from medswin.io.layouts import Case
from medswin.io.nifti import SUFFIXES, case_name

_MAP = re.compile(r"(.*[^a-z])?(dseg|probseg|seg|segmentation|mask|labels?)", re.IGNORECASE)
_MAPS = re.compile(r"(labels|masks|segmentations|derivatives).*", re.IGNORECASE)


def nested_cases(folder: Path) -> tuple[list[Case], int]:
    """A case for each NIfTI file in the tree below a folder, and how many were left out as label maps.

    A label map is what its name or a folder's says: ``sub-01_dseg``, ``brain_mask``, ``labelsTr/a``, or what BIDS keeps
    under ``derivatives``. Hidden files and folders are left out.

    Returns:
        The cases in the order of their files, and the number of label maps. A case is called by its file where all
        names differ, else by its path below the folder, with ``_`` between the folders.

    Raises:
        InputError: if there are label maps alone, or two cases have one name even so.
    """
    seen = nifti_below(folder)
    scans = [file for file in seen if not _is_map(file.relative_to(folder))]
    if seen and not scans:
        raise InputError(
            f"all {len(seen)} NIfTI files below are called label maps",
            where=folder,
            repair="if they are scans, name the folder that holds them, or rename them",
        )
    names = [case_name(file) for file in scans]
    if len(set(names)) < len(names):
        names = ["_".join((*file.relative_to(folder).parts[:-1], case_name(file))) for file in scans]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise InputError(f"two scans are called {twice[0]}", where=folder, repair="rename or remove one of them")
    return [Case(name, (file,)) for name, file in zip(names, scans, strict=True)], len(seen) - len(scans)


def nifti_below(folder: Path) -> list[Path]:
    """What is named like a NIfTI file in a tree, sorted; hidden files and folders are left out."""
    named = (file for file in folder.rglob("*") if file.name.lower().endswith(SUFFIXES))
    shown = (file for file in named if not any(part.startswith(".") for part in file.relative_to(folder).parts))
    return sorted(file for file in shown if file.parent == folder or not file.is_dir())


def _is_map(path: Path) -> bool:
    return bool(_MAP.fullmatch(case_name(path))) or any(_MAPS.fullmatch(part) for part in path.parts[:-1])
