"""Who never may teach, told by a training run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medswin.errors import InputError
from medswin.io.held_out import HeldOut, read_held_out


def splits(folder: Path, group: dict[str, str] | None) -> Path:
    people = {"h_1": "h_pair1", "h_2": "h_pair1", "h_3": "h_pair2", "h_5": "h_pair3"}
    parts = {"training": ["h_5"], "validation": ["h_1", "h_2"], "calibration": ["h_3"]}
    (folder / "splits.json").write_text(json.dumps({**parts, "people": people}))
    if group is not None:
        (folder / "config.json").write_text(json.dumps({"data": {"group": group}}))
    return folder / "splits.json"


def test_people_are_held_out_by_the_rule_of_the_run(tmp_path: Path) -> None:
    held = read_held_out(splits(tmp_path, {"by": "pairs"}))
    assert [case in held for case in ("h_1", "h_2", "h_3", "h_4", "h_5", "h_6", "g_4")] == [True] * 4 + [False] * 3
    with pytest.raises(InputError, match="its name has no number"):
        assert "nobody" in held


def test_without_the_rule_cases_are_held_out(tmp_path: Path) -> None:
    held = read_held_out(splits(tmp_path, None))
    assert [case in held for case in ("h_1", "h_3", "h_4", "h_5", "nobody")] == [True, True, False, False, False]
    assert "h_1" not in HeldOut()


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = splits(tmp_path, {})
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="does not say whose scan a case is"):
        read_held_out(path)
    path.write_text('{"training": []}')
    with pytest.raises(InputError, match=r"is no splits\.json of a training run"):
        read_held_out(path)
