"""``medswin ood``: commission a model on a site's own scans, score scans, and explain a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medswin.cli.cases import INPUT, cases, one_of, tell_left_out, whose

if TYPE_CHECKING:
    from medswin.inference import Predictor
    from medswin.inference.prepare import Prepared
    from medswin.prediction import OODResult

app = typer.Typer(help="Whether a model can be trusted on scans: commission, score, explain.", no_args_is_help=True)

Model = Annotated[str, typer.Option("-m", "--model", help="Shipped model, or a package folder or zip.")]
Input = Annotated[Path, typer.Option("-i", "--input", help=INPUT)]
Progress = Annotated[bool, typer.Option("--progress/--no-progress", help="Draw a progress bar.")]


@app.command()
def fit(
    model: Model,
    inputs: Input,
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder of the new model package.")],
    people: Annotated[
        Path | None,
        typer.Option(
            "--people",
            metavar="CSV",
            help="Columns case,person; else DICOM names patients, and each other scan is a person's.",
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option("--false-alarms", min=0.0, max=1.0, help="Share of usual scans that may be flagged.")
    ] = None,
    despite_rejects: Annotated[
        bool, typer.Option("--despite-rejects", help="Use the scans that the model rejects too, even if most are.")
    ] = False,
    progress: Progress = True,
) -> None:
    """Set the limit of a model's verdict on scans of one's own, and report how they differ. No labels are needed.

    Writes the package, and beside it ``OUTPUT.acceptance.json``. Give usual scans of people whom the model has not met.
    Scans that the model rejects are named and left out. A model without a judge, such as an imported one, gets one.
    DICOM cases have the names that ``ood score`` gives them when its table lies beside the package.
    """
    from medswin.cli import screen
    from medswin.cli.status import batch_status, complain
    from medswin.errors import explain
    from medswin.inference.commission import commission
    from medswin.io.files import write_json

    with cases(model, inputs, out.parent) as found:
        for _, error in found.failed:
            complain(explain(error))
        with screen.bar(shown=progress) as bar:
            made = commission(
                model,
                found.cases,
                whose(found.cases, people),
                out,
                false_alarm_rate=rate,
                despite_rejects=despite_rejects,
                progress=bar.track,
            )
    report = out.with_name(f"{out.name}.acceptance.json")
    write_json(report, made.report)
    screen.prose(made.report["summary"])
    screen.facts([("package", out), ("id", made.package[:12]), ("report", report)])
    for one in (one for one in found.cases if one in made.left_out):
        why = "left out, as the model rejects it"
        complain(f"{one.where}: {why}. Repair: look at it; --despite-rejects takes it if usual")
    tell_left_out(found)
    for _, message in made.failed:
        complain(message)
    raise typer.Exit(batch_status(made.report["scans"], len(made.failed) + len(found.failed)))


@app.command()
def score(
    model: Model,
    inputs: Input,
    out: Annotated[Path, typer.Option("-o", "--output", help="The CSV file to write.")],
    progress: Progress = True,
) -> None:
    """Verdict, score and p-value of each scan, in a table; no label maps are written.

    What the names of DICOM cases stand for is kept in ``.private`` beside the table.
    """
    from medswin.cli import screen
    from medswin.cli.status import batch_status, check_output, complain
    from medswin.errors import explain
    from medswin.inference import Predictor
    from medswin.inference.scores import write_scores
    from medswin.review.words import score_words

    check_output(out, "scores.csv")
    done = {}
    with screen.bar(shown=progress) as bar, cases(model, inputs, out.parent) as found:
        predictor = Predictor.load(model)
        failed = [explain(error) for _, error in found.failed]
        for source in bar.track(found.cases):
            try:
                done[source.case] = predictor(source.read()).ood
            except Exception as error:  # whatever is wrong with one scan, the others are done
                failed.append(source.explain(error))
    write_scores(out, done)
    rows = [
        [name, ood.verdict, score_words(ood.score, ".3f"), screen.figure(ood.p_value)] for name, ood in done.items()
    ]
    screen.table(f"{len(done)} scans", ["scan", "verdict", "score", "p"], rows, numbers=2)
    screen.facts([("scores", out)])
    tell_left_out(found)
    for message in failed:
        complain(message)
    raise typer.Exit(batch_status(len(done), len(failed)))


@app.command()
def explain(
    scan: Annotated[Path, typer.Argument(help=INPUT)],
    model: Model,
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the map and the picture.")],
    case: Annotated[
        str | None, typer.Option("--case", help="Which, of several; by the name that score or predict gives it.")
    ] = None,
    box: Annotated[
        str | None, typer.Option("--box", metavar="X0:X1,Y0:Y1,Z0:Z1[mm]", help="Look only here: voxels, or RAS mm.")
    ] = None,
) -> None:
    """Why this verdict: score, reasons, the most similar training scans (by number), and where the network looked.

    Writes ``CASE_cam.nii.gz``, an Eigen-CAM map of the bottleneck from 0 to 1, and ``CASE_cam.png``. DICOM cases have
    the names of the results in the output folder, if predict wrote there; else of a table beside it.
    """
    from medswin.cli import screen
    from medswin.errors import MedswinError
    from medswin.inference import Predictor
    from medswin.inference.cam import write_cam
    from medswin.io.files import output_folder
    from medswin.io.private import PRIVATE

    with cases(model, scan, out if (out / PRIVATE).is_dir() else out.parent) as found:
        source, predictor = one_of(found, case, scan), Predictor.load(model)
        try:
            prepared = predictor.prepare(source.read(), box)
            labels, seen = predictor.segment(prepared)
            feature = seen.feature.numpy()
            ood = predictor.verdict(prepared, labels, feature)
            files = write_cam(predictor, prepared, labels, source, output_folder(out), box)
        except Exception as error:  # whose own words may quote what a DICOM file says of the patient
            raise MedswinError(source.explain(error)) from error
    screen.facts([*_facts(ood), *_nearest(predictor, prepared, labels, feature), *(("file", path) for path in files)])
    for reason in ood.reasons:
        screen.prose(f"- {reason}")


def _facts(ood: OODResult) -> list[tuple[str, object]]:
    from medswin.cli import screen
    from medswin.review.words import DICE_CAVEAT, dice_words, score_words

    facts: list[tuple[str, object]] = [("verdict", ood.verdict), ("score", score_words(ood.score, ".3f"))]
    facts += [("limit", screen.figure(ood.limit)), ("p-value", screen.figure(ood.p_value))]
    facts += [("by detector", ", ".join(f"{name} {score_words(value, '.3f')}" for name, value in ood.parts.items()))]
    if ood.expected_dice is not None:
        facts.append(("expected Dice", f"{dice_words(ood.expected_dice)}: {DICE_CAVEAT}"))
    return facts


def _nearest(predictor: Predictor, prepared: Prepared, labels: Any, feature: Any) -> list[tuple[str, object]]:
    """The most similar training scans, and the size of this one, where the model has a judge."""
    from medswin.inference.predictor import geometry

    judge = predictor.model.judge
    if judge is None:
        return []
    near = judge.reference.nearest(predictor.row(prepared, labels, feature))
    sizes = geometry(prepared.looked_at)
    return [
        ("most like", ", ".join(f"{name} ({away:.2g} SD away)" for name, away in near)),
        ("size", " x ".join(f"{mm:.3g}" for mm in sizes["fov_mm"]) + " mm"),
    ]
