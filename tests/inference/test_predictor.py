"""Predictor: sides and places hold in any orientation and spacing, and what it refuses it refuses clearly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from inference_fakes import ORIENTATIONS, Threshold, reoriented, threshold_model
from monai.data import MetaTensor

from medswin.errors import ConfigError, InputError
from medswin.inference import Predictor, WindowInferer
from medswin.inference import predictor as predictor_module
from medswin.inference.compute import check_fits, find_precision
from medswin.inference.observe import observe
from medswin.inference.plan import Plan
from medswin.inference.volume import Found
from medswin.io.scan import Scan
from medswin.ood import Judge, View, row

TILTED = np.array([[0.99, -0.1, 0.02, -20.0], [0.1, 0.99, 0.05, 7.0], [-0.02, -0.05, 1.0, 3.0], [0.0, 0.0, 0.0, 1.0]])


def marker() -> np.ndarray:
    """An L with a foot, unlike any of its mirror images, off the middle of 11 x 9 x 10 voxels."""
    image = np.zeros((11, 9, 10), dtype=np.float32)
    image[1, 1:7, 2] = 1
    image[1:5, 1, 2] = 1
    image[1, 1, 2:5] = 1
    return image


def blob(shape: tuple[int, ...], affine: np.ndarray, centre_mm: tuple[float, ...]) -> np.ndarray:
    """A smooth ball around a place in the world: 0.5 at 5 mm from it."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    places = index @ affine[:3, :3].T + affine[:3, 3]
    return (1 / (1 + np.exp(np.linalg.norm(places - centre_mm, axis=-1) - 5))).astype(np.float32)


