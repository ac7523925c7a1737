"""``medswin predict``: label maps, volumes and verdicts for one scan or a folder of scans."""

from __future__ import annotations

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

MOST_REASONS = 5


class Precision(StrEnum):
    """Arithmetic of the network; auto is the fast one that the device is exact enough in."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


def predict(
    inputs: Annotated[
        Path, typer.Option("-i", "--input", help="A scan, a folder of scans, a tree of DICOM files, a zip or a table.")
    ],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for label maps and case files.")],
    model: Annotated[str, typer.Option("-m", "--model", help="Shipped model, or a package folder or zip.")],
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")] = "cpu",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; all cores by default.")] = None,
    precision: Annotated[Precision, typer.Option("--precision", help="Arithmetic of the network.")] = Precision.auto,
    mirror: Annotated[
        bool | None,
        typer.Option("--mirror/--no-mirror", help="Average over mirrored passes; the model says by default."),
    ] = None,
    box: Annotated[
        str | None, typer.Option("--box", metavar="X0:X1,Y0:Y1,Z0:Z1[mm]", help="Look only here: voxels, or RAS mm.")
    ] = None,
    memory_limit: Annotated[
        float | None,
        typer.Option(
            "--memory-limit", metavar="GB", help="Memory for all; large scans are done in parts. 6 if it can."
        ),
    ] = None,
    skip_air: Annotated[
        bool, typer.Option("--skip-air/--no-skip-air", help="Leave out windows that hold air alone.")
    ] = True,
    all_series: Annotated[
        bool, typer.Option("--all-series", help="Take every DICOM series, also those that are not for this model.")
    ] = False,
    suv: Annotated[bool, typer.Option("--suv", help="Read PET series as SUV by body weight.")] = False,
    resample_tilt: Annotated[
        bool, typer.Option("--resample-tilt", help="Straighten slices of a tilted gantry, which are refused else.")
    ] = False,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes that share the cases and the cores.")] = 1,
    case_timeout: Annotated[
        float | None,
        typer.Option(
            "--case-timeout",
            metavar="MINUTES",
            min=0.01,
            help="Kill what takes longer over a case, and report it. Without it a case takes as long as it will.",
        ),
    ] = None,
    review: Annotated[
        bool, typer.Option("--review", help="Make the review pages and the worklist too, in review/ of the output.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Redo cases that have results already.")] = False,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Draw a progress bar.")] = True,
) -> None:
    """Segment scans. A case that fails is reported, and the others are done; the same command goes on after a stop.

    Exit status: 0 all processed, 1 some or all failed (a table says what and how to mend it), 2 nothing could be begun.
    """
    from medswin.cli import screen
    from medswin.cli.process import is_logged
    from medswin.cli.review import tell
    from medswin.cli.status import DONE, SOME_FAILED
    from medswin.inference import Predictor, predict_folder
    from medswin.inference.schedule import in_processes, in_turn
    from medswin.io.sources import Reading
    from medswin.io.superseded import REVIEW

    options = {
        "device": device,
        "precision": precision.value,
        "threads": threads,
        "mirror": mirror,
        "memory_limit_gb": memory_limit,
        "skip_air": skip_air,
    }
    with screen.bar(shown=progress) as bar:
        predictor = Predictor.load(model, **options, notify=screen.line)
        each = {
            **options,
            "memory_limit_gb": memory_limit / workers if memory_limit else None,
            "processes": workers,
            "threads": max(threads // workers, 1) if threads else None,
        }
        load = partial(load_in_worker, model, each, is_logged())
        aside = in_processes(load, workers, None if case_timeout is None else 60 * case_timeout)
        schedule = aside if workers > 1 or case_timeout is not None else in_turn(predictor, aside)
        result = predict_folder(
            predictor,
            inputs,
            out,
            bar.track,
            box=box,
            overwrite=overwrite,
            all_series=all_series,
            reading=Reading(suv, resample_tilt),
            schedule=schedule,
        )
    if result.done:
        before = sum(case.resumed for case in result.done)
        screen.outcomes(f"{len(result.done) - before} segmented, {before} were there already", result.done)
        screen.facts([("results", out)])
    tell_left_out(result, out)
    if result.failed:
        screen.failures([(one.case, *one.told) for one in result.failed])
    status = SOME_FAILED if result.failed else DONE
    if review and result.done:
        with screen.bar(shown=progress) as bar:
            built = tell(out, out / REVIEW, None, bar.track)
        status = status if built == DONE else SOME_FAILED
    raise typer.Exit(status)


def tell_left_out(result: Any, out: Path) -> None:
    """Say which series were left out, by the reasons, and which results of earlier runs count no more."""
    from collections import Counter

    from medswin.cli import screen
    from medswin.io.superseded import FOLDER

    reasons = Counter(why for _, why in result.skipped).most_common()
    for why, count in reasons[:MOST_REASONS]:
        screen.line(f"{count} left out: {why}")
    if reasons:
        others = sum(count for _, count in reasons[MOST_REASONS:])
        more = f"{others} left out for other reasons. " if others else ""
        screen.line(f"{more}See {out / 'run.log'}; --all-series takes what the model's rules leave out")
    if result.superseded:
        screen.line(f"set aside in {out / FOLDER}, as they count no more: {', '.join(result.superseded)}")


def load_in_worker(model: str, options: dict[str, Any], log: bool) -> Any:
    """The predictor of a worker, whose process begins anew: it logs as the command does."""
    from medswin.cli.process import hush, show_log
    from medswin.inference import Predictor

    if log:
        show_log()
    else:
        hush()
    return Predictor.load(model, **options)
