"""``medswin train``: a model package from a config and a folder of labelled scans."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medswin.cli.config import Overrides


class Channels(StrEnum):
    """How the first convolution is adapted to another number of channels."""

    repeat = "repeat"
    mean = "mean"
    fresh = "fresh"


def train(
    config: Annotated[str, typer.Option("-c", "--config", help="A YAML file, or the name of a shipped config.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="Data set (Decathlon or nnU-Net layout), instead of the config's.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the run, instead of the config's.")
    ] = None,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run in the folder ended.")] = False,
    init: Annotated[
        str | None,
        typer.Option("--init", metavar="WEIGHTS", help="Start from a pre-trained encoder's file, or a model package."),
    ] = None,
    init_channels: Annotated[
        Channels | None, typer.Option("--init-channels", help="Where those were trained on other channels.")
    ] = None,
    reviewed: Annotated[
        Path | None, typer.Option("--reviewed", help="Reviewed cases that teach too, see medswin review import.")
    ] = None,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Draw progress bars.")] = True,
) -> None:
    """Train a model and write it as a package: weights, detector, metrics and card."""
    from medswin.cli import screen
    from medswin.config import load
    from medswin.config import train as run
    from medswin.resources import find_config

    settings = load(find_config(config), overrides or [])
    package = run(
        settings,
        data=data,
        out=out,
        resume=resume,
        init=init,
        init_channels=init_channels and init_channels.value,
        reviewed=reviewed,
        progress=progress,
        report=screen.line,
    )
    if package is not None:
        screen.facts([("model package", package)])
        screen.line(f"use it with    medswin predict -i SCAN -o OUT -m {package}")
