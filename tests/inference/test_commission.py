"""A site sets the limit on scans of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from dicom_fakes import CANARY, series
from monai.data import MetaTensor
from pydicom.uid import generate_uid
from typer.testing import CliRunner

import medswin
from medswin.cli.app import app
from medswin.errors import InputError
from medswin.inference import Predictor, WindowInferer
from medswin.inference.commission import commission
from medswin.inference.observe import observe
from medswin.io import FORMAT_VERSION, read_package, write_image, write_package
from medswin.labels import LabelSet
from medswin.networks import SwinUNETR
from medswin.networks.outputs import Largest
from medswin.ood import GeometryRange, Judge, View, row, row_layout

PARAMS = {"in_channels": 1, "out_channels": 2, "feature_size": 6, "depths": [1, 1], "num_heads": [1, 2]}
PARAMS |= {"window_size": 2, "finest_width": 4}
VIEW = View(outputs=("entropy",), appearance=True, shape=True)
WINDOW = {"roi_size": [16, 16, 16], "overlap": 0.5, "mode": "gaussian", "mirror_axes": []}


def scan(seed: int, shift: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    image = rng.normal(0, 0.2 + shift, (16, 18, 17))
    image[4:12, 5:13, 4 : 10 + seed % 3] += 2
    return image.astype(np.float32)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of random weights with a judge that was fitted on made-up scans."""
    folder = tmp_path_factory.mktemp("site") / "package"
    torch.manual_seed(0)
    network = SwinUNETR(**PARAMS).eval()
    labels, inferer = LabelSet.from_names(["box"]), WindowInferer(**WINDOW)
    geometry = {"fov_mm": (16.0, 18.0, 17.0), "spacing_mm": (1.0, 1.0, 1.0)}
    rows = []
    for seed in range(40):
        image = scan(seed)
        standard = MetaTensor(((image - image.mean()) / image.std())[None], affine=np.eye(4))
        found, told = observe(standard, network, inferer, Largest(2), VIEW)
        rows.append(row(VIEW, told.numpy(), standard.numpy(), geometry, found, np.eye(4), [1]))
    layout = row_layout(VIEW, network.encoder.channels[-1], ["MRI"], ["box"])
    judge = Judge.fit(
        np.stack(rows[:20]),
        np.stack(rows[20:]),
        train_people=list(range(20)),
        calibration_people=list(range(20, 40)),
        train_geometry=GeometryRange.fit([geometry], factor=1.7),
        calibration_geometry=[geometry] * 20,
        detectors=["mahalanobis", "entropy"],
        layout=layout,
    )
    ood_json, ood_tensors = judge.to_parts()
    write_package(
        folder,
        model={
            "format_version": FORMAT_VERSION, "name": "boxes", "version": "1.0.0", "licence": "none",
            "network": {"name": "swin_unetr", "params": PARAMS}, "labels": labels.to_json(), "channels": ["MRI"],
            "preprocessing": {"spacing_mm": [1, 1, 1], "intensity": {"name": "zscore"}}, "window": WINDOW,
            "fingerprint": {}, "ood_view": VIEW.to_json(), "medswin_version": medswin.__version__,
        },
        state=network.state_dict(), ood_json=ood_json, ood_tensors=ood_tensors, metrics={}, card="# boxes\n",
    )  # fmt: skip
    return folder


def site(folder: Path, count: int, shift: float = 0.0, first: int = 100) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for i in range(count):
        write_image(folder / f"site_{i:02d}.nii.gz", scan(first + i, shift), np.eye(4))
    return sorted(folder.glob("*.nii.gz"))


