"""The shipped model: what its package says of itself, and that it still does so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from medswin.cli.brain import CENTRES_MM, template
from medswin.config import load, parts
from medswin.config.init import start_from
from medswin.inference import Predictor
from medswin.io import Scan, read_labels, read_nifti, read_package
from medswin.labels import LabelSet
from medswin.metrics import dice
from medswin.resources import ZOO, find_config
from medswin.review.words import BEYOND_SCALE

FOLDER = ZOO / "hippocampus"
CROP = (40, 52, 36)  # voxels, as the training scans


def crop(volume: np.ndarray, share: Sequence[float]) -> np.ndarray:
    """A crop about a place in shares of the volume; of the MR trunk, which has 20 slices only, all are taken."""
    place = []
    for part, whole, size in zip(share, volume.shape, CROP, strict=True):
        first = min(max(round(part * whole) - size // 2, 0), max(whole - size, 0))
        place.append(slice(first, first + size))
    return np.ascontiguousarray(volume[tuple(place)])


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load("hippocampus")


@pytest.fixture(scope="module")
def held_out(root: Path) -> list[str]:
    """Cases of people on whom the limits were set, but nobody trained and nothing was chosen."""
    study = json.loads((root / "pipelines" / "hippocampus.json").read_text())
    return list(study["split"]["calibration"])


def test_it_is_small_and_says_what_it_is() -> None:
    package = read_package("hippocampus")
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 10e6
    assert package.metrics["calibration"]["n_people"] >= 20  # enough for false alarms of 5 %
    for words in ("Not for diagnosis", "CC-BY-SA 4.0", "anterior hippocampus", "Intended use", "Limits", "Dice"):
        assert words in package.card


def test_it_reaches_its_bar_on_people_it_never_met() -> None:
    assert read_package("hippocampus").metrics["calibration"]["mean"]["dice"] >= 0.88


def test_it_segments_and_accepts_as_its_card_says(
    predictor: Predictor, hippocampus_dir: Path, held_out: list[str]
) -> None:
    scores, verdicts = [], []
    for case in held_out[:8]:
        found = predictor(hippocampus_dir / "imagesTr" / f"{case}.nii.gz")
        truth = read_labels(hippocampus_dir / "labelsTr" / f"{case}.nii.gz")
        scores.append(np.mean([dice(found.labels == value, truth == value) for value in (1, 2)]))
        verdicts.append(found.ood.verdict)
    assert np.mean(scores) > 0.86
    assert verdicts.count("accept") >= 6


def test_inverted_intensities_are_flagged(predictor: Predictor, hippocampus_dir: Path, held_out: list[str]) -> None:
    for case in held_out[:4]:
        scan = read_nifti(hippocampus_dir / "imagesTr" / f"{case}.nii.gz")
        inverted = Scan(scan.case, scan.image.max() - scan.image, scan.findings, scan.path)
        assert predictor(inverted).ood.verdict in ("review", "reject")


def test_a_trunk_is_rejected_with_the_repair(predictor: Predictor, data_dir: Path) -> None:
    found = predictor(data_dir / "nifti" / "mr_trunk_3mm.nii.gz")
    assert found.ood.verdict == "reject"
    rank, unusual, repair = found.ood.reasons
    assert rank == "less like the training scans than 20 of the 20 people it was calibrated on"
    assert unusual.startswith("what is unusual: field of view ")
    assert "cut out the region" in repair
    assert "--" not in " ".join(found.ood.reasons)


def test_a_trunk_that_is_cut_and_called_1_mm_is_not_accepted(predictor: Predictor, data_dir: Path) -> None:
    """Sizes do not give it away; the intensities, the features and what is outlined have to."""
    for name in ("ct", "mr"):
        volume = read_nifti(data_dir / "nifti" / f"{name}_trunk_3mm.nii.gz").image[0].numpy()
        for centre in ((0.35, 0.5, 0.5), (0.5, 0.5, 0.3), (0.6, 0.4, 0.7)):
            found = predictor(Scan.from_array(crop(volume, centre), np.eye(4), f"{name} trunk")).ood
            assert found.verdict in ("review", "reject"), (name, centre)
            assert found.score < BEYOND_SCALE, "its size was to be usual"
            assert found.reasons[0].startswith("less like the training scans than ")


def test_a_cerebellum_is_less_like_the_training_scans_than_a_hippocampus(predictor: Predictor) -> None:
    """All of one brain, MNI152, so that contrast and blur are the same."""
    brain = template()
    inverse, image = np.linalg.inv(brain.grid.affine), brain.image[0].numpy()
    score: dict[str, list[float]] = {"hippocampus": [], "cerebellum": []}
    places = {"hippocampus": CENTRES_MM.values(), "cerebellum": [(-25, -65, -35), (25, -65, -35)]}
    for part, centres in places.items():
        for centre in centres:
            share = (inverse @ [*centre, 1])[:3] / image.shape
            score[part].append(predictor(Scan.from_array(crop(image, share), np.eye(4), part)).ood.score)
    assert max(score["hippocampus"]) < min(score["cerebellum"]) < BEYOND_SCALE


def test_the_shipped_weights_start_a_run_of_the_shipped_config():
    """``--init hippocampus``, although the config's windows have become smaller."""
    config = load(find_config("hippocampus/swin_unetr"))
    network = parts.network(config, 1, 3)
    package = read_package("hippocampus")
    start_from(network, "hippocampus", LabelSet.from_json(package.model["labels"]))
    assert torch.equal(network.head.weight, package.state["head.weight"].float())
    assert network.encoder.stages[2].blocks[0].attention.bias.window == (3, 4, 3)


def test_half_the_bits_give_the_same_labels_and_verdict(hippocampus_dir: Path, held_out: list[str]) -> None:
    """What ``--precision auto`` takes where the processor has bf16; elsewhere it is emulated, as here."""
    half = Predictor.load("hippocampus", precision="bf16")
    exact = Predictor.load("hippocampus", precision="fp32")
    for case in held_out[:3]:
        one, other = (p(hippocampus_dir / "imagesTr" / f"{case}.nii.gz") for p in (exact, half))
        assert min(dice(one.labels == value, other.labels == value) for value in (1, 2)) >= 0.995
        assert one.ood.verdict == other.ood.verdict
