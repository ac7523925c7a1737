"""``medswin review``: pages to decide on, the list of all cases, and the way back for what reviewers decided."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(no_args_is_help=True, help="Pages to decide on, and what becomes of the decisions.")
Track = Callable[[Sequence[Any]], Iterable[Any]]


@app.command()
def build(
    inputs: Annotated[Path, typer.Option("-i", "--input", help="Folder that predict wrote, or one <case>.json in it.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder for the pages and the worklist.")],
    source: Annotated[
        Path | None, typer.Option("--source", help="Where the scans lie now: a folder, a file or a zip.")
    ] = None,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Draw a progress bar.")] = True,
) -> None:
    """Make a review page and a report for each case, and a worklist with those first that most need eyes."""
    from medswin.cli import screen

    with screen.bar(shown=progress) as bar:
        raise typer.Exit(tell(inputs, out, source, bar.track))


def tell(inputs: Path, out: Path, source: Path | None, track: Track) -> int:
    """Build, tell of it, and give the exit status."""
    from medswin.cli import screen
    from medswin.cli.status import batch_status, complain
    from medswin.review.build import build as build_packets

    made = build_packets(inputs, out, source, track)
    for reason in made.failed:
        complain(reason)
    screen.facts([("packets", f"{len(made.done)}"), ("worklist", made.worklist)])
    return batch_status(len(made.done), len(made.failed))