def world_centre(labels: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return np.argwhere(labels).mean(0) @ affine[:3, :3].T + affine[:3, 3]


@pytest.mark.parametrize("affine", [np.eye(4), TILTED], ids=["straight", "tilted"])
def test_an_asymmetric_marker_is_found_at_its_place_in_all_48_orientations(affine: np.ndarray) -> None:
    predictor = Predictor(threshold_model(spacing_mm=None))
    for permutation, signs in ORIENTATIONS:
        stored, stored_affine = reoriented(marker(), affine, permutation, signs)
        found = predictor(Scan.from_array(stored, stored_affine))
        assert np.array_equal(found.labels, stored > 0.5), (permutation, signs)
        np.testing.assert_array_equal(found.affine, stored_affine)


@pytest.mark.parametrize(("permutation", "signs"), ORIENTATIONS[::5])
def test_a_ball_is_found_at_its_place_at_another_spacing(permutation, signs) -> None:
    """Voxels of 0.7 x 1.4 x 2.5 mm, seen by a model of 1 mm: centre within 0.3 mm, volume within 15 %."""
    affine = TILTED @ np.diag([0.7, 1.4, 2.5, 1.0])
    centre = (affine @ [18, 9, 7, 1])[:3]
    stored, stored_affine = reoriented(blob((36, 24, 13), affine, centre), affine, permutation, signs)
    found = Predictor(threshold_model())(Scan.from_array(stored, stored_affine))
    np.testing.assert_allclose(world_centre(found.labels, found.affine), centre, atol=0.3)
    assert found.volumes_ml["bright"] == pytest.approx(4 / 3 * np.pi * 5**3 / 1000, rel=0.15)


@pytest.mark.parametrize("code", ["sform", "qform"])
def test_a_nifti_file_gives_what_its_array_gives(tmp_path: Path, code: str) -> None:
    """Stored left to right, in int16 with a scale, 4D with one channel."""
    stored, affine = reoriented(marker(), np.diag([2.0, 1.0, 1.5, 1.0]), (2, 0, 1), (1, -1, 1))
    image = nibabel.Nifti1Image((stored * 1000).astype(np.int16)[..., None], affine)
    image.header.set_slope_inter(0.001, 0)
    image.set_sform(affine, int(code == "sform"))
    image.set_qform(affine, int(code == "qform"))
    nibabel.save(image, tmp_path / "scan.nii.gz")
    found = Predictor(threshold_model(spacing_mm=None))(tmp_path / "scan.nii.gz")
    assert found.case == "scan"
    assert np.array_equal(found.labels, stored > 0.5)
    np.testing.assert_allclose(found.affine, affine, atol=1e-5)


def test_a_metatensor_brings_its_affine_and_an_array_is_told_to_have_none() -> None:
    predictor = Predictor(threshold_model(spacing_mm=None))
    image = MetaTensor(torch.from_numpy(marker())[None], affine=torch.from_numpy(TILTED))
    np.testing.assert_array_equal(predictor(image).affine, TILTED)
    assert [finding.code for finding in predictor(marker()).findings] == ["no-orientation"]


def test_structures_with_sides_are_doubted_where_the_scan_tells_no_side() -> None:
    model = threshold_model(labels=["left lung"], spacing_mm=None)
    assert [f.code for f in Predictor(model)(marker()).findings] == ["no-orientation", "side-unknown"]
    assert Predictor(model)(Scan.from_array(marker(), np.eye(4))).findings == ()


def test_one_encode_per_window() -> None:
    """11 x 9 x 10 voxels in windows of 8 with overlap 0.5: starts 0 3, 0 1 and 0 2."""
    model = threshold_model(spacing_mm=None)
    Predictor(model)(Scan.from_array(marker(), np.eye(4)))
    assert sum(model.network.encoded) == 2 * 2 * 2


def test_the_feature_is_that_of_with_features() -> None:
    """The pass over a volume in blocks gives the very numbers of the inferer that holds all logits."""
    model = threshold_model()
    scan = Scan.from_array(marker(), np.diag([1.0, 1.3, 0.8, 1.0]))
    predictor = Predictor(model)
    feature = predictor.segment(predictor.prepare(scan))[1].feature
    prepared = model.preprocessing(scan.image).as_tensor()[None]
    expected = WindowInferer(**model.window).with_features(prepared, Threshold())[1]
    np.testing.assert_array_equal(feature, expected[0].detach().numpy())


@pytest.mark.parametrize("box", ["0:6,0:8,1:6", "-20:-14.6,7:14,4:8mm"])
def test_a_box_hides_the_rest_and_labels_stay_on_the_whole_grid(box: str) -> None:
    """A second marker outside of the box is not seen."""
    image = marker()
    image[8:, 6:, 7:] = 1
    affine = np.eye(4)
    affine[:3, 3] = (-20, 7, 3)
    found = Predictor(threshold_model(spacing_mm=None))(Scan.from_array(image, affine), box=box)
    assert np.array_equal(found.labels, marker() > 0.5)
    assert found.provenance["box"] == box


def judge(fov_mm: tuple[float, ...]) -> Judge:
    rng = np.random.default_rng(0)
    sizes = [{"fov_mm": fov_mm, "spacing_mm": (1.0, 1.0, 1.0)}] * 12
    people = [f"p{i}" for i in range(12)]
    return Judge.fit(
        rng.normal(0.04, 0.01, (12, 1)),
        rng.normal(0.04, 0.01, (12, 1)),
        train_people=people,
        calibration_people=[p + "c" for p in people],
        train_geometry=sizes,
        calibration_geometry=sizes,
    )


def test_a_whole_head_for_a_model_of_crops_is_rejected_with_the_repair_and_a_box_mends_it() -> None:
    predictor = Predictor(threshold_model(judge=judge((11.0, 9.0, 10.0))))
    head = np.zeros((30, 28, 32), dtype=np.float32)
    head[4:15, 6:15, 8:18] = marker()
    scan = Scan.from_array(head, np.eye(4))
    whole, part = predictor(scan), predictor(scan, box="4:15,6:15,8:18")
    assert whole.ood.verdict == "reject"
    assert any("field of view" in reason for reason in whole.ood.reasons)
    assert "cut out the region" in whole.ood.reasons[-1]
    assert not any("field of view" in reason for reason in part.ood.reasons)
    assert part.labels.sum() == (marker() > 0.5).sum()


def test_a_scan_that_is_far_too_large_gets_a_quick_look_and_says_so() -> None:
    """32 voxels along each axis are 4 windows of 8 side by side, 64 in all; mirroring and overlap are left out."""
    model = threshold_model(judge=judge((11.0, 9.0, 10.0)))
    found = Predictor(model, mirror=True)(Scan.from_array(np.random.rand(32, 32, 32), np.eye(4)))
    assert sum(model.network.encoded) == 64
    assert [finding.code for finding in found.findings] == ["quick-look"]
    assert "cut the region out" in found.findings[0].repair


def test_without_a_judge_nothing_is_claimed() -> None:
    found = Predictor(threshold_model(spacing_mm=None))(Scan.from_array(marker(), np.eye(4)))
    assert found.ood.verdict == "not checked"


def test_provenance_says_what_made_it(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(marker(), np.eye(4)), tmp_path / "scan.nii")
    said = Predictor(threshold_model(), mirror=True)(tmp_path / "scan.nii").provenance
    assert said["window"] == {"roi_size": [8, 8, 8], "overlap": 0.5, "mode": "gaussian", "mirror_axes": [0, 1, 2]}
    assert {key: said[key] for key in ("model", "version", "package", "device", "threads", "box")} == {
        "model": "bright",
        "version": "1.0.0",
        "package": "ab" * 32,
        "device": "cpu",
        "threads": torch.get_num_threads(),
        "box": None,
    }
    assert len(said["input_sha256"]) == 64
    assert 0 <= said["seconds"] < 60


@pytest.mark.parametrize(
    ("own", "labels", "mirror", "axes"),
    [
        ([0], ["a"], None, (0,)),
        ([0], ["a"], False, ()),
        ([0], ["a"], True, (0,)),
        ([], ["a"], None, ()),
        ([], ["a"], True, (0, 1, 2)),
        ([], ["left a"], True, (1, 2)),  # mirrored left to right, a left structure would be a right one
    ],
)
def test_mirror_axes(own: list[int], labels: list[str], mirror: bool | None, axes: tuple[int, ...]) -> None:
    window = {"roi_size": [8, 8, 8], "mirror_axes": own}
    assert Predictor(threshold_model(labels=labels, window=window), mirror=mirror).inferer.mirror_axes == axes


def test_threads_are_set_only_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    Predictor(threshold_model())
    Predictor(threshold_model(), threads=2)
    assert asked == [2]


def test_a_wrong_number_of_channels_names_the_file_and_the_channels(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.random.rand(6, 6, 6, 3), np.eye(4)), tmp_path / "three.nii.gz")
    said = r"three.nii.gz: the scan has 3 channels, model bright takes 2 \(T1, T2\).*save one time point"
    with pytest.raises(InputError, match=said):
        Predictor(threshold_model(["T1", "T2"]))(tmp_path / "three.nii.gz")


