"""A pre-training run: to its end, stopped and resumed, and into fine-tuning."""

from __future__ import annotations

import copy
import json
import os
import shutil

import nibabel
import numpy as np
import pydicom
import pytest
import torch
import yaml
from mlflow import MlflowClient
from safetensors import safe_open
from safetensors.torch import load_file

from medswin.config import PretrainConfig, load, load_as, parts, pretrain, train
from medswin.config.init import start_from
from medswin.config.pretrain import _network, _tasks, check_pretraining
from medswin.errors import ConfigError, TrainingError, WeightsError
from medswin.io import read_json
from medswin.labels import LabelSet
from medswin.networks import NETWORKS
from medswin.networks.weights import load_encoder
from medswin.pretraining import TASKS, PretrainTask, TaskOutput
from medswin.pretraining.collapse import CollapseWatch
from medswin.training import pretrain_fit
from medswin.training.optimiser import adamw
from medswin.training.recipe import PretrainRecipe, Recipe
from medswin.transforms.corrupt import turned


@pytest.fixture(scope="module")
def settings(tmp_path_factory, config_file, blobs):
    network = yaml.safe_load(config_file.read_text())["network"]
    values = {
        "name": "tang",
        "data": {"folder": str(blobs), "margin": 2},
        "network": network,
        "tasks": [{"name": "inpainting"}, {"name": "rotation"}, {"name": "contrastive", "width": 8}],
        "weighting": "learned",
        "training": {"patch_size": [12, 12, 12], "batch_size": 2, "accumulate": 2, "max_steps": 6, "save_every": 2},
        "tracking": {"uri": "off"},
    }
    path = tmp_path_factory.mktemp("pretrain") / "tang.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def run(settings, out, *overrides, **options):
    return pretrain(load_as(PretrainConfig, settings, overrides), out=out, progress=False, **options)


@pytest.fixture(scope="module")
def finished(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    return run(settings, out)


def test_the_encoder_alone_is_written_and_says_what_it_is(finished, config_file):
    encoder = parts.network(load(config_file), 1, 2).encoder
    state = load_file(finished)
    assert set(state) == set(encoder.state_dict())
    assert any(not torch.equal(state[name], tensor) for name, tensor in encoder.state_dict().items())
    with safe_open(finished, framework="pt") as file:
        about = json.loads(file.metadata()["medswin"])
    assert about["network"]["name"] == "swin_unetr"
    assert about["network"]["in_channels"] == 1
    assert [task["name"] for task in about["tasks"]] == ["inpainting", "rotation", "contrastive"]
    assert sorted(path.name for path in (finished.parent / "pictures").iterdir()) == [
        f"step_00000{i}.png" for i in (2, 4, 6)
    ]


def test_a_stopped_run_goes_on_to_the_same_encoder(finished, settings, tmp_path):
    """Optimiser, schedule, learned weights, order and dropout: all as if it had not been stopped."""
    said = []
    assert run(settings, tmp_path, "training.stop_at_step=3", report=said.append) is None
    assert "--resume" in said[-1]
    with pytest.raises(ConfigError, match="a run is in this folder already"):
        run(settings, tmp_path)
    again = run(settings, tmp_path, resume=True)
    before, after = load_file(finished), load_file(again)
    assert all(torch.equal(before[name], after[name]) for name in before)
    heads = [torch.load(path / "last.ckpt", weights_only=True) for path in (finished.parent, tmp_path)]
    for name, tensor in heads[0]["state_dict"].items():
        assert torch.equal(tensor, heads[1]["state_dict"][name]), name


def test_a_killed_run_goes_on_from_its_checkpoint(finished, settings, tmp_path, kill_at_checkpoint):
    """kill -9 as soon as there is a checkpoint; the resumed run ends where the uninterrupted one did."""
    kill_at_checkpoint(tmp_path, "pretrain", "-c", str(settings))
    before, after = load_file(finished), load_file(run(settings, tmp_path, resume=True))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_mlflow_keeps_a_curve_of_each_task_and_pictures(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain_fit, "LOG_EVERY", 2)
    run(settings, tmp_path / "run", "tracking.uri=null", "training.max_steps=4")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("medswin").experiment_id])
    assert (found.info.status, found.info.run_name) == ("FINISHED", "tang")
    tasks = ("inpainting", "rotation", "contrastive")
    curves = ["loss", "learning_rate", "rotation/accuracy", *tasks, *(f"{task}/weight" for task in tasks)]
    for curve in curves:
        assert [point.step for point in client.get_metric_history(found.info.run_id, curve)] == [2, 4], curve
    for curve in ("features/effective_rank", "features/spread"):
        assert [point.step for point in client.get_metric_history(found.info.run_id, curve)] == [0, 4], curve
    assert {item.path for item in client.list_artifacts(found.info.run_id, "pictures")} == {
        "pictures/step_000002.png",
        "pictures/step_000004.png",
    }


