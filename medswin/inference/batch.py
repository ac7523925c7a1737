"""A folder of scans: each segmented and written, the failed ones reported, and what is done already passed over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Protocol

from medswin.errors import InputError, MedswinError, explain
from medswin.findings import Finding
from medswin.inference.box import Box
from medswin.inference.overlap import Ahead, Behind
from medswin.inference.prepare import Prepared, file_sha256
from medswin.io.cases import check_case_name, described_case, read_case, remove_case, write_case, write_volumes
from medswin.io.files import output_folder
from medswin.io.layouts import case_names
from medswin.io.nifti import find_scans, read_grid
from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction

log = logging.getLogger(__name__)

LARGE_BYTES = 2**26  # of a channel; so large a scan is read, segmented and written while no other is in memory
Failure = tuple[Path, str]

Progress = Callable[[Sequence[Path]], Iterable[Path]]


class Predicts(Protocol):
    """What a batch needs of a `medswin.inference.Predictor`."""

    def prepare(self, image: Any, box: Box | None = None) -> Prepared:
        """Read and preprocess one scan."""

    def predict(self, prepared: Prepared) -> Prediction:
        """Segment it."""

    def settings(self, box: Box | None = None) -> dict[str, Any]:
        """What a prediction depends on beside the scan."""


@dataclass(frozen=True)
class CaseResult:
    """A `Prediction` without its label map, which is on the disk: a batch of thousands fits into memory.

    Attributes:
        case, label_set, ood, findings, volumes_ml, cut_off: as of the prediction.
        resumed: whether the results were there already.
    """

    case: str
    label_set: LabelSet
    ood: OODResult
    findings: tuple[Finding, ...]
    volumes_ml: dict[str, float]
    cut_off: tuple[str, ...]
    resumed: bool

    @classmethod
    def of(cls, made: Prediction, *, resumed: bool) -> CaseResult:
        """Keep what is needed of a prediction."""
        return cls(made.case, made.label_set, made.ood, made.findings, made.volumes_ml, made.cut_off, resumed)


@dataclass(frozen=True)
class BatchResult:
    """What became of a batch.

    Attributes:
        done: the cases that have results, in the order of their names.
        failed: path and message of each scan that has none.
    """

    done: tuple[CaseResult, ...]
    failed: tuple[tuple[Path, str], ...]


def predict_folder(
    predictor: Predicts,
    inputs: Path | str,
    out: Path | str,
    progress: Progress = iter,
    *,
    box: str | Box | None = None,
    overwrite: bool = False,
) -> BatchResult:
    """Segment a scan or a folder of scans: ``<case>.nii.gz`` and ``<case>.json`` each, and ``volumes.csv``.

    While the network runs on a scan, the next one is read and the results of the one before are written, unless they
    are large (`LARGE_BYTES`). A scan that cannot be used is reported and the others are done. A case whose results are
    there, whole, and made of the same file with the same package and settings, is not done again. Results of another
    file are removed before their case is done again, so that a failure leaves none of them. ``volumes.csv`` tells of
    all cases in the folder, those of earlier runs too, but for those that failed in this one. Cases are named by
    `case_names`.

    Args:
        predictor: the model.
        inputs: a NIfTI file, or a folder of them.
        out: folder for the results; made where missing.
        progress: wraps the list of scans, for a progress bar.
        box: the part of each scan to look at, see `Box.parse`.
        overwrite: do everything again.

    Raises:
        InputError: if there is no scan, the box cannot be read, results would replace the scans, or nothing can be
            written to ``out``.
    """
    scans = find_scans(inputs)
    part = Box.parse(box) if isinstance(box, str) else box
    out, names = output_folder(out), case_names(scans)
    _check_places(scans, out)

    def read(path: Path) -> Prepared | CaseResult:
        _check_name(path, names)
        return _read(predictor, path, out / f"{names[path]}.json", part, overwrite=overwrite)

    behind: Behind[CaseResult | Failure] = Behind(_failure)
    with Ahead(scans, read, _large) as ahead, behind:
        for path in progress(scans):
            if _large(path):
                behind.wait()
            behind.put(path, _segmented(predictor, path, ahead, out, names[path]))
            if _large(path):
                behind.wait()
    outcomes = [future.result() for future in behind.results]
    failed = tuple(outcome for outcome in outcomes if isinstance(outcome, tuple))
    write_volumes(out, without={names[path] for path, _ in failed})
    return BatchResult(tuple(outcome for outcome in outcomes if isinstance(outcome, CaseResult)), failed)


def _segmented(
    predictor: Predicts, path: Path, ahead: Ahead[Prepared | CaseResult], out: Path, case: str
) -> Callable[[], CaseResult | Failure]:
    """Run the network on a scan; what is left to do is returned, to be done in another thread."""
    try:
        found = ahead.take(path)
        if isinstance(found, CaseResult):
            return partial(_same, found)
        return partial(_write, out, replace(predictor.predict(found), case=case))
    except Exception as error:  # whatever is wrong with one scan, the others are done
        return partial(_same, _failure(path, error))


def _same(outcome: CaseResult | Failure) -> CaseResult | Failure:
    return outcome


def _failure(path: Path, error: Exception) -> Failure:
    log.debug("a case failed", exc_info=error)
    return path, explain(error, path)


def _read(
    predictor: Predicts, path: Path, described: Path, box: Box | None, *, overwrite: bool
) -> Prepared | CaseResult:
    there = None if overwrite else _made_before(described, path, predictor.settings(box))
    if there is not None:
        return CaseResult.of(there, resumed=True)
    _remove_stale(described, path)
    return predictor.prepare(path, box)


def _write(out: Path, made: Prediction) -> CaseResult:
    write_case(out, made)
    return CaseResult.of(made, resumed=False)


def _large(scan: Path) -> bool:
    """By the voxels that its header tells of: an empty scan is a small file."""
    try:
        return 4 * prod(read_grid(scan).shape) > LARGE_BYTES
    except (MedswinError, OSError):
        return False  # reading it explains


def _made_before(described: Path, scan: Path, settings: dict[str, Any]) -> Prediction | None:
    """The results of an earlier run, if they are whole and what this run would make."""
    if not described.is_file():
        return None
    try:
        found = read_case(described)
    except InputError:
        return None  # damaged or of another version: made again
    same = all(found.provenance.get(key) == value for key, value in settings.items())
    return found if same and found.provenance.get("input_sha256") == _sha256(scan) else None


def _remove_stale(described: Path, scan: Path) -> None:
    """Remove the results of another scan of this name; those of a scan that cannot be read now are left."""
    values, now = described_case(described), _sha256(scan)
    if values is None or now is None:
        return
    provenance = values.get("provenance")
    if not isinstance(provenance, dict) or provenance.get("input_sha256") != now:
        remove_case(described.parent, described.stem)


def _sha256(scan: Path) -> str | None:
    """Of the file's content; None where it cannot be read, which reading it as a scan explains."""
    try:
        return file_sha256(scan)
    except OSError:
        return None


def _check_places(scans: Sequence[Path], out: Path) -> None:
    """Results are named like the scans, so that they must not go where these are."""
    if any(out.samefile(path.parent) for path in scans):
        raise InputError(
            "results would replace the scans, which have the same names",
            where=out,
            repair="choose another folder for the results",
        )


def _check_name(path: Path, names: Mapping[Path, str]) -> None:
    """A name must do for the results; two scans of one name (``a.nii`` and ``a.nii.gz``) would share them."""
    check_case_name(names[path], path)
    twin = next((p for p in names if p != path and names[p] == names[path]), None)
    if twin is not None:
        raise InputError(f"has the same case name as {twin.name}", where=path, repair="rename or remove one of them")
