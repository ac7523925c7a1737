"""``medswin pretrain``: an encoder from a config and a folder of scans without labels."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medswin.cli.config import Overrides


def pretrain(
    config: Annotated[str, typer.Option("-c", "--config", help="A YAML file, or the name of a shipped config.")],
    data: Annotated[Path | None, typer.Option("--data", help="Folder of scans, instead of the config's.")] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the run, instead of the config's.")
    ] = None,
    overrides: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run in the folder ended.")] = False,
    progress: Annotated[bool, typer.Option("--progress/--no-progress", help="Draw progress bars.")] = True,
) -> None:
    """Pre-train an encoder on scans without labels, for medswin train --init."""
    from medswin.cli import screen
    from medswin.config import PretrainConfig, load_as
    from medswin.config import pretrain as run
    from medswin.resources import find_config

    settings = load_as(PretrainConfig, find_config(config), overrides or [])
    encoder = run(settings, data=data, out=out, resume=resume, progress=progress, report=screen.line)
    if encoder is not None:
        screen.facts([("encoder", encoder)])
        screen.line(f"use it with    medswin train -c CONFIG --data DATA --init {encoder}")
