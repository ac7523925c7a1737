"""``medswin models``: what a package says of itself, and a package as a zip."""

import re
from collections.abc import Callable
from pathlib import Path

from medswin.io.package import read_package


def test_list_names_the_shipped_model(medswin: Callable) -> None:
    status, out, _ = medswin("models", "list")
    assert status == 0
    assert re.search(r"hippocampus.*anterior.*posterior", out, re.I)


def test_show_tells_the_facts(medswin: Callable, tiny_package: Path) -> None:
    status, out, _ = medswin("models", "show", tiny_package)
    assert status == 0
    for fact in ("0.0.1", read_package(tiny_package).id, "front, back", "16 x 16 x 16 voxels", "scans are not checked"):
        assert fact in out


def test_show_prints_the_card(medswin: Callable, tiny_package: Path) -> None:
    assert medswin("models", "show", tiny_package, "--card")[1].strip() == "# tiny"


def test_an_exported_zip_is_the_same_package(medswin: Callable, tiny_package: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.zip"
    assert medswin("models", "export", tiny_package, "-o", file)[0] == 0
    assert read_package(file).id == read_package(tiny_package).id
    status, _, err = medswin("models", "export", tiny_package, "-o", file)
    assert status == 2
    assert "--overwrite" in err


def test_an_unknown_model_is_one_line(medswin: Callable) -> None:
    for words in (["show", "no-such-model"], ["export", "no-such-model", "-o", "no.zip"]):
        status, _, err = medswin("models", *words)
        assert (status, len(err.splitlines())) == (2, 1)
        assert "no-such-model" in err
        assert "hippocampus" in err
