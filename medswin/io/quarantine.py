"""A quarantine on disk: cases that a reviewer decided on, apart from all data sets until a training run takes them.

A folder in the layout of the Medical Segmentation Decathlon: ``imagesTr``, ``labelsTr`` and a ``dataset.json`` that
lists the cases that may teach; ``manifest.json`` tells of all that were reviewed where they come from and what was
said.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medswin.errors import InputError
from medswin.io.files import read_bytes, read_json, remove, sha256, write_json

QUARANTINE_VERSION = 1
MANIFEST, DATASET = "manifest.json", "dataset.json"
IMAGES, LABELS = "imagesTr", "labelsTr"

Record = dict[str, Any]
"""What is known of a case: ``usable``, ``channels``, ``finished``, ``input_sha256``, and of a usable one the SHA-256 of
its two files, ``image_sha256`` and ``labels_sha256``; the rest is for people."""

_NEEDED = {"usable": bool, "channels": int, "finished": str}
_ANOTHER = "take its review in again, or choose another folder"


def paths(folder: Path, case: str) -> tuple[Path, Path]:
    """Where image and label map of a case lie."""
    return folder / IMAGES / f"{case}.nii.gz", folder / LABELS / f"{case}.nii.gz"


def read_records(folder: Path, structures: Mapping[str, int] | None = None) -> dict[str, Record]:
    """The record of each case; none where there is no manifest.

    Args:
        folder: of the quarantine.
        structures: name -> value of the cases to come, which must be those of the cases that are there.

    Raises:
        InputError: for a manifest that is damaged, of another version or of other structures.
    """
    path = folder / MANIFEST
    if not path.exists():
        return {}
    values = read_json(path)
    records: Any = values.get("cases")
    if values.get("quarantine_version") != QUARANTINE_VERSION or not _sound(records):
        raise InputError("is damaged or of another version", where=path, repair="choose another folder")
    if structures is not None and values.get("structures") != dict(structures):
        raise InputError(
            f"holds cases with the structures {_names(values.get('structures'))}, these are {_names(structures)}",
            where=path,
            repair="choose another folder for this model's cases",
        )
    return dict(records)


def write_records(folder: Path, records: Mapping[str, Record], structures: Mapping[str, int]) -> None:
    """Write manifest and list of cases, and remove the files of those that may not teach.

    The manifest comes first, so that after a kill in between no case is listed of which it does not know.

    Raises:
        InputError: if the cases differ in their number of channels, or something cannot be written.
    """
    usable = sorted(case for case, record in records.items() if record["usable"])
    channels = {records[case]["channels"] for case in usable}
    if len(channels) > 1:
        raise InputError(
            f"its cases would have {' and '.join(map(str, sorted(channels)))} channels, all must have as many",
            where=folder,
            repair="choose another folder for this model's cases",
        )
    manifest = {"quarantine_version": QUARANTINE_VERSION, "structures": dict(structures), "cases": dict(records)}
    write_json(folder / MANIFEST, manifest)
    names = ["image"] if channels <= {1} else [f"channel {i}" for i in range(max(channels))]
    about = {
        "name": "reviewed",
        "modality": {str(i): name for i, name in enumerate(names)},
        "labels": {"0": "background", **{str(value): name for name, value in structures.items()}},
        "numTraining": len(usable),
        "training": [{"image": f"{IMAGES}/{case}.nii.gz", "label": f"{LABELS}/{case}.nii.gz"} for case in usable],
        "test": [],
    }
    write_json(folder / DATASET, about)
    for case in sorted(set(records) - set(usable)):
        for path in paths(folder, case):
            remove(path)


def check_unchanged(folder: Path, case: str, records: Mapping[str, Record]) -> None:
    """See that a listed case may teach, and that its files are those that were taken in.

    Raises:
        InputError: if it may not, or they are missing or others.
    """
    record = records.get(case, {})
    if not record.get("usable"):
        raise InputError(f"{case} is listed, but was not taken in", where=folder / DATASET, repair=_ANOTHER)
    for path, key in zip(paths(folder, case), ("image_sha256", "labels_sha256"), strict=True):
        if sha256(read_bytes(path)) != record.get(key):
            raise InputError("is not the file that was taken in", where=path, repair=_ANOTHER)


def _sound(records: Any) -> bool:
    return isinstance(records, dict) and all(
        isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in _NEEDED.items())
        for record in records.values()
    )


def _names(structures: Any) -> str:
    return ", ".join(map(str, structures)) if isinstance(structures, dict) and structures else "of nothing"
