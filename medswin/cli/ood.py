"""``medswin ood``: commission a model on a site's own scans, score scans, and explain a verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Whether a model can be trusted on scans: commission, score, explain.", no_args_is_help=True)

Model = Annotated[str, typer.Option("-m", "--model", help="Shipped model, or a package folder or zip.")]
Input = Annotated[Path, typer.Option("-i", "--input", help="A NIfTI file, or a folder of them.")]
Progress = Annotated[bool, typer.Option("--progress/--no-progress", help="Draw a progress bar.")]


@app.command()
def fit(
    model: Model,
    inputs: Input,
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder of the new model package.")],
    people: Annotated[
        Path | None, typer.Option("--people", metavar="CSV", help="Columns case,person; else each scan is a person's.")
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
    """
    from medswin.cli import screen
    from medswin.cli.status import batch_status, complain
    from medswin.inference.commission import commission
    from medswin.io.files import write_json
    from medswin.io.layouts import case_names
    from medswin.io.nifti import find_scans
    from medswin.io.people import people as owners_of

    scans = find_scans(inputs)
    names = case_names(scans)
    rule = {"by": "case"} if people is None else {"by": "table", "file": str(people)}
    owners = owners_of(list(names.values()), rule)
    with screen.bar(shown=progress) as bar:
        made = commission(
            model,
            scans,
            {path: owners[name] for path, name in names.items()},
            out,
            false_alarm_rate=rate,
            despite_rejects=despite_rejects,
            progress=bar.track,
        )
    report = out.with_name(f"{out.name}.acceptance.json")
    write_json(report, made.report)
    screen.prose(made.report["summary"])
    screen.facts([("package", out), ("id", made.package[:12]), ("report", report)])
    for path in made.left_out:
        complain(f"{path}: left out, as the model rejects it. Repair: look at it; --despite-rejects takes it if usual")
    for _, message in made.failed:
        complain(message)
    raise typer.Exit(batch_status(made.report["scans"], len(made.failed)))


@app.command()
def score(
    model: Model,
    inputs: Annotated[
        Path, typer.Option("-i", "--input", help="A scan, a folder of scans, a tree of DICOM files, a zip or a table.")
    ],
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
    from medswin.io.private import PRIVATE, keep_origins, private_folder
    from medswin.io.sources import find_sources, unzipped
    from medswin.review.words import score_words

    check_output(out, "scores.csv")
    done = {}
    with screen.bar(shown=progress) as bar:
        predictor = Predictor.load(model)
        private_folder(out.parent)
        with unzipped(inputs, out.parent / PRIVATE) as opened:
            found = find_sources(opened, out.parent, predictor.model.channels, predictor.model.series, zipped=inputs)
            keep_origins(out.parent, found.origins)
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
    for name, why in found.left_out:
        screen.line(f"{name}: left out: {why}")
    for message in failed:
        complain(message)
    raise typer.Exit(batch_status(len(done), len(failed)))


@app.command()
def explain(
    scan: Annotated[Path, typer.Argument(help="A NIfTI file.")],
    model: Model,
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the map and the picture.")],
    box: Annotated[
        str | None, typer.Option("--box", metavar="X0:X1,Y0:Y1,Z0:Z1[mm]", help="Look only here: voxels, or RAS mm.")
    ] = None,
) -> None:
    """Why this verdict: score, reasons, the most similar training scans (by number), and where the network looked.

    Writes ``CASE_cam.nii.gz``, an Eigen-CAM map of the bottleneck from 0 to 1, and ``CASE_cam.png``.
    """
    from medswin.cli import screen
    from medswin.inference import Predictor
    from medswin.inference.cam import write_cam
    from medswin.inference.predictor import geometry
    from medswin.io.files import output_folder
    from medswin.review.words import DICE_CAVEAT, dice_words, score_words

    predictor = Predictor.load(model)
    prepared = predictor.prepare(scan, box)
    labels, found = predictor.segment(prepared)
    ood = predictor.verdict(prepared, labels, found.feature.numpy())
    files = write_cam(predictor, prepared, labels, scan, output_folder(out), box)
    facts: list[tuple[str, object]] = [("verdict", ood.verdict), ("score", score_words(ood.score, ".3f"))]
    facts += [("limit", screen.figure(ood.limit)), ("p-value", screen.figure(ood.p_value))]
    facts += [("by detector", ", ".join(f"{name} {score_words(value, '.3f')}" for name, value in ood.parts.items()))]
    if ood.expected_dice is not None:
        facts.append(("expected Dice", f"{dice_words(ood.expected_dice)}: {DICE_CAVEAT}"))
    judge = predictor.model.judge
    if judge is not None:
        row = predictor.row(prepared, labels, found.feature.numpy())
        near = judge.reference.nearest(row)
        facts.append(("most like", ", ".join(f"{name} ({away:.2g} SD away)" for name, away in near)))
        sizes = geometry(prepared.looked_at)
        facts.append(("size", " x ".join(f"{mm:.3g}" for mm in sizes["fov_mm"]) + " mm"))
    screen.facts([*facts, *(("file", path) for path in files)])
    for reason in ood.reasons:
        screen.prose(f"- {reason}")
