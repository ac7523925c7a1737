"""``medswin review`` and ``predict --review``: the loop as it is typed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def predictions(medswin: Callable, scans: Path, tiny_package: Path, tmp_path: Path) -> Path:
    words = ["predict", "-i", scans, "-o", tmp_path / "out", "-m", tiny_package, "--no-progress", "--review"]
    status, out, err = medswin(*words)
    assert (status, err) == (0, "")
    assert "packets        1" in out
    return tmp_path / "out"


def test_predict_makes_packets_too_and_says_the_same_when_it_goes_on(
    medswin: Callable, predictions: Path, scans: Path, tiny_package: Path
) -> None:
    made = sorted(str(path.relative_to(predictions)) for path in (predictions / "review").rglob("*") if path.is_file())
    assert made == [
        *("review/good/report.pdf", "review/good/review.html"),
        *("review/worklist.csv", "review/worklist.html"),
    ]
    words = ["predict", "-i", scans, "-o", predictions, "-m", tiny_package, "--no-progress", "--review"]
    status, out, _ = medswin(*words)
    assert status == 0
    assert "0 segmented, 1 were there already" in out


def test_a_page_that_cannot_be_made_is_told(medswin: Callable, predictions: Path, scans: Path, tmp_path: Path) -> None:
    words = ["review", "build", "-i", predictions, "-o", tmp_path / "packets", "--no-progress"]
    assert medswin(*words)[0] == 0
    shutil.move(scans, tmp_path / "moved")
    status, _, err = medswin(*words)
    assert (status, len(err.splitlines())) == (2, 1)
    assert "good: " in err
    assert medswin(*words, "--source", tmp_path / "moved")[0] == 0


def test_an_answer_goes_back_into_a_quarantine(medswin: Callable, predictions: Path, tmp_path: Path) -> None:
    page = (predictions / "review" / "good" / "review.html").read_text(encoding="utf-8")
    told = json.loads(next(re.finditer(r'class="answers-data"[^>]*>(.*?)</script>', page))[1])
    identity = {key: value for key, value in told.items() if key not in ("name", "stored")}
    answers = [{"value": value, "answer": "accept", "reason": "", "text": ""} for value in (1, 2)]
    review = {**identity, "reviewer": "r7", "finished": "2026-11-26T10:00:00Z", "seconds": 5, "answers": answers}
    (tmp_path / "good_review.json").write_text(json.dumps({**review, "edited": None}))
    (tmp_path / "bad_review.json").write_text("{}")
    status, out, err = medswin("review", "import", tmp_path, "-p", predictions, "-o", tmp_path / "quarantine")
    assert status == 1
    assert err.startswith(f"medswin: {tmp_path / 'bad_review.json'}: its review_version is None")
    assert "1 reviewed, 1 of them may teach" in out
    assert (tmp_path / "quarantine" / "labelsTr" / "good.nii.gz").is_file()
