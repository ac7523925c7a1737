"""Case folders: a `Prediction` as ``<case>.nii.gz`` (its label map) and ``<case>.json`` (all the rest)."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.files import read_bytes, read_json, remove, sha256, to_json, write_json
from medswin.io.grid import Grid
from medswin.io.nifti import read_labels, write_labels
from medswin.io.scan import NO_ORIENTATION
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction

CASE_VERSION = 1


def write_case(folder: Path | str, prediction: Prediction) -> list[Path]:
    """Write the two files of a case and return their paths, the label map first.

    The JSON file is removed first and written last, so where there is one, the case is complete. The label map of a
    scan without orientation has none either.

    Raises:
        InputError: for a case name that is no file name, provenance that does not go into JSON, or a folder that
            cannot be written to.
    """
    case = prediction.case
    if not case or case != Path(case).name or "\\" in case or "\0" in case or case.startswith("."):
        raise InputError("a case name must be a plain file name", where=repr(case), repair="rename the case")
    labels, described = Path(folder) / f"{case}.nii.gz", Path(folder) / f"{case}.json"
    values = _to_json(prediction)
    to_json(values, described)  # what cannot be written is found before anything is touched
    remove(described)
    oriented = all(finding.code != NO_ORIENTATION for finding in prediction.findings)
    write_labels(labels, prediction.labels, prediction.affine, oriented=oriented)
    write_json(described, values | {"labels_file": labels.name, "labels_sha256": sha256(read_bytes(labels))})
    return [labels, described]


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


def _to_json(prediction: Prediction) -> dict[str, Any]:
    return {
        "case_version": CASE_VERSION,
        "case": prediction.case,
        "affine": prediction.affine,
        "structures": prediction.label_set.to_json(),
        "volumes_ml": prediction.volumes_ml,
        "cut_off": prediction.cut_off,
        "ood": _null(asdict(prediction.ood)),
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
        ood=OODResult(**_nan(values["ood"])),
        findings=tuple(Finding(**row) for row in values["findings"]),
        provenance=values["provenance"],
        region=_region(values["region"]),
    )


def _region(spans: list[list[int]] | None) -> tuple[tuple[int, int], ...] | None:
    return None if spans is None else tuple((int(first), int(stop)) for first, stop in spans)


def _null(ood: dict[str, Any]) -> dict[str, Any]:
    """JSON has no NaN: a number that was not computed is null."""
    parts = {name: None if math.isnan(score) else score for name, score in ood["parts"].items()}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in ood.items()} | {"parts": parts}


def _nan(row: dict[str, Any]) -> dict[str, Any]:
    parts = {name: np.nan if score is None else score for name, score in row["parts"].items()}
    return {k: np.nan if v is None else v for k, v in row.items()} | {"parts": parts, "reasons": tuple(row["reasons"])}
