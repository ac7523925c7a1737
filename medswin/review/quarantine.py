"""The way back: cases that a reviewer decided on become a data set of their own, which training may take.

A quarantine is a folder in the layout of the Medical Segmentation Decathlon: ``imagesTr``, ``labelsTr`` and a
``dataset.json`` that lists the cases in which nothing was rejected; ``manifest.json`` tells of all that were reviewed
where they come from and what was said.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.cases import described_case, read_case
from medswin.io.files import output_folder, read_bytes, read_json, remove, sha256, write_json
from medswin.io.nifti import read_labels, write_image, write_labels
from medswin.io.reopen import reopened
from medswin.io.scan import Scan
from medswin.labels import LabelSet
from medswin.prediction import Prediction
from medswin.review.agreement import Agreement, agreement
from medswin.review.answers import Review, read_review

QUARANTINE_VERSION = 1
MANIFEST, DATASET = "manifest.json", "dataset.json"
IMAGES, LABELS = "imagesTr", "labelsTr"
_TEST = "imagesTs"
_REPAIR = "name the folder of predictions whose page was answered (-p), or review the case anew"


@dataclass(frozen=True)
class TakenIn:
    """A review that was taken in.

    Attributes:
        case: its name.
        usable: whether it may teach: no structure was rejected.
        agreement: between model and reviewer, a row a structure.
    """

    case: str
    usable: bool
    agreement: tuple[Agreement, ...]


def take_in(
    file: Path | str,
    predictions: Path | str,
    quarantine: Path | str,
    *,
    source: Path | None = None,
    held_out: Collection[str] = (),
    reviewer: str | None = None,
) -> TakenIn:
    """Check a reviewer's file against the prediction it answers, and put the case into the quarantine.

    A case that is there already is replaced. The label map is the model's, or the corrected one that lies beside the
    review. Of a case with a rejected structure only the record is kept.

    Args:
        file: the ``review.json``.
        predictions: folder that ``medswin predict`` wrote.
        quarantine: folder to write to; made where missing.
        source: where the scan lies now, if it was moved.
        held_out: cases that never may teach, because they measure a model.
        reviewer: a pseudonym, instead of the one in the file.

    Raises:
        InputError: for a review that is damaged, or of another scan, model or label map; a corrected label map that is
            missing, on another grid or not the one that was saved; a held-out case, or one of a data set's test scans.
    """
    file, predictions = Path(file), Path(predictions)
    review = read_review(file)
    described = described_case(predictions / f"{review.case}.json")
    if described is None:
        raise InputError(f"there is no case {review.case} in {predictions}", where=file, repair=_REPAIR)
    prediction = read_case(predictions / f"{review.case}.json")
    _check_same(review, prediction, described, file)
    if review.case in held_out:
        raise InputError(f"case {review.case} is held out to measure a model", where=file, repair="leave it out")
    with reopened(predictions, described, source) as found:
        if any(_TEST in path.parts for path in found.files):
            raise InputError(f"its scan is a test scan ({_TEST})", where=file, repair="leave it out")
        scan = found.read()
    labels = _labels(review, prediction, scan, file)
    _keep(output_folder(quarantine), review, prediction, scan, labels, reviewer)
    return TakenIn(review.case, review.usable, agreement(review, prediction, labels))


def find_reviews(places: Sequence[Path]) -> list[Path]:
    """The files that are named, and all ``*review*.json`` below the folders that are.

    Raises:
        InputError: if there is no such place, or nothing in it.
    """
    found: list[Path] = []
    for place in places:
        files = sorted(place.rglob("*review*.json")) if place.is_dir() else [place]
        if not files:
            raise InputError("no file here is called like a review", where=place, repair="name the files themselves")
        found += files
    return list(dict.fromkeys(found))


def held_out_of(splits: Path) -> frozenset[str]:
    """The cases that a training run's ``splits.json`` keeps from training.

    Raises:
        InputError: if it cannot be read, or is no such file.
    """
    values = read_json(splits)
    try:
        return frozenset([*values["validation"], *values["calibration"]])
    except (KeyError, TypeError):
        raise InputError("is no splits.json of a training run", where=splits, repair="name another file") from None


def _check_same(review: Review, prediction: Prediction, described: Mapping[str, Any], file: Path) -> None:
    """The review answers this very prediction."""
    said, names = prediction.provenance, {label.value: label.name for label in prediction.label_set}
    differing = {
        "model package": review.package != said.get("package", ""),
        "scan": review.input_sha256 != said.get("input_sha256"),
        "label map": review.labels_sha256 != described["labels_sha256"],
        "grid": review.shape != prediction.labels.shape or not np.allclose(review.affine, prediction.affine, atol=1e-4),
        "structures": review.structures != names,
    }
    if wrong := [what for what, differs in differing.items() if differs]:
        raise InputError(
            f"answers another {' and '.join(wrong)} than {review.case} has now", where=file, repair=_REPAIR
        )


def _labels(review: Review, prediction: Prediction, scan: Scan, file: Path) -> NDArray[np.uint8]:
    """The label map as the reviewer left it."""
    if review.edited is None:
        return prediction.labels
    path = file.with_name(review.edited)
    if not path.is_file():
        raise InputError(f"its corrected label map {path.name} is not beside it", where=file, repair="put it there")
    labels = read_labels(path, like=scan, values=[0, *review.structures])
    changed = labels != prediction.labels
    if int(changed.sum()) != review.voxels_changed:
        raise InputError(
            f"differs from the model's label map in {int(changed.sum())} voxels, {file.name} was saved with one that "
            f"does in {review.voxels_changed}",
            where=path,
            repair="put the two files that were saved together beside each other, under their own names",
        )
    touched = {int(value) for value in np.unique([*labels[changed], *prediction.labels[changed]])} - {0}
    for value in sorted(touched):
        if review.answer(value).answer == "accept":
            raise InputError(
                f"{review.structures[value]} was accepted, but its outline was changed",
                where=file,
                repair="review the case anew",
            )
    return labels


def _keep(
    out: Path, review: Review, prediction: Prediction, scan: Scan, labels: NDArray[np.uint8], reviewer: str | None
) -> None:
    image, label = out / IMAGES / f"{review.case}.nii.gz", out / LABELS / f"{review.case}.nii.gz"
    entries, names = _entries(out, prediction.label_set)
    digest = None
    if review.usable:
        channels = scan.image.numpy()
        shown = channels[0] if len(channels) == 1 else channels
        write_image(image, shown, scan.grid.affine, oriented=scan.oriented)
        write_labels(label, labels, prediction.affine, oriented=prediction.oriented)
        digest = sha256(read_bytes(label))
    entry = {
        "case": review.case,
        "usable": review.usable,
        "channels": len(scan.image),
        "edited": review.edited is not None,
        "voxels_changed": review.voxels_changed,
        "labels_sha256": digest,
        "model_labels_sha256": review.labels_sha256,
        "input_sha256": review.input_sha256,
        "model": review.model,
        "package": review.package,
        "verdict": review.verdict,
        "reviewer": review.reviewer if reviewer is None else reviewer,
        "finished": review.finished.isoformat(),
        "taken_in": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": review.seconds,
        "answers": [asdict(answer) for answer in review.answers],
    }
    entries = {**entries, review.case: entry}
    write_json(out / DATASET, _dataset(entries, names))
    write_json(out / MANIFEST, {"quarantine_version": QUARANTINE_VERSION, "structures": names, "cases": entries})
    if not review.usable:  # of an earlier review; after the list no longer names them
        for path in (image, label):
            remove(path)


def _entries(out: Path, label_set: LabelSet) -> tuple[dict[str, Any], dict[str, int]]:
    """What is in the quarantine, and the structures of its label maps, which all cases share."""
    names = {label.name: label.value for label in label_set}
    path = out / MANIFEST
    if not path.exists():
        return {}, names
    values = read_json(path)
    if values.get("quarantine_version") != QUARANTINE_VERSION or not isinstance(values.get("cases"), dict):
        raise InputError("is damaged or of another version", where=path, repair="choose another folder")
    if values.get("structures") != names:
        what = f"holds cases with the structures {', '.join(values['structures'])}, these are {', '.join(names)}"
        raise InputError(what, where=path, repair="choose another folder for this model's cases")
    return values["cases"], names


def _dataset(entries: Mapping[str, Any], names: Mapping[str, int]) -> dict[str, Any]:
    usable = sorted(case for case, entry in entries.items() if entry["usable"])
    count = max((entries[case]["channels"] for case in usable), default=1)
    return {
        "name": "reviewed",
        "modality": {str(i): f"channel {i}" for i in range(count)} if count > 1 else {"0": "image"},
        "labels": {"0": "background", **{str(value): name for name, value in names.items()}},
        "numTraining": len(usable),
        "training": [{"image": f"{IMAGES}/{case}.nii.gz", "label": f"{LABELS}/{case}.nii.gz"} for case in usable],
        "test": [],
    }
