"""Real slices, small enough to be written anew for each test, with each text tag filled with a canary."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from traps import CANARIES, Change, Truth, by_simpleitk, cropped, with_canaries

SERIES = {"ct": "ct_body_jpeg2000", "mr": "mr_t1post_oblique"}
"""A CT in axial slices and a double-oblique MR, whose slices are thinner than they lie apart."""
SLICES = 12


@pytest.fixture(scope="session")
def cropped_series(data_dir: Path) -> dict[str, list[Any]]:
    """Twelve slices of each of `SERIES` in their order, the middle of each."""
    found = {}
    for kind, name in SERIES.items():
        slices = [pydicom.dcmread(path) for path in (data_dir / "dicom" / name).iterdir()]
        normal = np.cross(*np.reshape(slices[0].ImageOrientationPatient, (2, 3)))
        slices.sort(key=lambda dataset: float(normal @ dataset.ImagePositionPatient))
        found[kind] = [with_canaries(cropped(dataset), i) for i, dataset in enumerate(slices[:SLICES])]
    return found


@pytest.fixture(params=list(SERIES))
def slices(request: pytest.FixtureRequest, cropped_series: dict[str, list[Any]]) -> list[Any]:
    """Copies of the slices of one of the series, to be changed and written."""
    return copy.deepcopy(cropped_series[request.param])


@pytest.fixture
def ct(cropped_series: dict[str, list[Any]]) -> list[Any]:
    """Copies of the slices of the CT."""
    return copy.deepcopy(cropped_series["ct"])


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write datasets into an empty folder, under names that tell nothing of their order."""

    def save(datasets: list[Any], name: str = "tree") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for number, dataset in enumerate(datasets):
            pydicom.dcmwrite(folder / f"{(7 * number) % 101:03d}", dataset, enforce_file_format=True)
        return folder

    return save


@pytest.fixture
def plant(slices: list[Any], write: Callable[..., Path]) -> Callable[[Change], Path]:
    """Write the slices, each changed by a function of (dataset, index), which may drop or double it."""

    def change_all(change: Change) -> Path:
        return write([one for i, dataset in enumerate(slices) for one in changed(change, dataset, i)])

    return change_all


def changed(change: Change, dataset: Any, i: int) -> list[Any]:
    made = change(dataset, i)
    return made if isinstance(made, list) else [dataset if made is None else made]


@pytest.fixture
def truth(slices: list[Any], write: Callable[..., Path]) -> Truth:
    """Voxels and affine of the untouched slices, by SimpleITK."""
    folder = write(slices, "untouched")
    by_name = {path.name: path for path in folder.iterdir()}
    return by_simpleitk([by_name[f"{(7 * number) % 101:03d}"] for number in range(len(slices))])


@pytest.fixture
def quiet_check(caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> Callable[..., None]:
    """Fail where a canary is in a text, in the log or in a warning."""

    def check(*texts: object) -> None:
        said = [*map(str, texts), caplog.text, *(str(warning.message) for warning in recwarn)]
        assert [word for word in CANARIES for text in said if word in text] == []

    return check
