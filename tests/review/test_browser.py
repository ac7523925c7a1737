"""The page in a real browser: the viewer starts under its policy and draws sides where its letters say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medswin.labels import LabelSet
from medswin.prediction import OODResult, Prediction
from medswin.review import ReviewCase, write_page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs chromium: apt-get install chromium")
NAMES = LabelSet.from_names(["marker"])
WIDTH, HEIGHT = 1240, 1400


def browse(tmp_path: Path, page: Path, *flags: str) -> str:
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=10000", f"--window-size={WIDTH},{HEIGHT}", *flags, page.as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A cube of 40 mm stored upside down, with a marker in the patient's left, anterior, superior corner."""
    labels = np.zeros((40, 40, 40), dtype=np.uint8)
    labels[2:12, 28:38, 27:37] = 1
    turned = np.ascontiguousarray(labels[::-1, :, ::-1].transpose(2, 0, 1))
    affine = np.zeros((4, 4))
    affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -1, -1, 1, 1
    prediction = Prediction("marker", turned, affine, NAMES, OODResult("not checked"))
    assert prediction.labels[3, 30, 30] == 1
    image = np.random.default_rng(0).normal(100, 20, labels.shape)
    return write_page(tmp_path / "page.html", [ReviewCase(prediction, image)], "Marker")


def test_the_viewer_starts_without_breaking_the_policy(tmp_path: Path, page: Path) -> None:
    seen = browse(tmp_path, page, "--dump-dom")
    assert 'data-ready="true"' in seen
    assert "data-violation" not in seen
    assert seen.count("<canvas") == 3
    assert "Axial, z = " in seen


def test_the_viewer_draws_sides_where_its_letters_say(tmp_path: Path, page: Path) -> None:
    picture = tmp_path / "page.png"
    browse(tmp_path, page, f"--screenshot={picture}")
    pixels = np.asarray(Image.open(picture).convert("RGB")).astype(int)
    # The viewer is the first tall black block; its planes take the upper part of it, a third of the width each.
    black = (pixels[:, 46] == 0).all(axis=1)
    top = int(np.argmax(black))
    bottom = top + int(np.argmin(black[top:]))
    planes = pixels[top + 30 : top + int(0.75 * (bottom - top)), 45 : WIDTH - 45]
    marker = (planes == NAMES.labels[0].color).all(axis=2)
    third = planes.shape[1] // 3
    for plane, (right, up) in enumerate([(True, True), (True, True), (False, True)]):
        part = slice(plane * third, (plane + 1) * third)
        gray = (planes[:, part].max(axis=2) == planes[:, part].min(axis=2)) & (planes[:, part].max(axis=2) > 20)
        rows, columns = np.nonzero(gray)
        middle = np.array([np.median(rows), np.median(columns)])
        where = np.argwhere(marker[:, part]).mean(axis=0)
        assert (where[1] > middle[1], where[0] < middle[0]) == (right, up), plane
