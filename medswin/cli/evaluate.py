"""``medswin evaluate``: how well predicted label maps agree with the true ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from medswin.labels import LabelSet


def evaluate(
    predictions: Annotated[Path, typer.Option("-p", "--predictions", help="A label map, or a folder of them.")],
    labels: Annotated[Path, typer.Option("-l", "--labels", help="The true label map, or a folder of them.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="The JSON file to write.")],
) -> None:
    """Dice, surface Dice (NSD, 1 mm) and HD95 per case and structure; a missed structure counts as a miss.

    Structures are named as the model that made the predictions names them, where its case files lie beside them.
    """
    from medswin.cli.status import batch_status, complain
    from medswin.io.files import write_json
    from medswin.metrics import evaluate_folder

    report = evaluate_folder(predictions, labels, _names(predictions))
    out.parent.mkdir(parents=True, exist_ok=True)
    write_json(out, report)
    _show(report, out)
    for row in report["failed"]:
        complain(row["message"])
    if report["missing"]:
        names = ", ".join(report["missing"])
        complain(f"{predictions}: no prediction for {names}. Repair: predict these; until then they count as missed")
    lost = {row["case"] for row in report["failed"]} | set(report["missing"])
    raise typer.Exit(batch_status(len(set(report["cases"]) - lost), len(lost)))


def _names(predictions: Path) -> LabelSet | None:
    """The structures as a case file beside the predictions names them; None where there is no case file.

    Only the names are taken: a label map that was corrected by hand since may be measured too.
    """
    from medswin.io.files import read_json
    from medswin.io.nifti import case_name, find_scans
    from medswin.labels import LabelSet

    files = (path.with_name(f"{case_name(path)}.json") for path in find_scans(predictions))
    case = next((path for path in files if path.is_file()), None)
    return LabelSet.from_json(read_json(case)["structures"]) if case else None


def _show(report: dict[str, Any], out: Path) -> None:
    from medswin.cli import screen

    rows = [
        [name, f"{row['dice']:.3f}", f"{row['nsd']:.3f}", f"{row['hd95_mm']:.2f}", str(row["missed"])]
        for name, row in report["structures"].items()
    ]
    mean = report["mean"]
    rows.append(["mean", f"{mean['dice']:.3f}", f"{mean['nsd']:.3f}", f"{mean['hd95_mm']:.2f}", ""])
    screen.table(f"{report['n_cases']} cases", ["structure", "Dice", "NSD", "HD95 (mm)", "missed"], rows, numbers=4)
    screen.facts([("metrics", out)])
