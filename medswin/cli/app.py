"""The ``medswin`` command: its sub-commands, and what happens when one fails."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, NoReturn

import typer

from medswin import __version__
from medswin.cli import config, demo, evaluate, export, models, ood, predict, pretrain, review, train
from medswin.cli.process import logged, set_up
from medswin.cli.status import NOTHING_RAN, complain
from medswin.errors import explain

app = typer.Typer(
    help="Segment 3D medical scans, with an honest verdict on every scan; train and share the models that do it.",
    epilog="Exit status: 0 all processed, 1 some failed, 2 nothing could run. --debug works with every command.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(predict.predict)
app.command()(train.train)
app.command()(pretrain.pretrain)
app.command()(evaluate.evaluate)
app.command()(export.export)
app.add_typer(models.app, name="models")
app.add_typer(ood.app, name="ood")
app.add_typer(review.app, name="review")
app.add_typer(config.app, name="config")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medswin {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show warnings and logs, and the traceback of an error.")
    ] = False,
) -> None:
    """Options of every command; ``--debug`` is taken out by `main` wherever it stands, and is here to be listed."""


def run(words: Sequence[str], *, debug: bool = False) -> int:
    """Run one command line and give its exit status; whatever goes wrong becomes one line on stderr.

    Args:
        words: the command line without the program's name.
        debug: show the log, and the traceback of an error instead of one line.
    """
    try:
        with logged() if debug else nullcontext():
            app(list(words), prog_name="medswin")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        else:
            complain(explain(error))
    return NOTHING_RAN


def main() -> NoReturn:
    """Entry point of the ``medswin`` command."""
    words = sys.argv[1:]
    debug = "--debug" in words
    set_up(quiet=not debug)
    sys.exit(run([word for word in words if word != "--debug"], debug=debug))
