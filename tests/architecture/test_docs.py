"""What the README tells people to type exists, and its Python runs."""

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from monai.networks.nets import SwinUNETR

from medswin.cli.app import app


def blocks(root: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (root / "README.md").read_text(encoding="utf-8"), re.M | re.S)


def typed(root: Path, program: str) -> list[list[str]]:
    """Each command line of the README that starts this program, cut into words, without redirections."""
    lines = [line for block in blocks(root, "sh") for line in block.splitlines() if not line.startswith("#")]
    words = [shlex.split(line.split(" > ")[0], comments=True) for line in lines]
    return [found[1:] for found in words if found and found[0] == program]


def test_every_medswin_command_exists_with_its_options(root: Path) -> None:
    lines = typed(root, "medswin")
    assert len(lines) >= 5
    for words in lines:
        command = typer.main.get_command(app)
        with command.make_context("medswin", [*words[:1], "--help"], resilient_parsing=True) as context:
            while hasattr(command, "commands"):
                command, words = command.commands[words[0]], words[1:]
            with command.make_context("medswin", list(words), parent=context) as inner:
                assert inner.args == []


def test_every_make_target_exists(root: Path) -> None:
    targets = {line.split(":")[0] for line in (root / "Makefile").read_text().splitlines() if re.match(r"^\w+:", line)}
    assert {words[0] for words in typed(root, "make")} - targets == set()
    assert {"demo", "test", "lint"} - targets == set()


def test_every_linked_file_is_there(root: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (root / "README.md").read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (root / link).is_file()] == []


def run_block(root: Path, mark: str, folder: Path, python: Callable) -> list[str]:
    (code,) = [block for block in blocks(root, "python") if mark in block]
    done = python(f"import sys\nsys.path.insert(0, {str(root)!r})\n{code}", cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_predictor_of_the_readme_runs(root: Path, hippocampus_dir: Path, tmp_path: Path, python: Callable) -> None:
    shutil.copy(min((hippocampus_dir / "imagesTr").glob("*.nii.gz")), tmp_path / "scan.nii.gz")
    assert re.search(r"hippocampus.* (accept|review|reject) ", run_block(root, "Predictor", tmp_path, python)[-1])


def test_the_inferer_of_the_readme_runs(root: Path, tmp_path: Path, python: Callable) -> None:
    assert run_block(root, "WindowInferer", tmp_path, python)[-1] == "torch.Size([1, 3, 80, 64, 64])"


def test_the_gate_of_the_readme_runs(root: Path, tmp_path: Path, python: Callable) -> None:
    """On a file in the form of the published pre-trained encoder."""
    encoder = SwinUNETR(in_channels=1, out_channels=14, feature_size=48).swinViT.state_dict()
    renamed = {f"module.{name}".replace("mlp.linear", "mlp.fc"): tensor for name, tensor in encoder.items()}
    torch.save({"state_dict": renamed}, tmp_path / "model_swinvit.pt")
    assert "encoder: 100.0 % of its parameters" in run_block(root, "load_monai_swin_unetr", tmp_path, python)


def test_the_speed_table_is_what_was_measured(root: Path) -> None:
    """Ratios to one decimal, beside MONAI in fp32 and its other way, if any; memory of medswin and of the leaner."""
    measured = {row["row"]: row for row in json.loads((root / "pipelines" / "speed.json").read_text())["rows"]}
    section = (root / "README.md").read_text(encoding="utf-8").split("## How fast is it?")[1].split("\n## ")[0]
    told = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert len(told) >= 8
    for name, in_fp32, best, memory in told[2:]:
        row = measured[name.removesuffix(" *")]["contenders"]
        theirs = {one["who"]: one for one in row if one["who"].startswith("MONAI")}
        plain = {who for who in theirs if (who.endswith("fp32") if "autocast" in name else who == "MONAI")}
        columns = [[f"{theirs[who]['ratio'][0]:.1f} x" for who in whose] for whose in (plain, theirs.keys() - plain)]
        assert [in_fp32, best] == ["".join(column) or "-" for column in columns], name
        least = min(one["peak_gb"] for one in theirs.values())
        assert memory == f"{row[0]['peak_gb']:.1f} / {least:.1f} GB", name


def test_the_faults_that_are_told_are_those_that_were_counted(root: Path) -> None:
    found = json.loads((root / "pipelines" / "fault_study.json").read_text())
    total, clean = found["total"], next(row["in"] for row in found["rows"] if row["fault"] == "none")
    told = " ".join((root / "README.md").read_text(encoding="utf-8").split())
    kinds = len(found["rows"]) - 1
    counted = f"{total['in']} small DICOM and NIfTI studies, {total['in'] - clean} with faults of {kinds} kinds"
    assert f"segments {counted}" in told
    assert f"{total['done']} done, {total['reported']} reported, none lost, none wrong ({found['date']}" in told
    assert (total["lost"], total["wrong"], found["files_with_a_name"]) == (0, 0, 0)
    assert min(found["disturbed_by"].values()) == 1  # each of them came about


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE", "CITATION.cff", "CHANGELOG.md", "README.md"])
def test_papers_are_in_order(root: Path, name: str) -> None:
    needed = {
        "LICENSE": "Version 2.0, January 2004",
        "NOTICE": "CC BY-SA 4.0",
        "CITATION.cff": "cff-version: 1.2.0",
        "CHANGELOG.md": "## [0.1.0]",
        "README.md": "not a medical device",
    }
    assert needed[name] in (root / name).read_text(encoding="utf-8")
