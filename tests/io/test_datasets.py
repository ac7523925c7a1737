"""Both layouts are read as they are, and what is wrong with one is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from medswin.errors import InputError
from medswin.io import Case, read_dataset, read_unlabelled

MSD = {
    "name": "Liver", "licence": "CC-BY-SA 4.0", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver"},
    "training": [{"image": "./imagesTr/b.nii.gz", "label": "./labelsTr/b.nii.gz"}, "imagesTr/a.nii.gz"],
    "test": ["./imagesTs/c.nii.gz"],
}  # fmt: skip
NNUNET = {
    "channel_names": {"0": "T1", "1": "T2"},
    "labels": {"background": 0, "a": 1, "b": 2},
    "file_ending": ".nii.gz",
}


def build(folder: Path, about: Any, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / "dataset.json").write_text(about if isinstance(about, str) else json.dumps(about))
    return folder


MSD_FILES = [f"{side}Tr/{case}.nii.gz" for side in ("images", "labels") for case in "ab"]
NNUNET_FILES = [
    *(f"imagesTr/{case}_{i:04d}.nii.gz" for case in "xy" for i in (0, 1)),
    "labelsTr/x.nii.gz",
    "labelsTr/y.nii.gz",
]


def test_decathlon(tmp_path: Path) -> None:
    folder = build(tmp_path, MSD, *MSD_FILES, "imagesTs/c.nii.gz")
    dataset = read_dataset(folder)
    assert (dataset.name, dataset.layout, dataset.licence) == ("Liver", "msd", "CC-BY-SA 4.0")
    assert dataset.channel_names == ("CT",)
    assert dataset.label_names == {"background": 0, "liver": 1}
    assert dataset.cases == (
        Case("a", (folder / "imagesTr/a.nii.gz",), folder / "labelsTr/a.nii.gz"),
        Case("b", (folder / "imagesTr/b.nii.gz",), folder / "labelsTr/b.nii.gz"),
        Case("c", (folder / "imagesTs/c.nii.gz",), None),
    )
    assert read_dataset(folder / "dataset.json") == dataset


def test_hidden_files_of_macs_and_backslashes_of_windows(tmp_path: Path) -> None:
    about = MSD | {"training": ["imagesTr/._a.nii.gz", ".\\imagesTr\\a.nii.gz"], "test": ["imagesTs/._c.nii.gz"]}
    dataset = read_dataset(build(tmp_path, about, *MSD_FILES, "imagesTs/._c.nii.gz"))
    assert [case.id for case in dataset.cases] == ["a"]
    nnunet = build(tmp_path / "n", NNUNET, *NNUNET_FILES, "imagesTr/._x_0000.nii.gz", "labelsTr/._x.nii.gz")
    assert [case.id for case in read_dataset(nnunet).cases] == ["x", "y"]


def test_test_cases_that_are_not_at_hand_are_left_out(tmp_path: Path) -> None:
    assert [case.id for case in read_dataset(build(tmp_path, MSD, *MSD_FILES)).cases] == ["a", "b"]


def test_nnunet_2(tmp_path: Path) -> None:
    folder = build(
        tmp_path / "Dataset001_Two", NNUNET, *NNUNET_FILES, "imagesTs/z_0000.nii.gz", "imagesTs/z_0001.nii.gz"
    )
    dataset = read_dataset(folder)
    assert (dataset.name, dataset.layout, dataset.licence) == ("Dataset001_Two", "nnunet", "")
    assert dataset.channel_names == ("T1", "T2")
    assert dataset.label_names == {"background": 0, "a": 1, "b": 2}
    assert [case.id for case in dataset.cases] == ["x", "y", "z"]
    assert dataset.cases[0].images == (folder / "imagesTr/x_0000.nii.gz", folder / "imagesTr/x_0001.nii.gz")
    assert [case.label for case in dataset.cases] == [folder / "labelsTr/x.nii.gz", folder / "labelsTr/y.nii.gz", None]


def test_nnunet_2_with_listed_files(tmp_path: Path) -> None:
    listed = {"x": {"images": ["one/t1.nii.gz", "one/t2.nii.gz"], "label": "one/seg.nii.gz"}}
    folder = build(tmp_path, NNUNET | {"dataset": listed}, "one/t1.nii.gz", "one/t2.nii.gz", "one/seg.nii.gz")
    images = (folder / "one/t1.nii.gz", folder / "one/t2.nii.gz")
    assert read_dataset(folder).cases == (Case("x", images, folder / "one/seg.nii.gz"),)


def test_nnunet_1_lists_a_case_and_means_its_channels(tmp_path: Path) -> None:
    about = MSD | {
        "modality": {"0": "T1", "1": "T2"},
        "training": [{"image": "imagesTr/x.nii.gz", "label": "labelsTr/x.nii.gz"}],
    }
    folder = build(tmp_path, about, "imagesTr/x_0000.nii.gz", "imagesTr/x_0001.nii.gz", "labelsTr/x.nii.gz")
    (case,) = read_dataset(folder).cases
    assert case.id == "x"
    assert [image.name for image in case.images] == ["x_0000.nii.gz", "x_0001.nii.gz"]


@pytest.mark.parametrize("labels", [{"liver": 1}, {"1": "liver"}, {"liver": "1"}, {"background": 0, "liver": 1}])
def test_labels_either_way_round_and_the_background_goes_without_saying(tmp_path: Path, labels: dict) -> None:
    dataset = read_dataset(build(tmp_path, MSD | {"labels": labels}, *MSD_FILES))
    assert dataset.label_names == {"background": 0, "liver": 1}


def test_eleven_channels_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = {str(i): f"c{i}" for i in reversed(range(11))}
    dataset = read_dataset(build(tmp_path, MSD | {"modality": names}, *MSD_FILES))
    assert dataset.channel_names == tuple(f"c{i}" for i in range(11))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": {"background": 0, "whole": [1, 2]}}, "the labels whole are regions"),
        ({"labels": {"background": 0, "a": 1, "ignore": 2}}, "'ignore'"),
        ({"labels": {"0": "background", "1": "ignore"}}, "'ignore'"),
        ({"labels": {"background": 0, "a": 2}}, "label values must be 0, 1, 2"),
        ({"labels": {"a": 1, "b": 1}}, "label values must be 0, 1, 2"),
        ({"labels": {"1": "a", "2": "a"}}, "label values must be 0, 1, 2"),
        ({"labels": {"a": "x"}}, "no whole number"),
        ({"labels": {"a": None}}, "no whole number"),
        ({"labels": {"a": 1.5}}, "no whole number"),
        ({"test": [{"label": "x"}]}, "a case under 'test' names no image"),
        ({"labels": {}}, "names no labels"),
        ({"labels": ["a"]}, "names no labels"),
        ({"modality": {"1": "CT"}}, "channels must be named by 0, 1"),
        ({"modality": "CT"}, "channels must be named by 0, 1"),
        ({"training": []}, "no training case"),
        ({"training": "all"}, "must be a list"),
        ({"training": [{"label": "x"}]}, "names no image"),
        ({"training": [3]}, "names no image"),
        ({"training": ["imagesTr/a.nii.gz", "./imagesTr/a.nii.gz"]}, "two cases are called a"),
        ({"training": ["imagesTr/a.nii.gz", "imagesTr/q.nii.gz"]}, "2 files are missing: imagesTr/q.nii.gz, labels"),
        ({"training": [f"imagesTr/{i}.nii.gz" for i in range(9)]}, "18 files are missing: "),
    ],
)  # fmt: skip
def test_decathlon_mistakes(tmp_path: Path, change: dict, words: str) -> None:
    build(tmp_path, MSD | change, *MSD_FILES)
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path)
    assert words in str(caught.value)
    assert "dataset.json: " in str(caught.value)
    assert "Repair: " in str(caught.value)


@pytest.mark.parametrize(
    ("change", "files", "words"),
    [
        ({"file_ending": ".png"}, NNUNET_FILES, "file_ending is '.png'"),
        ({}, [f for f in NNUNET_FILES if "y_0001" not in f], "1 files are missing: imagesTr/y_0001.nii.gz"),
        ({}, [f for f in NNUNET_FILES if f != "labelsTr/x.nii.gz"], "1 files are missing: labelsTr/x.nii.gz"),
        ({}, [*NNUNET_FILES, "imagesTr/w.nii.gz"], "w.nii.gz does not end in the number of one of 2 channels"),
        ({}, [*NNUNET_FILES, "imagesTr/x_0002.nii.gz"], "x_0002.nii.gz does not end in the number of one of 2"),
        ({}, [], "no training case"),
        ({"dataset": {"x": {"images": []}}}, [], "lists no images"),
        ({"dataset": {"x": "file"}}, [], "lists no images"),
    ],
)
def test_nnunet_mistakes(tmp_path: Path, change: dict, files: list[str], words: str) -> None:
    build(tmp_path, NNUNET | change, *files)
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path)
    assert words in str(caught.value)


@pytest.mark.parametrize("about", ["not json", "[]", ""])
def test_a_damaged_description(tmp_path: Path, about: str) -> None:
    with pytest.raises(InputError, match=r"dataset\.json: "):
        read_dataset(build(tmp_path, about))


def test_folders_without_a_description(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match=r"no dataset\.json in this folder"):
            read_dataset(folder)


def unlabelled(folder: Path, *files: str) -> tuple[dict[str, str], list[str]]:
    """Names and files of the scans found, and what was said."""
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    said: list[str] = []
    found = read_unlabelled(folder, folder.parent / "run", said.append)
    return {case.id: case.images[0].relative_to(folder).as_posix() for case in found}, said


def test_nifti_files_in_folders_below_are_called_by_their_paths_where_names_repeat(tmp_path: Path) -> None:
    files = ["sub-00/anat/T1w.nii.gz", "sub-01/anat/T1w.nii", ".git/T1w.nii.gz", "sub-01/.T1w.nii"]
    found, said = unlabelled(tmp_path / "scans", *files)
    assert found == {"sub-00_anat_T1w": files[0], "sub-01_anat_T1w": files[1]}
    assert said == ["taking 2 NIfTI files in the folders below as scans"]
    found, _ = unlabelled(tmp_path / "bids", "sub-00/anat/sub-00_T1w.nii.gz", "images/a/sub-01_T1w.nii.gz")
    assert list(found) == ["sub-01_T1w", "sub-00_T1w"]
    with pytest.raises(InputError, match=r"two scans are called a_b_c.*Repair"):
        unlabelled(tmp_path / "clash", "a/b_c.nii", "a_b/c.nii", "c/c.nii", "d/c.nii")


def test_what_is_called_a_label_map_below_is_no_scan_and_that_is_told(tmp_path: Path) -> None:
    maps = ["a/a_dseg.nii.gz", "b/b-mask.nii", "b/label.nii", "labelsTr/x.nii", "derivatives/fmriprep/b/b_T1w.nii"]
    scans = {"unmasked": "a/unmasked.nii", "relabel": "b/relabel.nii", "mask_of_zorro": "b/mask_of_zorro.nii"}
    found, said = unlabelled(tmp_path / "scans", *scans.values(), *maps)
    assert found == scans
    assert said[1:] == ["passed over: 5 NIfTI files called label maps"]
    with pytest.raises(InputError, match=r"all 5 NIfTI files below are called label maps.*Repair"):
        unlabelled(tmp_path / "maps", *maps)


def test_images_beside_labels_are_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"name .*imagesTr"):
        unlabelled(tmp_path / "scans", "imagesTr/a.nii.gz", "labelsTr/a.nii.gz")


def test_what_lies_beside_a_folders_own_nifti_files_is_told(tmp_path: Path, data_dir: Path) -> None:
    folder = tmp_path / "scans"
    assert unlabelled(folder, "a.nii", "b_seg.nii.gz") == ({"a": "a.nii", "b_seg": "b_seg.nii.gz"}, [])
    shutil.copytree(data_dir / "dicom" / "mr_hippocrop_a", folder / "series")
    found, said = unlabelled(folder, "below/c.nii", "below/.d.nii")
    assert list(found) == ["a", "b_seg"]
    assert said == ["passed over: 1 DICOM series, 1 NIfTI files in folders below"]
    assert not (tmp_path / "run").exists()
