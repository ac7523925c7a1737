"""The wheel holds all that an installed medswin needs, and nothing that belongs to the checkout alone."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def names(root: Path, tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("medswin-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(folder).as_posix() for path in found}


def test_everything_of_the_package_is_in_it(names: set[str], root: Path) -> None:
    assert {f"medswin/{name}" for name in files(root / "medswin")} - names == set()


def test_the_configs_travel_inside_the_package(names: set[str], root: Path) -> None:
    shipped = {name.removeprefix("medswin/_configs/") for name in names if name.startswith("medswin/_configs/")}
    assert shipped == files(root / "configs")
    assert "hippocampus/swin_unetr.yaml" in shipped


def test_model_and_templates_are_in_it(names: set[str]) -> None:
    model = {"model.safetensors", "model.json", "ood.safetensors", "ood.json", "metrics.json", "MODEL_CARD.md"}
    assert {f"medswin/zoo/hippocampus/{name}" for name in [*model, "SHA256SUMS"]} - names == set()
    assert [name for name in names if name.startswith("medswin/review/templates/")] != []


def test_nothing_else_is_installed(names: set[str]) -> None:
    tops = {name.split("/")[0].split("-")[0] for name in names}
    assert tops == {"medswin"}
