"""Shipped configs are found by path and by name, in a checkout and in a wheel."""

from pathlib import Path

import pytest

from medswin import resources
from medswin.errors import InputError


@pytest.fixture(params=["checkout", "wheel"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with one shipped config, laid out as in a checkout or as a wheel unpacks it."""
    package = tmp_path / "medswin"
    folder = package / "_configs" if request.param == "wheel" else tmp_path / "configs"
    (folder / "heart").mkdir(parents=True)
    (folder / "heart" / "small.yaml").write_text("a: 1\n")
    package.mkdir(exist_ok=True)
    monkeypatch.setattr(resources, "PACKAGE", package)
    return folder / "heart" / "small.yaml"


@pytest.mark.parametrize("name", ["heart/small", "heart/small.yaml", "configs/heart/small.yaml"])
def test_a_shipped_config_is_found_from_anywhere(place: Path, name: str) -> None:
    assert resources.find_config(name) == place


def test_a_file_of_the_user_comes_first(place: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("a: 2\n")
    assert resources.find_config(mine) == mine


def test_an_unknown_name_lists_what_there_is(place: Path) -> None:
    with pytest.raises(InputError, match=r"heart/big.*one of: heart/small\.yaml"):
        resources.find_config("heart/big")


def test_no_way_out_of_the_folder(place: Path) -> None:
    with pytest.raises(InputError):
        resources.find_config("../heart/../../medswin/secret")
