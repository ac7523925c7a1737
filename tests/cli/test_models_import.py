"""``medswin models import``: a MONAI checkpoint becomes a package that predicts what MONAI predicts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.inferers import sliding_window_inference
from monai.networks.nets import SwinUNETR as MonaiSwinUNETR

from medswin.inference import Predictor
from medswin.io.nifti import read_labels, read_nifti, write_image
from medswin.io.package import read_package

SAID = ("--as", "swin_unetr", "--name", "abdomen", "--structures", "spleen, liver", "--roi", "32,32,64")


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    net = MonaiSwinUNETR(1, 3, feature_size=12, depths=(1, 1, 1, 1), window_size=3).eval()
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return net


@pytest.fixture(scope="module")
def checkpoint(network: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"epoch": 3, "best_acc": np.float64(0.8), "state_dict": state}, path)
    return path


@torch.inference_mode()
def test_an_imported_checkpoint_predicts_as_monai_does(
    medswin: Callable, network: torch.nn.Module, checkpoint: Path, tmp_path: Path
) -> None:
    folder, scan = tmp_path / "abdomen", tmp_path / "case.nii.gz"
    words = ("--intensity", "window:-175:250", "--channels", "CT", "--compat", "monai-1.5", "--roi", "32,32,64")
    status, out, err = medswin("models", "import", checkpoint, "-o", folder, *SAID, *words)
    assert (status, err) == (0, "")
    assert all(words in out for words in ("monai-1.5", "found under state_dict", "100.0 %", read_package(folder).id))

    write_image(scan, np.random.default_rng(0).normal(40, 150, size=(36, 32, 70)), np.eye(4))
    hounsfield = read_nifti(scan).image.as_tensor()
    image = ((hounsfield + 175) / 425).clamp(0, 1)[None]
    logits = sliding_window_inference(image, (32, 32, 64), 4, network, overlap=0.5, mode="gaussian")
    expected = logits[0].argmax(0).numpy()
    assert len(np.unique(expected)) > 1
    labels = Predictor.load(folder, precision="fp32")(scan).labels
    np.testing.assert_array_equal(labels, expected)

    assert medswin("predict", "-i", scan, "-o", tmp_path / "out", "-m", folder, "--precision", "fp32")[0] == 0
    np.testing.assert_array_equal(read_labels(tmp_path / "out" / "case.nii.gz"), expected)


def test_the_package_says_where_it_comes_from(medswin: Callable, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "abdomen"
    status, out, _ = medswin("models", "import", checkpoint, "-o", folder, *SAID, "--spacing", "1.5,1.5,2")
    assert status == 0
    assert "monai-legacy" in out
    model = read_package(folder).model
    assert model["network"]["params"]["compat"] == "monai-legacy"
    assert model["network"]["params"]["window_size"] == 3
    assert model["preprocessing"] == {"spacing_mm": [1.5, 1.5, 2.0], "intensity": {"name": "zscore"}}
    out = medswin("models", "show", folder)[1]
    assert all(
        fact in out for fact in ("spleen, liver", "32 x 32 x 64", "scans are not checked", "not stated", "image")
    )
    card = medswin("models", "show", folder, "--card")[1]
    assert all(words in card for words in ("model.pt (SHA-256 ", "measured nothing", "brings no OOD detector"))

    status, _, err = medswin("models", "import", checkpoint, "-o", folder, *SAID)
    assert (status, "--overwrite" in err) == (2, True)
    assert medswin("models", "import", checkpoint, "-o", folder, *SAID, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("--structures", "spleen"), "2 classes, model.pt tells 3"),
        (("--structures", "WT,TC,ET"), "BraTS"),
        (("--structures", "spleen,,"), "--structures: takes different names"),
        (("--structures", "liver,liver"), "--structures: takes different names"),
        (("--channels", "T1,T2"), "takes 1 channels, 2 are named"),
        (("--spacing", "1,1"), "--spacing: takes three positive numbers"),
        (("--spacing", "1,0,1"), "--spacing: takes three positive numbers"),
        (("--spacing", "1,nan,1"), "--spacing: takes three positive numbers"),
        (("--roi", "32,32,1.5"), "--roi: takes three positive whole numbers"),
        (("--roi", "32,32,40"), "use 32,32,64"),
        (("--roi", "32,32,32"), "a map of one voxel"),
        (("--set", "normalise=false"), "no parameter 'normalise'"),
        (("--set", "normalize"), "is not KEY=VALUE"),
        (("--set", "compat=monai-1.5"), "--set compat: compat has an option of its own. Repair: use --compat"),
        (("--set", "norm_name=nope"), "--set: no network has the settings that model.pt tells and --set gives"),
        (("--set", "norm_name=[group, {num_groups: 5}]"), "--set: no network has the settings"),
        (("--set", "in_channels=null"), "--set: no network has the settings"),
        (("--set", "window_size=[3,3,2]"), "has shape (125, 3), the network needs (75, 3)"),
        (("--set", "norm_name=batch"), "decoder tensors are not in it"),
        (("--overlap", "1"), "--overlap: overlap must be at least 0 and below 1"),
        (("--overlap", "nan"), "--overlap: overlap must be at least 0 and below 1"),
        (("--intensity", "window:250:-175"), "--intensity: is zscore or window:LOW:HIGH"),
        (("--intensity", "window"), "--intensity: is zscore or window:LOW:HIGH"),
        (("--intensity", "minmax"), "--intensity: is zscore or window:LOW:HIGH"),
        (("--name", "../up"), "--name: a model's name is"),
    ],
)
def test_a_wrong_option_is_one_line(
    medswin: Callable, checkpoint: Path, tmp_path: Path, words: tuple[str, ...], answer: str
) -> None:
    status, _, err = medswin("models", "import", checkpoint, "-o", tmp_path / "no", *SAID, *words)
    assert (status, len(err.splitlines())) == (2, 1)
    assert answer in err
    assert "fresh" not in err, "a repair in the words of Python"
    assert not (tmp_path / "no").exists()


def saved(folder: Path, **params: Any) -> Path:
    net = MonaiSwinUNETR(1, 3, **{"feature_size": 12, "depths": (1, 1, 1, 1), "window_size": 3, **params})
    torch.save(net.state_dict(), folder / "model.pt")
    return folder / "model.pt"


def test_what_is_set_stands_in_the_card(medswin: Callable, checkpoint: Path, tmp_path: Path) -> None:
    words = ("--set", "finest_width=null", "--set", "normalize=false", "--set", "norm_name=[instance, {eps: 0.1}]")
    assert medswin("models", "import", checkpoint, "-o", tmp_path / "set", *SAID, *words)[0] == 0
    package = read_package(tmp_path / "set")
    assert package.model["network"]["params"]["finest_width"] is None
    recipe = (
        "--compat monai-legacy --set finest_width=null --set normalize=false --set 'norm_name=[instance, {eps: 0.1}]'`"
    )
    assert recipe in package.card


def test_window_and_norm_are_told_or_asked_for(medswin: Callable, tmp_path: Path) -> None:
    file = saved(tmp_path, window_size=(2, 3, 4), norm_name="batch")
    status, out, _ = medswin("models", "import", file, "-o", tmp_path / "batch", *SAID)
    assert (status, "read in the merging order of MONAI before 1.5" in out) == (0, True)
    params = read_package(tmp_path / "batch").model["network"]["params"]
    assert (params["window_size"], params["norm_name"]) == ([2, 3, 4], "batch")

    status, _, err = medswin("models", "import", file, "-o", tmp_path / "no", *SAID, "--set", "window_size=[4,3,2]")
    assert (status, "is of a window of (2, 3, 4), ours of (4, 3, 2)" in err) == (2, True)

    file = saved(tmp_path, norm_name=("group", {"num_groups": 4}))
    status, _, err = medswin("models", "import", file, "-o", tmp_path / "group", *SAID)
    assert (status, "--set 'norm_name=[group, {num_groups: 4}]'" in err) == (2, True)
    words = ("--set", "norm_name=[group, {num_groups: 4}]")
    assert medswin("models", "import", file, "-o", tmp_path / "group", *SAID, *words)[0] == 0
    assert read_package(tmp_path / "group").model["network"]["params"]["norm_name"] == ["group", {"num_groups": 4}]


def test_an_unknown_prefix_is_told_as_such(medswin: Callable, network: torch.nn.Module, tmp_path: Path) -> None:
    state = network.state_dict()
    for room in ("", "decoder"):
        file = {f"wrapped.{name}" if name.startswith(room) else name: tensor for name, tensor in state.items()}
        torch.save(file, tmp_path / "model.pt")
        status, _, err = medswin("models", "import", tmp_path / "model.pt", "-o", tmp_path / "no", *SAID)
        assert (status, len(err.splitlines()), "fresh" in err) == (2, 1, False)
        assert "behind the prefix 'wrapped', which is unknown; known are _orig_mod, backbone" in err


def test_half_a_network_is_no_model(
    medswin: Callable, network: torch.nn.Module, checkpoint: Path, tmp_path: Path
) -> None:
    encoder = {name: tensor for name, tensor in network.state_dict().items() if name.startswith("swinViT.")}
    torch.save(encoder, tmp_path / "ssl.pt")
    status, _, err = medswin("models", "import", tmp_path / "ssl.pt", "-o", tmp_path / "no", *SAID)
    assert (status, "ssl.pt: it tells no out_channels" in err) == (2, True)
    torch.save({**encoder, "out.conv.conv.weight": torch.ones(3, 12, 1, 1, 1)}, tmp_path / "ssl.pt")
    status, _, err = medswin("models", "import", tmp_path / "ssl.pt", "-o", tmp_path / "no", *SAID)
    assert (status, "tensors of the network are not in it" in err) == (2, True)
    status, _, err = medswin("models", "import", tmp_path / "gone.pt", "-o", tmp_path / "no", *SAID)
    assert (status, "gone.pt: no such file" in err) == (2, True)