def test_two_runs_with_one_seed_are_one_and_another_seed_is_another(finished, settings, tmp_path):
    same, other = run(settings, tmp_path / "same"), run(settings, tmp_path / "other", "training.seed=1")
    states = [load_file(path) for path in (finished, same, other)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["patch.weight"], states[2]["patch.weight"])


def test_a_run_is_resumed_with_its_own_settings(finished, settings):
    with pytest.raises(ConfigError, match=r"other settings: data\.margin"):
        run(settings, finished.parent, "data.margin=3", resume=True)
    assert run(settings, finished.parent, resume=True) == finished


@pytest.mark.parametrize("task", sorted(TASKS))
def test_every_task_runs_alone(task, settings, tmp_path):
    """And shows what it does: a reconstruction, or the views."""
    tasks = f"tasks=[{{name: {task}}}]"
    assert run(settings, tmp_path, tasks, "weighting=fixed", "training.max_steps=1").is_file()
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["step_000001.png"]


def test_where_nothing_is_reconstructed_the_picture_is_of_the_views_and_their_turns(settings, tmp_path, monkeypatch):
    shown = []
    draw = pretrain_fit.reconstruction
    monkeypatch.setattr(pretrain_fit, "reconstruction", lambda p, **words: shown.append(p) or draw(p, **words))
    whole = (
        "weighting=fixed",
        "training.max_steps=2",
        "training.save_every=1",
        "views={name: two_views, cutout: 0, filler: 0}",
    )
    run(settings, tmp_path / "turns", "tasks=[{name: rotation}]", *whole)
    run(settings, tmp_path / "twins", "tasks=[{name: barlow_twins}]", *whole)
    assert [list(picture) for picture in shown[2:]] == [["image", "view 1", "view 2"]] * 2
    for picture in shown[:2]:
        (_, image), *views = picture.items()
        for i, (name, view) in enumerate(views, start=1):
            said, degrees = name.split(", turned by ")
            assert said == f"view {i}"
            expected = turned(torch.from_numpy(image)[None], int(degrees) // 90, (1, 2))[0]
            assert torch.equal(torch.from_numpy(view), expected)


def test_a_cross_shaped_network_is_pretrained_too(settings, tmp_path):
    network = "network={name: cswin_unet, feature_size: 12, depths: [1], stripe_width: 2, patch_size: [1, 2, 2]}"
    assert run(settings, tmp_path, network, "training.max_steps=1").is_file()


def test_a_task_of_ones_own_is_one_class(settings, tmp_path):
    class Brightness(PretrainTask):
        needs = ("image",)

        def __init__(self, channels, strides):
            super().__init__(channels, strides)
            self.head = torch.nn.Linear(channels[-1], 1)

        def forward(self, views):
            found = self.head(views.pooled("image"))[:, 0]
            return TaskOutput((found - views["image"].mean((1, 2, 3, 4))).square().mean())

    TASKS.add("brightness", Brightness)
    try:
        assert run(settings, tmp_path, "tasks=[{name: brightness}]", "training.max_steps=1").is_file()
    finally:
        TASKS.remove("brightness")


def test_held_out_people_are_left_out(settings, tmp_path):
    splits = tmp_path / "splits.json"
    splits.write_text(json.dumps({"validation": ["blob_001", "blob_002"], "calibration": ["blob_003"]}))
    said = []
    run(settings, tmp_path / "out", f"data.exclude={splits}", "training.max_steps=1", report=said.append)
    assert said[0] == "preparing 13 scans"
    names = {path.name.rsplit("-", 1)[0] for path in (tmp_path / "out" / "cache").iterdir()}
    assert len(names) == 13
    assert not names & {"blob_001", "blob_002", "blob_003"}
    splits.write_text(json.dumps({"validation": ["somebody"]}))
    with pytest.raises(ConfigError, match="no case of these scans"):
        run(settings, tmp_path / "no", f"data.exclude={splits}")


def test_a_run_is_resumed_on_its_own_scans(settings, blobs, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    for path in sorted((blobs / "imagesTr").iterdir())[:4]:
        shutil.copy(path, scans)
    run(settings, tmp_path / "out", "training.stop_at_step=1", data=scans)
    (scans / "blob_002.nii.gz").unlink()
    with pytest.raises(ConfigError, match=r"started on other scans: 1 differ, for example blob_002"):
        run(settings, tmp_path / "out", data=scans, resume=True)


def test_a_second_start_leaves_a_run_and_its_record_as_they_were(settings, blobs, tmp_path):
    scans, out, steps = tmp_path / "scans", tmp_path / "out", ("tracking.uri=null", "training.max_steps=1")
    scans.mkdir()
    for path in sorted((blobs / "imagesTr").iterdir())[:2]:
        shutil.copy(path, scans)
    run(settings, out, *steps, data=scans)

    def state():
        client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
        found = client.search_runs([client.get_experiment_by_name("medswin").experiment_id])
        files = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
        return [run.info.status for run in found], files

    before = state()
    assert before[0] == ["FINISHED"]
    said = []
    with pytest.raises(ConfigError, match="a run is in this folder already"):
        run(settings, out, *steps, report=said.append)
    assert said == []
    assert state() == before
    run(settings, out, *steps, data=scans, resume=True)


def test_what_is_damaged_in_a_run_is_named_with_what_to_do(settings, tmp_path):
    run(settings, tmp_path, "training.stop_at_step=1")
    checkpoint, scan = tmp_path / "last.ckpt", sorted((tmp_path / "cache").iterdir())[3]
    whole = checkpoint.read_bytes()
    for content in (whole[: len(whole) // 2], b""):
        checkpoint.write_bytes(content)
        with pytest.raises(ConfigError, match=r"last\.ckpt: it is damaged\. Repair: start anew in another folder"):
            run(settings, tmp_path, resume=True)
    checkpoint.write_bytes(whole)
    content = scan.read_bytes()
    scan.write_bytes(content[: len(content) // 2])
    with pytest.raises(TrainingError, match=r"blob_004-.*: it is damaged\. Repair: delete it; it is made again$"):
        run(settings, tmp_path, resume=True)
    scan.unlink()
    assert run(settings, tmp_path, resume=True).is_file()


def test_a_folder_that_was_moved_holds_the_same_scans(finished, settings, blobs, tmp_path):
    scans, moved = tmp_path / "scans", tmp_path / "moved"
    shutil.copytree(blobs / "imagesTr", scans)
    assert run(settings, tmp_path / "out", f"data.folder={scans}", "training.stop_at_step=3") is None
    shutil.copytree(scans, moved, copy_function=shutil.copyfile)
    shutil.rmtree(scans)
    before, after = load_file(finished), load_file(run(settings, tmp_path / "out", f"data.folder={moved}", resume=True))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_scan_of_the_same_length_and_time_is_another_by_its_content(settings, tmp_path):
    rng, scans = np.random.default_rng(0), tmp_path / "scans"
    scans.mkdir()

    def write(name):
        nibabel.save(nibabel.Nifti1Image(rng.random((16, 16, 16)), np.eye(4)), scans / name)
        os.utime(scans / name, (1, 1))
        return (scans / name).stat().st_size

    sizes = [write(name) for name in ("a.nii", "b.nii")]
    run(settings, tmp_path / "out", "training.stop_at_step=1", data=scans)
    assert write("a.nii") == sizes[0]
    with pytest.raises(ConfigError, match=r"started on other scans: 2 differ, for example a\."):
        run(settings, tmp_path / "out", data=scans, resume=True)


def test_labels_are_not_looked_at(settings, blobs, tmp_path):
    shutil.copytree(blobs / "imagesTr", tmp_path / "imagesTr")
    about = json.loads((blobs / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps(about))
    assert run(settings, tmp_path / "out", "training.max_steps=1", data=tmp_path).is_file()


def test_thick_slices_are_turned_in_their_own_plane_though_they_are_resampled(settings, tmp_path):
    image = np.random.default_rng(0).normal(50, 9, (40, 40, 12)).astype(np.float32)
    for name in "ab":
        nibabel.save(nibabel.Nifti1Image(image, np.diag([1, 1, 4, 1])), tmp_path / f"{name}.nii.gz")
    said = []
    spacing = "preprocessing={spacing_mm: [1, 1, 1]}"
    run(settings, tmp_path / "out", spacing, "training.max_steps=1", data=tmp_path, report=said.append)
    assert said[1] == "turning in the plane of axes (0, 1)"


def test_scans_that_are_resampled_to_thick_slices_are_turned_within_a_slice(settings, tmp_path):
    """Cubes as they came, bricks as they are seen: a quarter turn across slices would show in stretched anatomy."""
    image = np.random.default_rng(0).normal(50, 9, (40, 40, 40)).astype(np.float32)
    for name in "ab":
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), tmp_path / f"{name}.nii.gz")
    for spacing, words in (("[1, 1, 3]", "(0, 1)"), ("[1, 2, 3]", "(1, 2), by half turns only"), ("null", "(1, 2)")):
        said = []
        out, grid = tmp_path / "out" / spacing, f"preprocessing={{spacing_mm: {spacing}}}"
        run(settings, out, grid, "training.max_steps=1", data=tmp_path, report=said.append)
        assert said[1].removesuffix(BRICKS) == f"turning in the plane of axes {words}"
        assert said[1].endswith(BRICKS) == ("half" in words)


BRICKS = "; in the way: patches, or the voxels of spacing_mm, are square in no plane"


def test_a_long_patch_is_turned_and_filled_whatever_was_drawn(settings):
    """Its quarter turns would lie across the filler; each check draws anew."""
    for _ in range(8):
        check_pretraining(load_as(PretrainConfig, settings, ["training.patch_size=[12,16,12]"]))


def test_a_teacher_begins_as_the_encoder_and_follows_it_through_a_stop(settings, tmp_path):
    """The door for MoBY: a copy of the encoder, told of each step, kept in checkpoints and never in the result."""

    class Teacher(PretrainTask):
        needs = ("image",)

        def attach(self, encoder):
            self.teacher = copy.deepcopy(encoder).requires_grad_(False)
            self.head = torch.nn.Linear(self.channels[-1], self.channels[-1])

        def forward(self, views):
            wanted = self.teacher(views["image"])[-1].mean((2, 3, 4))
            return TaskOutput((self.head(views.pooled("image")) - wanted).square().mean())

        def after_step(self, encoder, progress):
            for kept, now in zip(self.teacher.parameters(), encoder.parameters(), strict=True):
                kept.data.lerp_(now.data, 1 - (0.99 + 0.01 * progress))

    TASKS.add("teacher", Teacher)
    try:
        words = ["tasks=[{name: teacher}]", "training.max_steps=4"]
        whole = load_file(run(settings, tmp_path / "whole", *words))
        run(settings, tmp_path / "parts", *words, "training.stop_at_step=2")
        parted = load_file(run(settings, tmp_path / "parts", *words, resume=True))
    finally:
        TASKS.remove("teacher")
    assert all(torch.equal(whole[name], parted[name]) for name in whole)
    assert not any("teacher" in name for name in whole)


def test_no_weight_decay_on_the_scales_of_learned_weights(settings):
    config = load_as(PretrainConfig, settings)
    encoder = _network(config, 1).encoder
    tasks = _tasks(config, encoder)
    groups = adamw([encoder, tasks], 1e-3, 0.05).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert decay[id(tasks.scales)] == 0
    assert decay[id(encoder.patch.weight)] == 0.05


def test_a_plain_folder_of_scans_of_any_size_and_spacing(settings, tmp_path):
    rng = np.random.default_rng(0)
    for i, (shape, spacing) in enumerate(
        [((9, 14, 30), (1, 1, 1)), ((20, 20, 6), (0.5, 0.5, 3)), ((40, 8, 8), (2, 1, 1))]
    ):
        image = np.zeros(shape, dtype=np.float32)
        image[2:-2, 2:-2, 1:-1] = 50 + rng.normal(0, 9, (shape[0] - 4, shape[1] - 4, shape[2] - 2))
        nibabel.save(nibabel.Nifti1Image(image, np.diag([*spacing, 1])), tmp_path / f"scan_{i}.nii.gz")
    said = []
    path = run(settings, tmp_path / "out", "training.max_steps=2", data=tmp_path, report=said.append)
    assert path.is_file()
    assert said[1] == (
        "turning in the plane of axes (1, 2), by half turns only; "
        "in the way: 2 of 3 scans (scan_1: its voxels are not square)"
    )


def test_one_small_scan_that_rules_out_quarter_turns_is_named(settings, tmp_path):
    for name, size in (("a", 16), ("b", 16), ("tiny", 8)):
        image = np.random.default_rng(0).normal(50, 9, (size,) * 3).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(image, np.eye(4)), tmp_path / f"{name}.nii.gz")
    said, steps = [], "training.max_steps=1"
    run(settings, tmp_path / "small", steps, data=tmp_path, report=said.append)
    assert said[1].endswith("by half turns only; in the way: 1 of 3 scans (tiny: smaller than the patch)")
    image = np.random.default_rng(0).normal(50, 9, (16, 16, 16)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(image, np.diag([1, 2, 3, 1])), tmp_path / "tiny.nii.gz")
    said.clear()
    run(settings, tmp_path / "bricks", steps, data=tmp_path, report=said.append)
    assert said[1].endswith("in the way: 1 of 3 scans (tiny: its voxels are not square)")


def test_scans_that_are_too_few_to_be_compared_or_to_fill_are_told(settings, blobs, tmp_path):
    alone, pair, said = tmp_path / "alone", tmp_path / "pair", []
    for folder, names in ((alone, ("1",)), (pair, ("1", "2"))):
        folder.mkdir()
        for name in names:
            shutil.copy(blobs / "imagesTr" / f"blob_00{name}.nii.gz", folder)
    run(settings, tmp_path / "a", "training.max_steps=1", data=alone, report=said.append)
    assert said[2].startswith("1 scan(s): contrastive compares the 4 samples of a step")
    assert said[3].startswith("1 scan: what fills parts of its views is of itself")
    said.clear()
    run(settings, tmp_path / "b", "training.max_steps=1", data=pair, report=said.append)
    assert [line.split(":")[0] for line in said[2:]] == ["2 scan(s)"]
    said.clear()
    plain = ("weighting=fixed", "tasks=[{name: inpainting}]", "views={name: two_views, filler: 0}")
    run(settings, tmp_path / "c", "training.max_steps=1", *plain, data=alone, report=said.append)
    assert said == ["preparing 1 scans"]


def test_dicom_series_are_named_by_a_key_that_only_the_owner_reads(settings, data_dir, tmp_path):
    """Stopped and resumed; what the files say of a person, and their UIDs, are in no other file of the run."""
    source, out = tmp_path / "scans", tmp_path / "out"
    for i, path in enumerate(sorted((data_dir / "dicom" / "mr_hippocrop_a").iterdir())):
        dataset = pydicom.dcmread(path)
        dataset.PatientName = dataset.PatientID = dataset.SeriesDescription = "Muster"
        dataset.SeriesInstanceUID = "2.25.4711"
        source.mkdir(exist_ok=True)
        dataset.save_as(source / f"Muster{i}")
    said = []
    length = ("training.max_steps=2", "training.save_every=1")
    assert run(settings, out, *length, "training.stop_at_step=1", data=source, report=said.append) is None
    assert run(settings, out, *length, data=source, resume=True, report=said.append).is_file()
    (name,) = read_json(out / "scans.json")["scans"]
    assert name.startswith("series-")
    private = sorted((out / ".private").iterdir())
    assert [path.name for path in private] == ["key", "sources.json"]
    assert not any(path.stat().st_mode & 0o077 for path in private)
    others = [path for path in out.rglob("*") if path.is_file() and path not in private]
    assert not any(word in path.read_bytes() for path in others for word in (b"Muster", b"2.25.4711"))
    assert "Muster" not in " ".join(said)
    (source / f"Muster{i // 2}").unlink()
    with pytest.raises(ConfigError, match=r"series-.*\.private.sources\.json says which") as error:
        run(settings, tmp_path / "other", data=source)
    assert "Muster" not in str(error.value)


def test_bad_scans_are_all_named_before_anything_is_trained(settings, tmp_path):
    (tmp_path / "a.nii.gz").write_text("this is no image")
    (tmp_path / "b.nii.gz").write_text("nor this")
    with pytest.raises(ConfigError, match=r"2 scan\(s\) cannot be used.*a\.nii\.gz.*b\.nii\.gz"):
        run(settings, tmp_path / "out", data=tmp_path)
    assert not (tmp_path / "out" / "last.ckpt").exists()


def test_many_bad_scans_are_all_in_a_file_that_the_error_names(settings, tmp_path):
    for name in "abcdefg":
        (tmp_path / f"{name}.nii.gz").write_text("this is no image")
    with pytest.raises(ConfigError, match=r"7 scan\(s\) .*e\.nii\.gz.*and 2 more, all in .*unusable\.json") as caught:
        run(settings, tmp_path / "out", data=tmp_path)
    path = tmp_path / "out" / ".private" / "unusable.json"
    assert str(path) in str(caught.value)
    assert [f"{name}.nii.gz" in line for name, line in zip("abcdefg", read_json(path)["unusable"], strict=True)] == [
        True
    ] * 7


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.patch_size=[12,12,13]", "must be divisible"),
        ("tasks=[{name: jigsaw}]", "no pre-training task is registered as 'jigsaw'"),
        ("tasks=[{name: rotation, tokens: 3}]", "no parameter 'tokens'"),
        ("tasks=[{name: rotation, weight: -1}]", "weight must be a number of at least 0"),
        ("tasks=[{name: rotation, mass: 1}]", "no parameter 'mass'. Repair: use some of: compat$"),
        (
            "tasks=[{name: rotation, channels: 1}]",
            "'channels' of pre-training task 'rotation' is set by the run itself",
        ),
        ("views={name: two_views, turns: 1}", "'turns' of views 'two_views' is set by the run itself"),
        ("views={name: two_views, noise_range: [0]}", r"views\.noise_range"),
        ("training.workers=-1", "training.workers: must not be negative, got -1"),
        ("tasks=[]", "tasks"),
        ("views.mask_unit=5", "views.*must divide"),
        ("training.accumulate=0", "accumulate"),
        ("tasks=[{name: rotation, weight: .nan}]", "finite weight"),
        ("tasks=[{name: rotation, weight: 3}]", "learned weights begin alike"),
        ("training={patch_size: [12, 12, 12], batch_size: 1}", "a batch of one has nothing to compare"),
        ("training.ema_decay=0.9", "ema_decay is not a key"),
    ],
)
def test_a_config_that_cannot_run_says_why(settings, override, words):
    views = "views={name: two_views}" if override.startswith("views") else "weighting=learned"
    with pytest.raises(ConfigError, match=words):
        check_pretraining(load_as(PretrainConfig, settings, [views, override]))


def test_shipped_configs_are_sound(root):
    shipped = sorted((root / "configs" / "pretrain").glob("*.yaml"))
    assert len(shipped) >= 7
    for path in shipped:
        check_pretraining(load_as(PretrainConfig, path))


def test_fine_tuning_starts_from_the_encoder_and_tells_so(finished, config_file, tmp_path):
    said = []
    config = load(config_file, ["training.max_steps=1", "training.learning_rate=1e-12", "training.ema_decay=0"])
    train(config, out=tmp_path, init=str(finished), progress=False, report=said.append)
    tuned, start = load_file(tmp_path / "weights.safetensors"), load_file(finished)
    assert all(torch.allclose(tuned[f"encoder.{name}"], tensor, atol=1e-6) for name, tensor in start.items())
    assert any("encoder: 100.0 % of its parameters" in line for line in said)
    assert read_json(tmp_path / "config.json")["init"] == str(finished)


def test_a_run_is_no_start_but_its_encoder_is(finished, settings, config_file, tmp_path):
    config, said = load(config_file), []
    for init in (finished.parent, finished.parent / "last.ckpt"):
        with pytest.raises(ConfigError) as caught:
            train(config, out=tmp_path / "out", init=str(init), progress=False, report=said.append)
        assert caught.value.repair == f"add --init {finished}"
    assert run(settings, tmp_path / "stopped", "training.stop_at_step=1") is None
    with pytest.raises(ConfigError, match=r"let that run end, and name its pretrained\.safetensors"):
        train(config, out=tmp_path / "out", init=str(tmp_path / "stopped"), progress=False, report=said.append)
    assert said == []


def test_a_tuning_that_is_resumed_without_its_start_says_what_to_add(finished, config_file, tmp_path):
    config = load(config_file, ["training.stop_at_step=1"])
    train(config, out=tmp_path, init=str(finished), progress=False)
    with pytest.raises(ConfigError) as caught:
        train(config, out=tmp_path, resume=True, progress=False)
    assert caught.value.repair.startswith(f"add --init {finished}, or")


def test_another_encoder_is_refused_and_other_channels_are_adapted_on_request(finished, config_file):
    params = {k: v for k, v in load(config_file).network.items() if k != "name"}
    labels = LabelSet.from_names(["blob"])
    two = NETWORKS.build("swin_unetr", in_channels=2, out_channels=2, **params)
    fresh = two.encoder.patch.weight.clone()
    with pytest.raises(WeightsError, match=r"pre-trained on 1 channel\(s\), the network takes 2.*--init-channels"):
        start_from(two, str(finished), labels)
    said = start_from(two, str(finished), labels, "fresh")
    assert "encoder" in said
    assert torch.equal(two.encoder.patch.weight, fresh)
    start_from(two, str(finished), labels, "repeat")
    stem = load_file(finished)["patch.weight"]
    torch.testing.assert_close(two.encoder.patch.weight.data, stem.repeat(1, 2, 1, 1, 1) / 2)
    wider = NETWORKS.build("swin_unetr", in_channels=1, out_channels=2, **{**params, "feature_size": 24})
    with pytest.raises(WeightsError, match=r"of another encoder.*feature_size"):
        load_encoder(wider, finished)
    twin = NETWORKS.build("swin_unetr", in_channels=1, out_channels=2, **{**params, "normalize": False})
    before = {name: tensor.clone() for name, tensor in twin.state_dict().items()}
    with pytest.raises(WeightsError, match="it computes something else"):
        load_encoder(twin, finished)
    assert all(torch.equal(tensor, before[name]) for name, tensor in twin.state_dict().items())
    broken = finished.parent / "broken.safetensors"
    broken.write_bytes(finished.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        load_encoder(wider, broken)


def test_a_frozen_warm_up_and_layer_decay(config_file, finished, tmp_path):
    overrides = ["training.max_steps=3", "training.freeze_steps=2", "training.layer_decay=0.5", "training.ema_decay=0"]
    train(load(config_file, [*overrides, "training.stop_at_step=2"]), out=tmp_path, init=str(finished), progress=False)
    start = {f"network.encoder.{name}": tensor for name, tensor in load_file(finished).items()}
    frozen = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(frozen[name], tensor) for name, tensor in start.items())
    train(load(config_file, overrides), out=tmp_path, init=str(finished), progress=False, resume=True)
    tuned = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert any(not torch.equal(tuned["state_dict"][name], tensor) for name, tensor in start.items())
    rates = {group["scale"] for group in tuned["optimizer_states"][0]["param_groups"]}
    assert rates == {1.0, 0.5, 0.25}  # decoder, the one stage, the patches


@pytest.mark.parametrize(
    ("recipe", "values", "words"),
    [
        (PretrainRecipe, {"accumulate": 0}, "at least 1"),
        (PretrainRecipe, {"save_every": 0}, "at least 1"),
        (Recipe, {"freeze_steps": -1}, "must not be negative"),
        (Recipe, {"layer_decay": 0.0}, r"must lie in \(0, 1\]"),
    ],
)
def test_numbers_out_of_range_are_refused(recipe, values, words):
    with pytest.raises(ConfigError, match=words):
        recipe((8, 8, 8), **values)


def test_a_collapse_is_told_once(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrain_fit, "LOOK_EVERY", 1)
    monkeypatch.setattr(pretrain_fit, "CollapseWatch", lambda: CollapseWatch(spread=1e9))
    said = []
    run(settings, tmp_path, "training.max_steps=3", report=said.append)
    assert [line.split(":")[0] for line in said if "collapsed" in line] == ["step 0"]


@pytest.mark.parametrize(
    ("words", "options", "rule"),
    [
        (["training.freeze_steps=2"], {}, "nothing to adapt or to keep"),
        ([], {"init_channels": "mean"}, "nothing to adapt or to keep"),
        ([], {"init": "gone.safetensors"}, "no such file"),
    ],
)
def test_what_a_run_cannot_start_from_is_told_before_any_work(config_file, tmp_path, words, options, rule):
    with pytest.raises(ConfigError, match=rule):
        train(load(config_file, words), out=tmp_path / "out", progress=False, **options)
    assert not (tmp_path / "out").exists()