def test_a_scan_that_memory_cannot_hold_is_refused_before_it_is_resampled() -> None:
    """5 voxels of 2000 mm are 1e12 voxels of 1 mm: 4 * 1e12 * 2 bytes."""
    scan = Scan.from_array(np.random.rand(5, 5, 5), np.diag([2000.0, 2000.0, 2000.0, 1.0]), case="huge")
    with pytest.raises(InputError, match=r"huge: .*takes 8e\+03 GB of memory.*--box"):
        Predictor(threshold_model())(scan)
    check_fits(scan, None)
    with pytest.raises(InputError, match="less than a voxel of the model"):
        check_fits(Scan.from_array(np.random.rand(5, 5, 5), np.diag([1e-3, 1e-3, 1e-3, 1.0])), (1.0, 1.0, 1.0))


def test_a_network_that_breaks_is_not_believed() -> None:
    model = threshold_model(spacing_mm=None)
    model.network.bias.data.fill_(float("nan"))
    for precision, repair in (("bf16", "use --precision fp32"), ("fp32", "look at the scan's intensities")):
        with pytest.raises(InputError, match=f"NaN or infinity.*{repair}"):
            Predictor(model, precision=precision)(Scan.from_array(marker(), np.eye(4), case="nan"))


def plan_of(predictor: Predictor, monkeypatch: pytest.MonkeyPatch, machine_gb: float) -> Plan:
    """That of a scan which in one part takes more than the 6 GB that are usual."""
    plans: list[Plan] = []

    def paint(image, network, inferer, painter, plan, **_) -> Found:
        plans.append(plan)
        return Found(torch.zeros(1), 0.0)

    monkeypatch.setattr(predictor_module, "machine_memory", lambda: round(machine_gb * 1e9))
    monkeypatch.setattr(predictor_module, "paint_volume", paint)
    predictor.held_bytes = round(6e9)
    predictor.segment(predictor.prepare(Scan.from_array(np.random.rand(64, 64, 64), np.eye(4))))
    return plans[0]


