"""Case folders: a `Prediction` as ``<case>.nii.gz`` (its label map) and ``<case>.json`` (all the rest)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.cells import csv_text
from medswin.io.files import read_bytes, read_json, remove, replacing, sha256, to_json, write_json, write_text
from medswin.io.grid import Grid
from medswin.io.nifti import read_labels, write_labels
from medswin.io.selfcheck import check_written
from medswin.io.statistics import Measured, measure
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction

CASE_VERSION = 1
VOLUMES = "volumes.csv"
COLUMNS = ("case", "structure", "volume_ml", "cut_off", "verdict", "p")


def write_case(folder: Path | str, prediction: Prediction) -> list[Path]:
    """Write the two files of a case and return their paths, the label map first.

    The JSON file is removed first and written last, so where there is one, the case is complete. The label map of a
    scan without orientation has none either.

    Raises:
        InputError: for a case name that is no file name, provenance that does not go into JSON, a folder that cannot
            be written to, or a label map that, read again, is not what was meant (`medswin.io.selfcheck`).
    """
    case = prediction.case
    check_case_name(case)
    labels, described = Path(folder) / f"{case}.nii.gz", Path(folder) / f"{case}.json"
    measured = measure(prediction)
    values = _to_json(prediction, measured)
    to_json(values, described)  # what cannot be written is found before anything is touched
    remove(described)
    with replacing(labels) as temporary:
        write_labels(temporary, prediction.labels, prediction.affine, oriented=prediction.oriented)
        check_written(temporary, prediction, measured, labels)
    write_json(described, values | {"labels_file": labels.name, "labels_sha256": sha256(read_bytes(labels))})
    return [labels, described]


def check_case_name(case: str, where: object = None) -> None:
    """Refuse a case name that cannot name files.

    Raises:
        InputError: for an empty or hidden name, or one with folders in it; ``where`` is what has that name.
    """
    if not case or case != Path(case).name or "\\" in case or "\0" in case or case.startswith("."):
        raise InputError(
            f"a case name must be a plain file name that does not begin with a dot, got {case!r}",
            where=where,
            repair="rename the case",
        )
    try:
        case.encode()
    except UnicodeEncodeError:  # bytes of another encoding, which the system hands on as they are
        raise InputError(f"a case name must be text, got {case!a}", repair="rename the file in UTF-8") from None


def described_case(path: Path) -> dict[str, Any] | None:
    """What a ``<case>.json`` says, its label map unseen; None where there is none that this medswin wrote."""
    try:
        values = read_json(path) if path.is_file() else {}
    except InputError:
        return None
    return values if values.get("case_version") == CASE_VERSION else None


def write_volumes(folder: Path | str, without: Collection[str] = ()) -> Path:
    """Write ``volumes.csv`` from all case files in a folder, whichever run made them, and give its path.

    A row per case and structure: volume in ml with four decimals, whether it is cut off (yes or no), verdict, and p,
    empty where there is none. Where no case is left, a table of an earlier run is removed.

    Args:
        folder: of the case files.
        without: names of cases that are left out, because their results are not those of their scan.

    Raises:
        InputError: if it cannot be written.
    """
    folder = Path(folder)
    rows = [row for path in sorted(folder.glob("[!.]*.json")) if path.stem not in without for row in _volumes(path)]
    if rows:
        write_text(folder / VOLUMES, csv_text([COLUMNS, *rows]))
    else:
        remove(folder / VOLUMES)
    return folder / VOLUMES


def _volumes(path: Path) -> Iterator[tuple[str, ...]]:
    values = described_case(path)
    if values is None or not path.with_name(f"{path.stem}.nii.gz").is_file():
        return
    try:
        p_value = values["ood"]["p_value"]
        p = "" if p_value is None else f"{p_value:.4f}"
        for name, volume_ml in values["volumes_ml"].items():
            cut_off = "yes" if name in values["cut_off"] else "no"
            yield values["case"], name, f"{volume_ml:.4f}", cut_off, values["ood"]["verdict"], p
    except (KeyError, TypeError, AttributeError, ValueError):  # damaged: its case will be made again
        return


def read_case(path: Path | str) -> Prediction:
    """Read the case that a ``<case>.json`` describes.

    Raises:
        InputError: if a file is missing, damaged or of a newer version, or the label map is another one than that which
            was written with it.
    """
    path = Path(path)
    values = read_json(path)
    version = values.get("case_version")
    if version != CASE_VERSION:
        raise InputError(
            f"its case_version is {version!r}, this medswin reads {CASE_VERSION}",
            where=path,
            repair="update medswin, or run predict again",
        )
    try:
        return _from_json(values, path)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"is damaged ({error!r})", where=path, repair="run predict again") from error


def _to_json(prediction: Prediction, measured: Sequence[Measured]) -> dict[str, Any]:
    return {
        "case_version": CASE_VERSION,
        "case": prediction.case,
        "affine": prediction.affine,
        "structures": prediction.label_set.to_json(),
        "volumes_ml": prediction.volumes_ml,
        "cut_off": prediction.cut_off,
        "statistics": {
            "voxel_mm": Grid.checked(prediction.labels.shape, prediction.affine).voxel_mm,
            "structures": [one.to_json() for one in measured],
        },
        "ood": prediction.ood.to_json(),
        "findings": [asdict(finding) for finding in prediction.findings],
        "provenance": prediction.provenance,
        "region": prediction.region,
    }


def _from_json(values: dict[str, Any], path: Path) -> Prediction:
    label_set = LabelSet.from_json(values["structures"])
    file = path.with_name(Path(values["labels_file"]).name)
    if sha256(read_bytes(file)) != values["labels_sha256"]:
        raise InputError(f"was not written with {path.name}, or was changed", where=file, repair="run predict again")
    labels = read_labels(file, values=[0, *(label.value for label in label_set)])
    return Prediction(
        case=values["case"],
        labels=labels,
        affine=Grid.checked(labels.shape, values["affine"], path).affine,
        label_set=label_set,
        ood=OODResult.from_json(values["ood"]),
        findings=tuple(Finding(**row) for row in values["findings"]),
        provenance=values["provenance"],
        region=_region(values["region"]),
    )


def _region(spans: list[list[int]] | None) -> tuple[tuple[int, int], ...] | None:
    return None if spans is None else tuple((int(first), int(stop)) for first, stop in spans)
