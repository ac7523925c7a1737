"""``medswin config``: look at a config before a long run, with everything it leaves to defaults."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Check or show the config of a run.", no_args_is_help=True)

ConfigName = Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file, or the name of a shipped config.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a value, e.g. training.max_steps=20.")
]


@app.command()
def check(config: ConfigName, overrides: Overrides = None) -> None:
    """Say whether a config is sound; an unknown key or name is an error that names it."""
    from medswin.config import PretrainConfig, check_pretraining, load_any
    from medswin.config import check as check_training
    from medswin.resources import find_config

    path = find_config(config)
    settings = load_any(path, overrides or [])
    if isinstance(settings, PretrainConfig):
        check_pretraining(settings)
    else:
        check_training(settings)
    typer.echo(f"{path}: sound")


@app.command()
def show(config: ConfigName, overrides: Overrides = None) -> None:
    """Print the whole config as YAML, with its defaults and the changes by --set."""
    import yaml

    from medswin.config import load_any
    from medswin.resources import find_config

    values = load_any(find_config(config), overrides or []).model_dump(mode="json")
    typer.echo(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), nl=False)
