"""``medswin export``: cases as DICOM objects and files for archives, planning systems and viewers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    inputs: Annotated[Path, typer.Option("-i", "--input", help="Folder that predict wrote, or one <case>.json in it.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the files.")],
    formats: Annotated[
        str,
        typer.Option(
            "-f", "--format", help="dicom-seg, dicom-sr, dicom-sc, dicom-pdf, rtstruct, nifti, seg-nrrd; with commas."
        ),
    ] = "dicom-seg",
    source: Annotated[
        Path | None, typer.Option("--source", help="Where the scans lie now: a folder, a file or a zip.")
    ] = None,
    labelmap: Annotated[
        bool, typer.Option("--labelmap", help="Segmentations as label maps: far smaller, for new software alone.")
    ] = False,
    repair_uids: Annotated[
        bool, typer.Option("--repair-uids", help="Make up identifiers that a scan lacks, the same in each export.")
    ] = False,
    edited: Annotated[
        Path | None,
        typer.Option("--edited", help="Label map that a reviewer changed (.nii.gz), or the review.json beside it."),
    ] = None,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Draw a progress bar.")] = True,
) -> None:
    """Export cases for other systems. What fails is reported, and the rest is done."""
    from medswin.cli import options, screen
    from medswin.cli.status import batch_status, complain
    from medswin.review.export import export as export_all
    from medswin.review.job import Options

    how = Options(labelmap, repair_uids, edited)
    with screen.bar(shown=progress) as bar:
        done = export_all(inputs, out, options.names(formats, "-f"), how, source, bar.track)
    for one in done:
        for note in one.notes:
            screen.line(note)
        if one.rejected:
            complain(f"{one.case}: the model rejects this scan, and the files say so. Do not use outlines or volumes")
        for reason in one.failed:
            complain(reason)
    written = sum(len(one.files) for one in done)
    if written:
        screen.facts([("files", written), ("results", out)])
    whole = sum(not one.failed for one in done)
    some = sum(bool(one.files) for one in done)
    raise typer.Exit(batch_status(some, len(done) - whole))
