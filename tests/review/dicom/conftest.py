"""Cases of small series made in code, and exports of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from studies import OBLIQUE, Study, make_case, make_study

from medswin.review.export import Exported, export
from medswin.review.job import Options


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """A double-oblique series."""
    return make_study(tmp_path / "scan", OBLIQUE)


@pytest.fixture
def case(study: Study, tmp_path: Path) -> Path:
    """The JSON file of a case on it."""
    return make_case(tmp_path / "predicted", study.folder)


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Exported]:
    """``exported(case, "dicom-seg", labelmap=True)``: what became of one case, in the folder ``out``."""

    def run(case: Path, *formats: str, source: Path | None = None, **options: Any) -> Exported:
        (one,) = export(case, tmp_path / "out", formats, Options(**options), source)
        return one

    return run


@pytest.fixture
def dataset(exported: Callable[..., Exported]) -> Callable[..., Any]:
    """The last file of an export that has to go well, by pydicom."""

    def run(case: Path, *formats: str, **options: Any) -> Any:
        done = exported(case, *formats, **options)
        assert done.failed == ()
        return pydicom.dcmread(done.files[-1])

    return run
