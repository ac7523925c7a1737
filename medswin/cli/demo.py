"""``medswin demo``: the whole job on a real brain that every machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")] = Path("demo-out"),
    model: Annotated[str, typer.Option("-m", "--model", help="A hippocampus model.")] = "hippocampus",
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")] = "cpu",
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="CPU threads; all cores by default.")] = None,
) -> None:
    """Segment both hippocampi of the MNI152 brain: label maps, volumes, verdict and one page to open."""
    from medswin.cli import brain, screen
    from medswin.inference import Predictor
    from medswin.io import output_folder

    predictor = Predictor.load(model, device=device, threads=threads)
    out = output_folder(out)
    scan = brain.template()
    cases = {side: brain.segment(predictor, scan, side) for side in brain.CENTRES_MM}
    places = brain.write(out, scan, cases, predictor.model.facts)
    screen.table("volumes", ["side", "structure", "ml", "cut off"], brain.volume_rows(cases))
    screen.table("verdict", ["side", "verdict", "score", "limit", "p-value"], brain.verdict_rows(cases), numbers=3)
    for words in (*brain.reasons(cases), brain.NOTE):
        screen.prose(words)
    screen.facts(places.items())
