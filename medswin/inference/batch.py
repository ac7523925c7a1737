"""A folder of scans: each segmented and written, the failed ones reported, and what is done already passed over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from medswin.errors import InputError, explain
from medswin.inference.begun import Begun
from medswin.inference.box import Box
from medswin.inference.outcome import CaseResult, Failed, Outcome
from medswin.inference.records import Records
from medswin.inference.schedule import Schedule, in_turn
from medswin.inference.work import Predicts, Work
from medswin.io.files import output_folder, remove_unfinished
from medswin.io.lock import locked
from medswin.io.private import PRIVATE, keep_origins, private_folder
from medswin.io.sources import AS_IT_IS, Reading, Source, Sources, check_some, find_sources, unzipped
from medswin.io.superseded import FOLDER

Progress = Callable[[Sequence[Any]], Iterable[Any]]
_WORKERS_END_S = 1.0  # in which workers of a run that was killed do


@dataclass(frozen=True)
class BatchResult:
    """What became of a batch.

    Attributes:
        done: the cases that have results, in the order in which they ended.
        failed: those that have none.
        skipped: name of each DICOM series that is not for this model, and why.
        superseded: the cases whose results of an earlier run were set aside, as they count no more.
    """

    done: tuple[CaseResult, ...]
    failed: tuple[Failed, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    superseded: tuple[str, ...] = ()


def predict_folder(
    predictor: Predicts,
    inputs: Path | str,
    out: Path | str,
    progress: Progress = iter,
    *,
    box: str | Box | None = None,
    overwrite: bool = False,
    all_series: bool = False,
    reading: Reading = AS_IT_IS,
    schedule: Schedule | None = None,
) -> BatchResult:
    """Segment all cases of an input: ``<case>.nii.gz`` and ``<case>.json`` each, and tables of all.

    A case that cannot be used is reported and the others are done. A case whose results are there, whole, unchanged,
    and made of the same files with the same package and settings, is not done again. Results of other files are set
    aside in ``.private/superseded`` before their case is done again, so that a failure leaves none of them, and so are
    those of a series that goes by other names since it grew, or that this run leaves out. ``volumes.csv`` and
    ``summary.csv`` (worst cases first) tell of all cases in the folder, those of earlier runs too, but for volumes of
    those that failed since; ``manifest.jsonl`` gets a line for each case as it ends, ``run.log`` what was chosen and
    done. What a DICOM case's name stands for is kept in ``.private``, for the owner's eyes only.

    Args:
        predictor: the model.
        inputs: an image file (NIfTI, .mha, .nrrd), a folder of them, a data set, a table (``.csv``), or DICOM: a
            series, a study, a tree of studies; or a zip of any of these, see `medswin.io.sources.find_sources`.
        out: folder for the results; made where missing.
        progress: wraps the list of cases, for a progress bar; it is drawn from once for each case that ends.
        box: the part of each scan to look at, see `Box.parse`.
        overwrite: do everything again.
        all_series: take every DICOM series, also those that the model's rules leave out.
        reading: what is done to DICOM series: PET as SUV, tilted slices straightened.
        schedule: how the work is spread, see `medswin.inference.schedule`; one case after the other where None.

    Cases during which an earlier run ended, killed or crashed, come last, as one of them may be to blame.

    Raises:
        InputError: if there is no case, the box cannot be read, results would replace the scans, another run is writing
            to ``out``, or nothing can be written there.
    """
    part = Box.parse(box) if isinstance(box, str) else box
    inputs, out = Path(inputs), output_folder(out)
    with (
        locked(private_folder(out) / "lock", out, _WORKERS_END_S),
        _cleared(out),
        unzipped(inputs, out / PRIVATE) as opened,
    ):
        sources = find_sources(
            opened,
            out,
            predictor.model.channels,
            predictor.model.series,
            all_series=all_series,
            reading=reading,
            zipped=inputs,
            may_be_none=True,
        )
        _check_places(sources.cases, inputs, out)
        before = keep_origins(out, sources.origins)
        records = Records(out)
        records.begin(predictor.settings(part) | vars(reading), sources, predictor.model.facts)
        superseded = records.supersede(sources, before, inputs.name)
        try:
            check_some(sources, inputs)
        except InputError as error:
            records.end((), ())
            told = f"; set aside in {FOLDER}: {', '.join(superseded)}" if superseded else ""
            raise InputError(f"{error.what}{told}", where=error.where, repair=error.repair) from None
        begun = Begun(out)
        work = Work(out, part, overwrite, dict(records.manifest.last), begun)
        run = (schedule or in_turn(predictor))(sources.cases, work)
        outcomes: list[Outcome] = []
        try:
            for one in chain(_untried(sources), _drawn(progress, sources.cases, run)):
                outcomes.append(records.note(one))
                begun.end(one.case, well=isinstance(one, CaseResult))
        finally:
            begun.interrupted()
        done = tuple(one for one in outcomes if isinstance(one, CaseResult))
        bad = tuple(one for one in outcomes if isinstance(one, Failed))
        bad += records.end(done, bad)
    return BatchResult(done, bad, sources.left_out, superseded)


@contextmanager
def _cleared(out: Path) -> Iterator[None]:
    """First remove what a run that was killed left half done."""
    for folder in (out, out / PRIVATE):
        remove_unfinished(folder)
    yield


def _untried(sources: Sources) -> Iterator[Outcome]:
    """Cases that failed while they were looked for."""
    for case, error in sources.failed:
        yield Failed(Path(case).name, str(error.where or case), explain(error))


def _drawn(progress: Progress, cases: Sequence[Source], run: Iterator[Outcome]) -> Iterator[Outcome]:
    """The outcomes, each with a step of the progress bar; an error ends the run in good order."""
    try:
        for _, outcome in zip(progress(cases), run, strict=True):
            yield outcome
    finally:
        run.close()  # type: ignore[attr-defined]


def _check_places(sources: Sequence[Source], inputs: Path, out: Path) -> None:
    """Results are named like the scans, so that they must not go where these are, nor be looked for again."""
    folders = {inputs, *(path.parent for source in sources for path in source.files)}
    if any(out.samefile(folder) for folder in folders if folder.is_dir()):
        raise InputError(
            "results would replace the scans, which have the same names",
            where=out,
            repair="choose another folder for the results",
        )
