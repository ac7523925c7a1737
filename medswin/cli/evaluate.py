"""``medswin evaluate``: how well predicted label maps agree with the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from medswin.labels import LabelSet

MOST_NAMES = 10


def evaluate(
    predictions: Annotated[Path, typer.Option("-p", "--predictions", help="A label map, or a folder of them.")],
    labels: Annotated[Path, typer.Option("-l", "--labels", help="The true label map, or a folder of them.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="The JSON file to write.")],
    people: Annotated[
        Path | None,
        typer.Option("--people", metavar="CSV", help="Columns case,person; gives 95 % intervals by person."),
    ] = None,
) -> None:
    """Dice, surface Dice (NSD, 1 mm) and HD95 per case and structure; a missed structure counts as a miss.

    Structures are named as the model that made the predictions names them, where its case files lie beside them, and
    else by the values that occur. Exit status: 0 all compared, 1 some missing or failed, 2 nothing could be compared.
    """
    from medswin.cli.status import batch_status, check_output
    from medswin.io.files import write_json
    from medswin.metrics import evaluate_folder

    check_output(out, "metrics.json")
    report = evaluate_folder(predictions, labels, _names(predictions), _owners(labels, people))
    write_json(out, report)
    _show(report, out)
    _tell(report, predictions)
    lost = {row["case"] for row in report["failed"]} | set(report["missing"])
    raise typer.Exit(batch_status(len(set(report["cases"]) - lost), len(lost)))


def _owners(labels: Path, table: Path | None) -> dict[str, str] | None:
    from medswin.io.nifti import case_name, find_scans
    from medswin.io.people import people

    if table is None:
        return None
    return people([case_name(path) for path in find_scans(labels)], {"by": "table", "file": str(table)})


def _names(predictions: Path) -> LabelSet | None:
    """The structures as the case files beside the predictions name them; None where there is no case file.

    Only the names are taken: a label map that was corrected by hand since may be measured too. JSON files of others,
    such as the sidecars of BIDS, are passed over.
    """
    from medswin.errors import InputError
    from medswin.io.nifti import case_name, find_scans

    first, chosen = None, None
    for scan in find_scans(predictions):
        path = scan.with_name(f"{case_name(scan)}.json")
        found = _structures(path)
        if found is None:
            continue
        if chosen is None:
            first, chosen = path, found
        elif [(row.value, row.name) for row in found] != [(row.value, row.name) for row in chosen]:
            raise InputError(
                f"names other structures ({', '.join(found.names)}) than {first} ({', '.join(chosen.names)})",
                where=path,
                repair="evaluate the predictions of one model at a time",
            )
    return chosen


def _structures(path: Path) -> LabelSet | None:
    from medswin.errors import InputError
    from medswin.io.files import read_json
    from medswin.labels import LabelSet

    try:
        values = read_json(path) if path.is_file() else {}
    except InputError:  # not JSON, or no object: not written by predict
        return None
    if "case_version" not in values:
        return None
    try:
        return LabelSet.from_json(values["structures"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        repair = "run predict again, or move this file away to have the structures named by their values"
        raise InputError(f"names no structures that can be read ({error!r})", where=path, repair=repair) from error


def _show(report: Mapping[str, Any], out: Path) -> None:
    from medswin.cli import screen

    spread = report["mean"]["dice_ci95"] is not None
    columns = ["structure", "Dice", *(["95 %"] if spread else []), "NSD", "HD95 (mm)", "missed", "invented"]
    rows = [
        [name, *_figures(row, spread), str(row["missed"]), str(row["invented"])]
        for name, row in report["structures"].items()
    ]
    rows.append(["mean", *_figures(report["mean"], spread), "", ""])
    people = "" if report["n_people"] is None else f" of {report['n_people']} people"
    screen.table(f"{report['n_cases']} cases{people}", columns, rows, numbers=len(columns) - 1)
    if report["absent"]:
        screen.line(f"in no label map: {_list(report['absent'])}")
    if report["extra"]:
        screen.line(f"not compared, as there is no reference: {_list(report['extra'])}")
    screen.facts([("metrics", out)])


def _figures(row: Mapping[str, Any], spread: bool) -> list[str]:
    """Means as written in the table; with ``spread`` the interval of Dice by person too, the others are in the file."""
    interval = [f"{row['dice_ci95'][0]:.3f}-{row['dice_ci95'][1]:.3f}"] if spread else []
    return [f"{row['dice']:.3f}", *interval, f"{row['nsd']:.3f}", f"{row['hd95_mm']:.2f}"]


def _tell(report: Mapping[str, Any], predictions: Path) -> None:
    """What went wrong, one line each on stderr."""
    from medswin.cli.status import complain

    for row in report["failed"]:
        complain(row["message"])
    if report["missing"]:
        names = _list(report["missing"])
        complain(f"{predictions}: no prediction for {names}. Repair: predict these; until then they count as missed")
    rows = report["structures"]
    ours, theirs = ([name for name, row in rows.items() if row[state]] for state in ("invented", "missed"))
    if ours and theirs and not set(ours) & set(theirs) and not any(row["both"] for row in rows.values()):
        said = f"only {_list(ours)} in the predictions, only {_list(theirs)} in the references"
        complain(f"{predictions}: {said}. Repair: if these are the same structures, give them the same values")


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
