"""The demo's brain: the MNI152 template that nilearn carries, and the two regions that hold its hippocampi.

The template (Fonov et al. 2009) is an average of 152 skull-stripped brains, not a scan. It takes no part in training,
in fitting or calibrating a detector, or in any choice; the verdict on it is shown as it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from medswin.cli.screen import figure
from medswin.inference import Predictor
from medswin.io import Scan, write_case, write_image, write_json, write_volumes
from medswin.io.facts import ModelFacts
from medswin.prediction import Prediction
from medswin.review import ReviewCase, write_page
from medswin.review.words import score_words

NOTE = (
    "The MNI152 T1 template is an average of 152 skull-stripped brains, not a scan of a person, and symmetric: left "
    "and right are mirror images. It took no part in training, in calibration or in any choice, and the verdict on it "
    "is shown as the detector gives it."
)
# Middle of each hippocampus in MNI space (RAS, mm), and a crop that holds it whole, of a size trained on.
CENTRES_MM = {"left": (-27, -24, -11), "right": (27, -24, -11)}
SIZE_MM = (40, 56, 44)


def template() -> Scan:
    """The MNI152 T1 template at 1 mm, 197x233x189 voxels, intensities 0 to 1; read from nilearn's own files."""
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=1)
    return Scan.from_array(image.get_fdata(dtype="float32"), image.affine, case="mni152")


def region(side: str) -> str:
    """The box around one hippocampus, as ``medswin predict --box`` takes it: ``x0:x1,y0:y1,z0:z1mm`` in RAS mm."""
    spans = [f"{c - s // 2}:{c + s // 2}" for c, s in zip(CENTRES_MM[side], SIZE_MM, strict=True)]
    return ",".join(spans) + "mm"


def segment(predictor: Predictor, scan: Scan, side: str) -> Prediction:
    """Labels of one side on the whole grid of the scan; the case is named ``<case>_<side>``."""
    return predictor(replace(scan, case=f"{scan.case}_{side}"), box=region(side))


def volume_rows(cases: Mapping[str, Prediction]) -> list[list[str]]:
    """Side, structure, volume in ml with three decimals, and whether the structure touches a face of its region."""
    return [
        [side, name, f"{ml:.3f}", "yes" if name in case.cut_off else "no"]
        for side, case in cases.items()
        for name, ml in case.volumes_ml.items()
    ]


def verdict_rows(cases: Mapping[str, Prediction]) -> list[list[str]]:
    """Side, verdict, score, limit and p-value; a dash for what was not computed."""
    return [
        [side, ood.verdict, score_words(ood.score, ".3f"), figure(ood.limit), figure(ood.p_value)]
        for side, ood in ((side, case.ood) for side, case in cases.items())
    ]


def reasons(cases: Mapping[str, Prediction]) -> list[str]:
    """Why a side was not accepted, each reason once, with the sides that it holds for."""
    sides: dict[str, list[str]] = {}
    for side, case in cases.items():
        for reason in case.ood.reasons:
            sides.setdefault(reason, []).append(side)
    return [f"{' and '.join(found)}: {reason}" for reason, found in sides.items()]


def write(folder: Path, scan: Scan, cases: Mapping[str, Prediction], facts: ModelFacts) -> dict[str, Path]:
    """Write the brain, its label maps, volumes.csv, verdict.json and page.html; give what -> where."""
    image_XYZ = scan.image[0].numpy()
    places = {"brain": folder / f"{scan.case}.nii.gz"}
    write_image(places["brain"], image_XYZ, scan.image.affine.numpy())
    for side, case in cases.items():
        places[f"{side} labels"] = write_case(folder, case)[0]
    places |= {"volumes": write_volumes(folder), "verdict": folder / "verdict.json", "page": folder / "page.html"}
    write_json(places["verdict"], _verdicts(cases))
    pages = [ReviewCase(case, image_XYZ, facts=facts) for case in cases.values()]
    write_page(places["page"], pages, "Hippocampi of the MNI152 brain", note=NOTE)
    return places


def _verdicts(cases: Mapping[str, Prediction]) -> dict[str, Any]:
    said = next(iter(cases.values())).provenance
    sides = {side: case.ood.to_json() for side, case in cases.items()}
    return {"note": NOTE, **{key: said[key] for key in ("model", "version", "package", "medswin")}, "sides": sides}
