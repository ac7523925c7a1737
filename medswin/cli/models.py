"""``medswin models``: what is shipped, what a package holds, and a package as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medswin.io.package import Package

app = typer.Typer(help="List, show or export model packages.", no_args_is_help=True)
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a shipped model, or a package folder or zip.")]


@app.command("list")
def list_models() -> None:
    """List the models that came with medswin."""
    from medswin.cli.screen import table
    from medswin.io.package import list_zoo, read_package

    packages = [read_package(name) for name in list_zoo()]
    rows = [
        [package.name, str(package.model["version"]), ", ".join(row["name"] for row in package.model["labels"])]
        for package in packages
    ]
    table("shipped models", ["name", "version", "structures"], rows)


@app.command()
def show(model: ModelName, card: Annotated[bool, typer.Option("--card", help="Print the model card.")] = False) -> None:
    """Show what a package holds: network, grid, structures, licence and id."""
    from medswin.cli.screen import facts
    from medswin.io.package import read_package

    package = read_package(model)
    if card:
        typer.echo(package.card)
        return
    facts(_facts(package))


@app.command()
def export(
    model: ModelName,
    out: Annotated[Path, typer.Option("-o", "--output", help="The zip to write.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Write a package as one zip, which predict -m takes as it is."""
    from medswin.errors import InputError
    from medswin.io.package import zip_package

    if out.exists() and not overwrite:
        raise InputError("this file exists", where=out, repair="choose another name or add --overwrite")
    zip_package(model, out)
    typer.echo(str(out))


def _facts(package: Package) -> list[tuple[str, object]]:
    model = package.model
    parameters = sum(tensor.numel() for tensor in package.state.values())
    sides, overlap = model["window"]["roi_size"], model["window"]["overlap"]
    return [
        ("name", package.name),
        ("version", model["version"]),
        ("id", package.id),
        ("structures", ", ".join(row["name"] for row in model["labels"])),
        ("channels", ", ".join(model["channels"])),
        ("network", f"{model['network']['name']}, {parameters / 1e6:.2f} million parameters"),
        ("window", f"{' x '.join(map(str, sides))} voxels, overlap {overlap}"),
        ("detector", "none: scans are not checked" if package.ood_json is None else "yes"),
        ("licence", model["licence"]),
        ("written by", f"medswin {model['medswin_version']}"),
    ]