def test_the_limit_is_set_on_half_of_the_site_and_the_network_stays(package: Path, tmp_path: Path) -> None:
    scans = site(tmp_path / "scans", 12)
    owners = {path: i // 2 for i, path in enumerate(scans)}
    made = commission(package, scans, owners, tmp_path / "new")
    old, new = Predictor.load(package), Predictor.load(tmp_path / "new")
    assert new.model.judge is not None
    assert new.model.judge.calibration.people == 3
    assert len(new.model.judge.reference.rows) == 20 + 6
    assert made.report["scans"] == 12
    assert sum(made.report["verdicts_as_shipped"].values()) == 12
    assert read_package(tmp_path / "new").id == made.package
    np.testing.assert_array_equal(new(scans[0]).labels, old(scans[0]).labels)
    assert "site_" not in json.dumps(made.report)
    assert "limit" not in made.report  # the old one and the new one are on scales of their own
    assert new.model.judge.geometry.factor == 1.7
    assert "cannot show whether segmentations are right" in read_package(tmp_path / "new").card


def test_a_site_that_the_model_was_not_made_for_is_refused(package: Path, tmp_path: Path) -> None:
    scans = site(tmp_path / "scans", 6, shift=3.0)
    owners = {path: path.name for path in scans}
    with pytest.raises(InputError, match="--despite-rejects"):
        commission(package, scans, owners, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    made = commission(package, scans, owners, tmp_path / "new", despite_rejects=True)
    assert made.report["verdicts_as_shipped"]["reject"] > 3
    assert made.report["differences"][0]["what"].startswith("intensity")
    assert Predictor.load(tmp_path / "new")(scans[0]).ood.verdict == "accept"


def test_a_corrupt_scan_among_usual_ones_does_not_disarm_the_verdict(package: Path, tmp_path: Path) -> None:
    """One of 20 is noise: it is left out of both halves, and rejected by the new judge as by the old one."""
    scans = site(tmp_path / "scans", 20)
    write_image(scans[7], scan(107, shift=30.0), np.eye(4))
    owners = {path: path.name for path in scans}
    made = commission(package, scans, owners, tmp_path / "new")
    assert made.left_out == (scans[7],)
    assert made.report["left_out"] == made.report["verdicts_as_shipped"]["reject"] == 1
    assert (made.report["scans"], made.report["people"]) == (20, 19)
    assert "of usual scans that it does not reject" in made.report["summary"]
    assert "The 1 that it rejects taught nothing and set no limit" in made.report["summary"]
    new = Predictor.load(tmp_path / "new")
    assert new(scans[7]).ood.verdict == "reject"
    assert new(scans[8]).ood.verdict != "reject"  # one usual scan of twenty may lie beyond the limit of review
    commission(package, scans, owners, tmp_path / "all", despite_rejects=True)
    disarmed = Predictor.load(tmp_path / "all")
    assert disarmed(scans[7]).ood.verdict != "reject"  # what would have come of it


def test_too_few_are_left_where_rejected_scans_are_not_used(package: Path, tmp_path: Path) -> None:
    scans = site(tmp_path / "scans", 5)
    write_image(scans[0], scan(100, shift=30.0), np.eye(4))
    with pytest.raises(InputError, match="scans of 4 people are left where the 1 that the model rejects"):
        commission(package, scans, {path: path.name for path in scans}, tmp_path / "new")


def test_a_model_without_a_judge_gets_one_from_the_site_alone(package: Path, tmp_path: Path) -> None:
    """As imported ones have none: features of all stages, entropy and shapes; mirroring is off."""
    bare = read_package(package)
    model = {key: value for key, value in bare.model.items() if key != "ood_view"}
    write_package(tmp_path / "bare", model=model, state=bare.state, metrics={}, card="# boxes\n")
    scans = site(tmp_path / "scans", 24)
    owners = {path: path.name for path in scans}
    with pytest.raises(InputError, match="scans of 9 people can be used, a limit needs those of 10 or more"):
        commission(tmp_path / "bare", scans[:9], owners, tmp_path / "new")
    made = commission(tmp_path / "bare", scans, owners, tmp_path / "new")
    new, card = Predictor.load(tmp_path / "new"), read_package(tmp_path / "new").card
    judge = new.model.judge
    assert judge is not None
    assert (len(judge.reference.rows), judge.calibration.people, judge.combine) == (12, 12, "fisher")
    assert [part.name for part in judge.detectors] == ["mahalanobis", "entropy", "ranges"]
    assert new.model.view == View(stages=(1, 2, 3), outputs=("entropy",), appearance=True, shape=True)
    assert judge.geometry.fov_mm.high == (16.0, 18.0, 17.0)
    assert made.report["verdicts_as_shipped"] == {"accept": 0, "review": 0, "reject": 0}
    assert made.report["differences"] == []
    assert made.report["scans"] == 24
    for text in (made.report["summary"], card):
        assert "network and site are unproven together" in text
        assert "learned what is usual from 12 people of this site alone" in text
    accepted = [new(path).ood.verdict == "accept" for path in site(tmp_path / "more", 12, first=300)]
    assert sum(accepted) >= 9
    write_image(tmp_path / "odd.nii.gz", -scan(0, shift=30.0), np.eye(4))
    assert new(tmp_path / "odd.nii.gz").ood.verdict == "reject"
    np.testing.assert_array_equal(new(scans[0]).labels, Predictor.load(tmp_path / "bare")(scans[0]).labels)


def test_few_people_are_refused(package: Path, tmp_path: Path) -> None:
    scans = site(tmp_path / "scans", 6)
    with pytest.raises(InputError, match="scans of 2 people"):
        commission(package, scans, {path: i // 3 for i, path in enumerate(scans)}, tmp_path / "new")


def test_the_commands(package: Path, tmp_path: Path) -> None:
    """Fit, score and explain as typed; a damaged scan and one that is rejected are told and the others are done."""
    scans = site(tmp_path / "scans", 7)
    write_image(scans[6], scan(106, shift=30.0), np.eye(4))
    (tmp_path / "scans" / "broken.nii.gz").write_bytes(b"nothing")
    run = CliRunner().invoke
    words = ["ood", "fit", "-m", str(package), "-i", str(tmp_path / "scans"), "-o", str(tmp_path / "new")]
    result = run(app, [*words, "--no-progress"])
    assert result.exit_code == 1, result.output
    assert "broken.nii.gz" in result.stderr
    assert "site_06.nii.gz: left out, as the model rejects it" in result.stderr
    assert json.loads((tmp_path / "new.acceptance.json").read_text())["failed"] == 1
    words = ["ood", "score", "-m", str(tmp_path / "new"), "-i", str(tmp_path / "scans"), "-o", str(tmp_path / "s.csv")]
    result = run(app, [*words, "--no-progress"])
    assert result.exit_code == 1, result.output
    lines = (tmp_path / "s.csv").read_text().splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("case,verdict,score,limit,p_value,expected_dice,")
    assert "score mahalanobis,score entropy,reasons" in lines[0]
    words = ["ood", "explain", str(scans[0]), "-m", str(tmp_path / "new"), "-o", str(tmp_path / "why")]
    result = run(app, words)
    assert result.exit_code == 0, result.output
    assert "person" in result.output
    assert {path.name for path in (tmp_path / "why").iterdir()} == {"site_00_cam.nii.gz", "site_00_cam.png"}


def test_the_commands_on_dicom(package: Path, tmp_path: Path) -> None:
    """A tree and a zip of it: two series of one patient are one person's, and nothing tells who that is."""
    for i in range(7):
        image, name = scan(100 + i) * 1000 + 4000, f"{CANARY}-{max(i, 1)}"
        series(tmp_path / "tree" / str(i), image, study=generate_uid(), step=1.0, PatientID=name)
    shutil.make_archive(str(tmp_path / "tree"), "zip", tmp_path / "tree")
    run, said = CliRunner().invoke, ""

    def typed(*words: str) -> str:
        nonlocal said
        result = run(app, ["ood", *words])
        said += result.output
        assert result.exit_code == 0, result.output
        return result.output

    tree, new, scores = (str(tmp_path / name) for name in ("tree", "new", "scores.csv"))
    typed("fit", "-m", str(package), "-i", tree, "-o", new, "--no-progress")
    judge = Predictor.load(new).model.judge
    assert judge is not None
    assert judge.calibration.people == 3
    assert len(judge.reference.rows) + len(judge.calibration.scores) == 20 + 7
    typed("score", "-m", new, "-i", f"{tree}.zip", "-o", scores, "--no-progress")
    names = [line.split(",")[0] for line in (tmp_path / "scores.csv").read_text().splitlines()[1:]]
    assert len(names) == 7
    typed("explain", tree, "-m", new, "-o", str(tmp_path / "why"), "--case", names[3])
    assert {path.name for path in (tmp_path / "why").iterdir()} == {f"{names[3]}_cam.nii.gz", f"{names[3]}_cam.png"}
    scored = next(line for line in (tmp_path / "scores.csv").read_text().splitlines() if line.startswith(names[3]))
    assert f"{scored.split(',')[1]}" in said
    unclear = run(app, ["ood", "explain", tree, "-m", new, "-o", str(tmp_path / "why")])
    assert unclear.exit_code != 0
    assert f"name one with --case: {', '.join(names)}" in str(unclear.exception)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and not {"tree", ".private"} & {*path.parts}]
    told = [path.name for path in written if path.suffix != ".zip" and CANARY[:6].encode() in path.read_bytes()]
    assert told == []
    assert CANARY[:6] not in said


def test_a_table_says_whose_dicom_series_are_whose(package: Path, tmp_path: Path) -> None:
    """Here all of one, which are too few."""
    for i in range(6):
        series(
            tmp_path / "tree" / str(i), scan(100 + i) * 1000 + 4000, study=generate_uid(), step=1.0, PatientID=str(i)
        )
    words = ["-m", str(package), "-i", str(tmp_path / "tree"), "--no-progress", "-o"]
    assert CliRunner().invoke(app, ["ood", "score", *words, str(tmp_path / "s.csv")]).exit_code == 0
    names = [line.split(",")[0] for line in (tmp_path / "s.csv").read_text().splitlines()[1:]]
    people = tmp_path / "people.csv"
    people.write_text("case,person\n" + "".join(f"{name},one\n" for name in names))
    words += [str(tmp_path / "new"), "--people", str(people)]
    result = CliRunner().invoke(app, ["ood", "fit", *words])
    assert "scans of 1 people can be used" in str(result.exception)