def test_where_the_usual_memory_is_too_little_that_of_the_machine_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process holds 6 GB before: the plan of least work within four fifths of the machine's memory."""
    predictor = Predictor(threshold_model(spacing_mm=None))
    roomy = plan_of(predictor, monkeypatch, 32)
    assert len(roomy.parts) == 1
    tight = plan_of(predictor, monkeypatch, (roomy.bytes - 1) / 0.8e9)
    assert len(tight.parts) > 1
    assert tight.bytes < roomy.bytes
    predictor.processes = 5
    assert plan_of(predictor, monkeypatch, 32).bytes <= tight.bytes  # 5.1 GB for each: as little as can be
    predictor.processes = 1
    with pytest.raises(InputError, match=r"it takes about 6.2\d GB of memory, 6.00 GB are allowed"):
        plan_of(predictor, monkeypatch, 6)
    predictor.memory_limit_gb = 6.0  # said, it is kept
    with pytest.raises(InputError, match=r"it takes about 6.2\d GB of memory, 6.00 GB are allowed"):
        plan_of(predictor, monkeypatch, 32)


def test_a_small_machine_gets_no_plan_for_6_gb(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(threshold_model(spacing_mm=None))
    asked: list[float] = []
    made = predictor_module.make_plan
    monkeypatch.setattr(predictor_module, "make_plan", lambda *a, **k: asked.append(a[5]) or made(*a, **k))
    monkeypatch.setattr(predictor_module, "machine_memory", lambda: round(4e9))
    predictor(Scan.from_array(marker(), np.eye(4)))
    assert asked == [pytest.approx(3.2e9)]


@pytest.mark.parametrize(
    "settings",
    [{"device": "abacus"}, {"device": "meta"}, {"precision": "fp8"}, {"precision": "fp16"}, {"threads": 0}],
    ids=str,
)
def test_settings_that_cannot_be_had_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError):
        Predictor(threshold_model(), **settings)


def test_auto_takes_bf16_only_where_it_is_native(monkeypatch: pytest.MonkeyPatch) -> None:
    for native, expected in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr("medswin.inference.compute.has_bf16", lambda device, native=native: native)
        assert find_precision("auto", torch.device("cpu")) == expected


def test_bf16_finds_what_fp32_finds() -> None:
    scan = Scan.from_array(marker(), np.eye(4))
    assert np.array_equal(Predictor(threshold_model(), precision="bf16")(scan).labels, marker() > 0.5)


def test_results_with_and_without_air_are_not_taken_for_each_other() -> None:
    """A batch resumes what has equal settings."""
    settings = [Predictor(threshold_model(), skip_air=skip).settings() for skip in (True, True, False)]
    assert settings[0] == settings[1] != settings[2]


def test_shapes_are_judged_on_the_network_s_grid_as_in_training() -> None:
    """A scan at 0.5 mm for a network at 1 mm: the row is that of the prepared image, not of four times the voxels."""
    model = replace(threshold_model(), view=View(shape=True))
    fine = np.kron(marker(), np.ones((2, 2, 2)))
    predictor = Predictor(model)
    prepared = predictor.prepare(Scan.from_array(fine, np.diag([0.5, 0.5, 0.5, 1.0])))
    labels, found = predictor.segment(prepared)
    used = predictor.row(prepared, labels, found.feature.numpy())
    taught, told = observe(prepared.image, model.network, WindowInferer(**model.window), model.reading, model.view)
    expected = row(model.view, told.numpy(), prepared.image.numpy(), {}, taught, prepared.image.affine, [1])
    assert used[1] == pytest.approx(expected[1], rel=0.15)  # volume, ml
    assert used[2] == expected[2]  # pieces
