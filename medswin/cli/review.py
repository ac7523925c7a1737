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
    worklist = [] if made.worklist is None else [("worklist", made.worklist)]
    screen.facts([("packets", f"{len(made.done)}"), *worklist])
    return batch_status(len(made.done), len(made.failed))


@app.command("import")
def import_reviews(
    reviews: Annotated[
        list[Path], typer.Argument(metavar="REVIEW...", help="Files that review pages saved, or folders of them.")
    ],
    predictions: Annotated[Path, typer.Option("-p", "--predictions", help="Folder that predict wrote.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="The quarantine: a data set of reviewed cases.")],
    source: Annotated[
        Path | None, typer.Option("--source", help="Where the scans lie now: a folder, a file or a zip.")
    ] = None,
    held_out: Annotated[
        Path | None, typer.Option("--held-out", help="splits.json of a training run: whom it holds out is refused.")
    ] = None,
    reviewer: Annotated[str | None, typer.Option("--reviewer", help="A pseudonym, instead of the files'.")] = None,
) -> None:
    """Take in what reviewers decided, and tell how far they agree with the model."""
    from medswin.cli import screen
    from medswin.cli.status import batch_status, complain
    from medswin.errors import explain
    from medswin.io.held_out import HeldOut, read_held_out
    from medswin.review.agreement import table
    from medswin.review.quarantine import take_in
    from medswin.review.saved import find_reviews, last_of_each

    refused = read_held_out(held_out) if held_out else HeldOut()
    files, replaced = last_of_each(find_reviews(reviews))
    for file in replaced:
        screen.line(f"passed over, as another review of its case was not finished earlier: {file}")
    done, failed = [], 0
    for file in files:
        try:
            done.append(take_in(file, predictions, out, source=source, held_out=refused, reviewer=reviewer))
        except Exception as error:  # whatever is wrong with one review, the others are taken in
            failed += 1
            complain(explain(error, file))
    for one in done:
        for words in one.unsaid:
            screen.line(f"{one.case}: {words}")
    if done:
        usable = sum(one.usable for one in done)
        title = f"{len(done)} reviewed, {usable} of them may teach"
        columns = ["structure", "accepted", "edited", "rejected", "Dice", "change (ml)"]
        screen.table(title, columns, table([one.agreement for one in done]), numbers=5)
        screen.facts([("quarantine", out)])
    raise typer.Exit(batch_status(len(done), failed))
