"""Whole runs on a tiny data set: to the package, stopped and resumed, and what goes wrong on the way."""

import json
import shutil
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file
from scipy import ndimage

from medswin.config import load, train
from medswin.errors import ConfigError, PackageError, TrainingError
from medswin.inference import Model, Predictor
from medswin.io import read_package
from medswin.regions import Regions
from medswin.training.callback import RunFiles
from medswin.training.data import FromStep
from medswin.training.nan import explain


def run(config_file, out, *overrides, **options):
    return train(load(config_file, overrides), out=out, progress=False, **options)


@pytest.fixture(scope="module")
def finished(config_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    return out, run(config_file, out)


def test_a_run_ends_in_a_package_that_predicts(finished, blobs):
    out, folder = finished
    package = read_package(folder)
    assert set(package.metrics) == {"training", "validation", "calibration"}
    assert all(tensor.dtype == torch.float16 for tensor in package.state.values())
    prediction = Predictor.load(folder)(blobs / "imagesTr" / "blob_001.nii.gz")
    assert prediction.labels.shape == (16, 16, 16)
    assert prediction.ood.people == json.loads((folder / "ood.json").read_text())["calibration_people"]
    split = json.loads((out / "splits.json").read_text())
    calibrated = {split["people"][case] for case in split["calibration"]}
    assert prediction.ood.people == len(calibrated)
    assert sorted(path.suffix for path in (out / "validation").iterdir()) == [".png"] * 3


def test_cswin_trains_into_a_package_that_predicts_and_judges(config_file, blobs, tmp_path):
    network = "{name: cswin_unet, feature_size: 12, depths: [1, 1], stripe_width: [1, null], finest_width: 4}"
    settings = ("training.patch_size=[16,16,16]", "training.max_steps=2", "ood.stages=[1,-1]")
    folder = run(config_file, tmp_path, f"network={network}", *settings)
    assert read_package(folder).model["network"]["params"]["stripe_width"] == [1, None]
    prediction = Predictor.load(folder)(blobs / "imagesTr" / "blob_001.nii.gz")
    assert prediction.labels.shape == (16, 16, 16)
    assert 0 < prediction.ood.p_value <= 1


@pytest.fixture
def nested(blobs, tmp_path):
    """The blobs with a stone of another value in each."""
    folder = shutil.copytree(blobs, tmp_path / "nested")
    for path in (folder / "labelsTr").iterdir():
        image = nibabel.load(path)
        label = np.asarray(image.dataobj)
        values = label + ndimage.binary_erosion(label, iterations=2).astype(np.uint8)
        nibabel.save(nibabel.Nifti1Image(values, image.affine), path)
    described = json.loads((folder / "dataset.json").read_text())
    described["labels"]["2"] = "stone"
    (folder / "dataset.json").write_text(json.dumps(described))
    return folder


def test_regions_inside_each_other_are_learnt_packed_and_painted(nested, config_file, tmp_path):
    """A region that takes all hides what comes before it, and one that takes nothing hides nothing."""
    rows = [{"of": ["blob", "stone"], "paints": "blob"}, {"of": ["stone"], "paints": "stone", "threshold": 0.999999}]
    settings = (f"regions={json.dumps(rows)}", "training.max_steps=2", "training.validate_every=1")
    folder = run(config_file, tmp_path / "run", *settings, data=nested)
    package = read_package(folder)
    assert package.model["network"]["params"]["out_channels"] == 2
    assert package.model["regions"] == [{"threshold": 0.5, **row} for row in rows]
    model, scan = Model.build(package), nested / "imagesTr" / "blob_001.nii.gz"
    assert 2 not in Predictor(model)(scan).labels
    eager = [{**row, "threshold": 1e-6} for row in rows]
    assert (Predictor(replace(model, regions=Regions.from_json(eager, model.label_set)))(scan).labels == 2).all()
    with pytest.raises(ConfigError, match="stone is drawn as blob"):
        run(config_file, tmp_path / "other", f"regions={json.dumps(rows[::-1])}", data=nested)
    with pytest.raises(PackageError, match="has 2 outputs, its description says 1 and 3"):
        Model.build(replace(package, model={key: value for key, value in package.model.items() if key != "regions"}))


def test_a_stopped_and_resumed_run_is_the_uninterrupted_one(finished, config_file, tmp_path):
    out, _ = finished
    assert run(config_file, tmp_path, "training.stop_at_step=3") is None
    assert not RunFiles(tmp_path).package.exists()
    run(config_file, tmp_path, resume=True)
    ours, theirs = load_file(tmp_path / "weights.safetensors"), load_file(out / "weights.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    whole = torch.load(out / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(last[name], whole[name]) for name in whole)


def test_a_folder_with_a_run_is_not_overwritten(finished, config_file):
    with pytest.raises(ConfigError, match="add --resume"):
        run(config_file, finished[0])


def test_too_few_people_for_a_verdict_are_refused_before_training(blobs, config_file, tmp_path):
    """Three people of two cases each; then as many cases, each of a person of its own."""
    data = shutil.copytree(blobs, tmp_path / "data")
    about, said = json.loads((data / "dataset.json").read_text()), []

    def start(cases, *overrides):
        (data / "dataset.json").write_text(json.dumps({**about, "training": about["training"][:cases]}))
        (tmp_path / "out" / "splits.json").unlink(missing_ok=True)
        return run(config_file, tmp_path / "out", *overrides, "training.max_steps=1", data=data, report=said.append)

    quarters = ("data.validation=0.25", "data.calibration=0.25")
    for cases, *overrides in (
        (6, *quarters),
        (5, "data.group={by: case}", "data.validation=0.2", "data.calibration=0.3"),
    ):
        with pytest.raises(ConfigError, match=r"^data\.calibration: .* set data\.calibration=0 \(no verdict\)"):
            start(cases, *overrides)
        assert said == []
    assert read_package(start(6, *quarters, "data.calibration=0")).ood_json is None


def test_a_damaged_case_of_the_cache_is_named_and_made_again(config_file, tmp_path):
    assert run(config_file, tmp_path, "training.stop_at_step=1") is None
    case = sorted((tmp_path / "cache").iterdir())[4]
    content = case.read_bytes()
    case.write_bytes(content[: len(content) // 2])
    with pytest.raises(TrainingError, match=r"blob_005-.*: it is damaged\. Repair: delete it; it is made again$"):
        run(config_file, tmp_path, resume=True)
    case.unlink()
    assert run(config_file, tmp_path, "training.stop_at_step=2", resume=True) is None


def test_a_budget_of_minutes_ends_in_a_package(config_file, tmp_path):
    folder = run(config_file, tmp_path, "training.max_steps=100000", "training.max_minutes=0.02")
    assert read_package(folder).model["name"] == "blobs"
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] < 1000


def test_init_starts_from_a_package(finished, config_file, tmp_path):
    _, package = finished
    run(config_file, tmp_path, "training.max_steps=1", "training.learning_rate=1e-12", init=str(package))
    tuned, start = read_package(tmp_path / "package").state, read_package(package).state
    assert all(torch.allclose(tuned[name].float(), start[name].float(), atol=1e-3) for name in start)
    with pytest.raises(ConfigError, match="its network is another one"):
        run(config_file, tmp_path / "other", "network.feature_size=24", init=str(package))


def test_a_bad_case_is_named_before_anything_is_trained(config_file, blobs, tmp_path):
    other = tmp_path / "data"
    (other / "imagesTr").mkdir(parents=True)
    (other / "labelsTr").mkdir()
    for path in blobs.rglob("*"):
        if path.is_file():
            (other / path.relative_to(blobs)).write_bytes(path.read_bytes())
    bad = other / "imagesTr" / "blob_005.nii.gz"
    bad.write_bytes(bad.read_bytes()[:300])
    with pytest.raises(ConfigError, match=r"1 case\(s\) cannot be used.*blob_005"):
        run(config_file, tmp_path / "out", data=other)
    assert not (tmp_path / "out" / "last.ckpt").exists()


def test_a_run_is_resumed_with_its_own_settings(finished, config_file):
    with pytest.raises(ConfigError, match=r"other settings: training.max_steps"):
        run(config_file, finished[0], "training.max_steps=8", resume=True)


def test_two_channels_in_nnunets_layout(blobs, config_file, tmp_path):
    """The same blobs as CASE_0000 and CASE_0001; a case without its second channel is named."""
    data = tmp_path / "Dataset001_Blobs"
    (data / "imagesTr").mkdir(parents=True)
    (data / "labelsTr").mkdir()
    for path in sorted((blobs / "imagesTr").iterdir()):
        case = path.name.removesuffix(".nii.gz")
        for channel in ("0000", "0001"):
            shutil.copy(path, data / "imagesTr" / f"{case}_{channel}.nii.gz")
        shutil.copy(blobs / "labelsTr" / path.name, data / "labelsTr" / path.name)
    about = {"channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "blob": 1}, "file_ending": ".nii.gz"}
    (data / "dataset.json").write_text(json.dumps(about | {"numTraining": 16}))
    package = read_package(run(config_file, tmp_path / "out", "training.max_steps=1", data=data))
    assert package.model["channels"] == ["T1", "T2"]
    assert package.state["encoder.patch.weight"].shape[1] == 2
    assert len(package.model["fingerprint"]["intensities"]) == 2


def test_left_is_not_turned_into_right(blobs, config_file, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(blobs, data)
    about = json.loads((data / "dataset.json").read_text())
    (data / "dataset.json").write_text(json.dumps(about | {"labels": {"0": "background", "1": "left blob"}}))
    with pytest.raises(ConfigError, match=r"window.mirror_axes: axis 0 turns left into right"):
        run(config_file, tmp_path / "out", data=data)


def test_a_killed_run_goes_on_from_its_checkpoint(finished, config_file, tmp_path, kill_at_checkpoint):
    """kill -9 as soon as there is a checkpoint; the resumed run ends where the uninterrupted one did."""
    kill_at_checkpoint(tmp_path, "train", "-c", str(config_file))
    run(config_file, tmp_path, resume=True)
    ours, theirs = load_file(tmp_path / "weights.safetensors"), load_file(finished[0] / "weights.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_mlflow_keeps_settings_curves_pictures_and_the_package(config_file, tmp_path):
    run(config_file, tmp_path / "run", "tracking.uri=null", "training.max_steps=10")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("medswin").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.info.run_name == "blobs"
    assert found.data.params["network.feature_size"] == "12"
    assert [point.step for point in client.get_metric_history(found.info.run_id, "validation/dice")] == [2, 4, 6, 8, 10]
    judged = {name for name in found.data.metrics if name.startswith("ood/")}
    assert judged == {f"ood/{name}" for name in ("calibration_people", "false_alarm_rate", "limit", "middle", "far")}
    assert 1 <= found.data.metrics["ood/calibration_people"] < 8
    assert {item.path for item in client.list_artifacts(found.info.run_id)} >= {"config.json", "package", "validation"}
    with pytest.raises(ConfigError, match="a run is in this folder already"):
        run(config_file, tmp_path / "run", "tracking.uri=null", "training.max_steps=10")
    assert client.get_run(found.info.run_id).info.status == "FINISHED"


def test_patches_depend_on_their_number_alone():
    whole = list(FromStep(0, max_steps=5, batch_size=2))
    assert whole == list(range(10))
    assert list(FromStep(3, max_steps=5, batch_size=2)) == whole[6:]


def test_a_nan_is_traced_to_its_module():
    network = torch.nn.Sequential(torch.nn.Conv3d(1, 1, 1), torch.nn.ReLU(), torch.nn.Conv3d(1, 1, 1))
    batch = {"image": torch.ones(1, 1, 2, 2, 2), "case": ["case_7"]}
    network[1].register_forward_hook(lambda module, inputs, output: output / 0 - output / 0)
    error = explain(network, batch, step=3)
    assert isinstance(error, TrainingError)
    assert "the output of 1" in str(error)
    assert "case_7" in str(error)
    with torch.no_grad():
        network[2].weight.fill_(float("nan"))
    assert "in the weights, for example 2.weight" in str(explain(network, batch, step=3))
    batch["image"][0, 0, 0, 0, 0] = float("inf")
    assert "in the input image" in str(explain(network, batch, step=3))


def test_reviewed_cases_teach_and_a_run_goes_on_with_them_alone(blobs, config_file, tmp_path):
    reviewed = tmp_path / "reviewed"
    (reviewed / "imagesTr").mkdir(parents=True)
    (reviewed / "labelsTr").mkdir()
    about = json.loads((blobs / "dataset.json").read_text())
    about["training"] = [{"image": "imagesTr/new_900.nii.gz", "label": "labelsTr/new_900.nii.gz"}]
    about["test"] = []
    for part in ("imagesTr", "labelsTr"):
        shutil.copy(blobs / part / "blob_001.nii.gz", reviewed / part / "new_900.nii.gz")
    (reviewed / "dataset.json").write_text(json.dumps(about))
    said = []
    options = {"reviewed": reviewed, "report": said.append}
    assert run(config_file, tmp_path / "out", "training.stop_at_step=3", **options) is None
    assert "reviewed cases that teach too: 1" in said
    split = json.loads((tmp_path / "out" / "splits.json").read_text())
    assert "new_900" not in split["people"]
    assert f"training     {len(split['training']) + 1} scans" in "\n".join(said)
    assert list((tmp_path / "out").rglob("new_900-*.safetensors"))
    with pytest.raises(ConfigError, match=r"other settings: reviewed\.new_900"):
        run(config_file, tmp_path / "out", resume=True)
    assert run(config_file, tmp_path / "out", resume=True, **options) is not None
