"""A quarantine on disk: what is listed teaches, and is what was taken in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medswin.errors import InputError
from medswin.io.files import sha256
from medswin.io.quarantine import check_unchanged, paths, read_records, write_records

NAMES = {"head": 1, "tail": 2}


def record(folder: Path, case: str, **more: Any) -> dict[str, Any]:
    for path in paths(folder, case):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.parent.name.encode())
    digests = {"image_sha256": sha256(b"imagesTr"), "labels_sha256": sha256(b"labelsTr")}
    return {"usable": True, "channels": 1, "finished": "2026-11-26T10:00:00+00:00", **digests, **more}


def test_what_was_written_is_read_and_only_usable_cases_are_listed(tmp_path: Path) -> None:
    assert read_records(tmp_path) == {}
    records = {"b": record(tmp_path, "b"), "a": record(tmp_path, "a"), "c": record(tmp_path, "c", usable=False)}
    write_records(tmp_path, records, NAMES)
    assert read_records(tmp_path, NAMES) == records
    listed = json.loads((tmp_path / "dataset.json").read_text())
    assert [row["label"] for row in listed["training"]] == ["labelsTr/a.nii.gz", "labelsTr/b.nii.gz"]
    assert listed["labels"] == {"0": "background", "1": "head", "2": "tail"}
    assert sorted(path.name for path in (tmp_path / "labelsTr").iterdir()) == ["a.nii.gz", "b.nii.gz"]
    check_unchanged(tmp_path, "a", records)
    for case in ("c", "d"):
        with pytest.raises(InputError, match=f"{case} is listed, but was not taken in"):
            check_unchanged(tmp_path, case, records)


@pytest.mark.parametrize("which", [0, 1])
def test_another_file_or_none_is_refused(tmp_path: Path, which: int) -> None:
    records = {"a": record(tmp_path, "a")}
    path = paths(tmp_path, "a")[which]
    path.write_bytes(b"another")
    with pytest.raises(InputError, match="is not the file that was taken in"):
        check_unchanged(tmp_path, "a", records)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        check_unchanged(tmp_path, "a", records)


def test_channels_are_named_and_must_be_as_many(tmp_path: Path) -> None:
    write_records(tmp_path, {"a": record(tmp_path, "a", channels=2)}, NAMES)
    about = json.loads((tmp_path / "dataset.json").read_text())
    assert about["modality"] == {"0": "channel 0", "1": "channel 1"}
    with pytest.raises(InputError, match="would have 1 and 2 channels"):
        write_records(tmp_path, {"a": record(tmp_path, "a", channels=2), "b": record(tmp_path, "b")}, NAMES)
    assert set(read_records(tmp_path)) == {"a"}


@pytest.mark.parametrize(
    "values",
    [
        {"quarantine_version": 2, "cases": {}},
        {"quarantine_version": 1, "cases": []},
        {"quarantine_version": 1, "cases": {"a": {}}},
        {"quarantine_version": 1, "cases": {"a": None}},
        {"quarantine_version": 1, "cases": {"a": {"usable": "yes", "channels": 1, "finished": ""}}},
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="is damaged or of another version"):
        read_records(tmp_path)


def test_other_structures_need_another_folder(tmp_path: Path) -> None:
    write_records(tmp_path, {}, NAMES)
    with pytest.raises(InputError, match="holds cases with the structures head, tail, these are liver"):
        read_records(tmp_path, {"liver": 1})
