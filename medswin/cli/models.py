"""``medswin models``: what is shipped, what a package holds, a package as one file, and one of foreign weights."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from medswin.io.package import Package

app = typer.Typer(help="List, show, export or import model packages.", no_args_is_help=True)
ModelName = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a shipped model, or a package folder or zip.")]


class Family(StrEnum):
    """Networks whose foreign checkpoints are understood."""

    swin_unetr = "swin_unetr"


class Compat(StrEnum):
    """Which MONAI trained a checkpoint, whose flaws the network then has too."""

    legacy = "monai-legacy"
    recent = "monai-1.5"


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


@app.command("import")
def import_checkpoint(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="MONAI checkpoint of the whole network: .pt or .pth.")],
    family: Annotated[Family, typer.Option("--as", help="Which network it is of.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder of the package to write.")],
    name: Annotated[str, typer.Option("--name", help="Name of the model.")],
    structures: Annotated[str, typer.Option("--structures", help="Classes after the background, e.g. spleen,liver.")],
    channels: Annotated[str, typer.Option("--channels", help="Channels in the network's order, e.g. T1,T2.")] = "",
    spacing: Annotated[str, typer.Option("--spacing", help="mm per RAS axis, e.g. 1.5,1.5,2; else the scan's.")] = "",
    intensity: Annotated[str, typer.Option("--intensity", help="zscore, or window:LOW:HIGH (CT, in HU).")] = "zscore",
    roi: Annotated[str, typer.Option("--roi", help="Voxels of a window.")] = "96,96,96",
    overlap: Annotated[float, typer.Option("--overlap", help="Overlap of the windows, 0 to below 1.")] = 0.5,
    compat: Annotated[
        Compat, typer.Option("--compat", help="Which MONAI trained it: before 1.5 (all published ones), or later.")
    ] = Compat.legacy,
    licence: Annotated[str, typer.Option("--licence", help="Licence of the weights.")] = "not stated",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A setting no checkpoint tells, e.g. normalize=false."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a package that is there.")] = False,
) -> None:
    """Make a package of a published checkpoint; preprocessing and window must be those of its training."""
    from medswin.cli.importing import Import, import_swin_unetr
    from medswin.cli.options import key_values
    from medswin.cli.screen import facts
    from medswin.errors import InputError

    if out.exists() and not overwrite:
        raise InputError("this folder exists", where=out, repair="choose another name or add --overwrite")
    more = key_values(settings or [], "--set")
    said = Import(name, structures, channels, spacing, intensity, roi, overlap, compat.value, licence, more)
    identity, report = import_swin_unetr(file, out, said)
    facts([("trained with", compat.value), *(("weights", line) for line in str(report).splitlines())])
    facts([("model package", out), ("id", identity)])


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
        ("DICOM series", json.dumps(model.get("series", "any"))),
        ("network", f"{model['network']['name']}, {parameters / 1e6:.2f} million parameters"),
        ("window", f"{' x '.join(map(str, sides))} voxels, overlap {overlap}"),
        ("detector", "none: scans are not checked" if package.ood_json is None else "yes"),
        ("licence", model["licence"]),
        ("written by", f"medswin {model['medswin_version']}"),
    ]
