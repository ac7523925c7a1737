"""Cases of one file or of several: found by name or by a table, and put on one grid at the right place."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medswin.errors import InputError
from medswin.io import Scan, write_image
from medswin.io.by_name import grouped_by_channel
from medswin.io.channels import on_one_grid, read_channels
from medswin.io.images import IMAGE_SUFFIXES, find_images, has_images, read_image, read_image_grid
from medswin.io.layouts import Case
from medswin.io.table import read_table

SaveNifti = Callable[..., Path]
PROSTATE = ("t2w", "adc", "hbv")
OBLIQUE = np.array([[0.9, -0.4, 0, -20], [0.3, 1.2, 0, 5], [0, 0, 3, 7], [0, 0, 0, 1.0]])
RNG = np.random.default_rng(0)


def touched(folder: Path, *names: str) -> list[Path]:
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def told(found: tuple) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Case -> names of its files; name of what failed -> the error."""
    good, failed = found
    assert all(error.repair for _, error in failed)
    return {case.id: [path.name for path in case.images] for case in good}, {
        Path(name).name: error.what for name, error in failed
    }


def test_images_of_all_kinds_are_found(tmp_path: Path) -> None:
    names = ["a.nii.gz", "B.NRRD", "c.mha", "d.mhd", "d.raw", "e.nhdr", "f.nii", ".g.mha", "h.txt"]
    touched(tmp_path, *names)
    found = ["B.NRRD", "a.nii.gz", "c.mha", "d.mhd", "e.nhdr", "f.nii"]
    assert [path.name for path in find_images(tmp_path)] == found
    assert find_images(tmp_path / "h.txt") == [tmp_path / "h.txt"]
    assert has_images(tmp_path)
    assert set(IMAGE_SUFFIXES) == {".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr"}


def test_a_folder_without_images_says_what_was_looked_for(tmp_path: Path) -> None:
    assert not has_images(tmp_path)
    with pytest.raises(InputError, match=r"no \.nii, \.mha, \.mhd, \.nrrd, \.nhdr or \.nii\.gz file"):
        find_images(tmp_path)
    (tmp_path / "imagesTs").mkdir()
    touched(tmp_path / "imagesTs", "a.mha")
    with pytest.raises(InputError, match=r"Repair: name .*imagesTs"):
        find_images(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        find_images(tmp_path / "gone")


def test_one_channel_is_one_file(tmp_path: Path) -> None:
    paths = touched(tmp_path, "a_0000.nii.gz", "b_0000.mha")
    assert told(grouped_by_channel(paths, ["CT"])) == ({"a": ["a_0000.nii.gz"], "b": ["b_0000.mha"]}, {})
    paths = touched(tmp_path, "a.nii.gz", "a.mha", "b.nii")
    twins = {"a": "has the same case name as a.mha"}
    assert told(grouped_by_channel(paths, ["CT"])) == ({"b": ["b.nii"]}, twins)


def test_numbered_files_make_cases_and_what_is_wrong_is_told_of_each(tmp_path: Path) -> None:
    paths = touched(
        tmp_path,
        *("p1_0002.nii.gz", "p1_0000.nii.gz", "p1_0001.mha"),  # in any order and format
        *("p2_0000.nii.gz", "p2_0002.nii.gz"),
        *("p3_0000.nii", "p3_0001.nii", "p3_0002.nii", "p3_0003.nii"),
        *("p4_0000.nii", "p4_0000.nii.gz", "p4_0001.nii", "p4_0002.nii"),
        "p5.nii",
    )
    good, failed = told(grouped_by_channel(paths, PROSTATE))
    assert good == {"p1": ["p1_0000.nii.gz", "p1_0001.mha", "p1_0002.nii.gz"]}
    assert failed == {
        "p2": "lacks channel 0001 (adc)",
        "p3": "has a file for channel 0003, the model takes 0000 (t2w), 0001 (adc), 0002 (hbv)",
        "p4": "has two files for channel 0000, p4_0000.nii and p4_0000.nii.gz",
        "p5.nii": "its name does not end in the number of a channel, others here do",
    }
    (repair,) = (error.repair for name, error in grouped_by_channel(paths, PROSTATE)[1] if name == "p2")
    assert repair == "put p2_0001.nii.gz beside p2_0000.nii.gz and name their folder"


def test_files_without_numbers_hold_all_channels(tmp_path: Path) -> None:
    paths = touched(tmp_path, "a.nii.gz", "b.nii.gz")
    assert told(grouped_by_channel(paths, PROSTATE))[0] == {"a": ["a.nii.gz"], "b": ["b.nii.gz"]}


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "cases.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "case,t2w,adc,hbv\np1,a.nii,b.nii,c.nii\n",
        "hbv,age,case,adc,t2w\nc.nii,61,p1,b.nii,a.nii\n",
        "case,channel_0000,channel_0001,channel_0002\np1,a.nii,b.nii,c.nii\n",
        "case;t2w;adc;hbv\r\np1;a.nii;b.nii; c.nii\r\n;;;\r\n\r\n",
        "\ufeffcase,t2w,adc,hbv\np1,a.nii,./b.nii,sub\\..\\c.nii",
    ],
)
def test_a_table_names_a_file_for_each_channel(tmp_path: Path, text: str) -> None:
    touched(tmp_path, "a.nii", "b.nii", "c.nii")
    (tmp_path / "sub").mkdir()
    assert told(read_table(table(tmp_path, text), PROSTATE)) == ({"p1": ["a.nii", "b.nii", "c.nii"]}, {})


def test_a_table_names_files_that_hold_all_channels(tmp_path: Path) -> None:
    touched(tmp_path, "a.nii", "b,c.nii")
    text = f'case,image\np1,{tmp_path / "a.nii"}\np2,"b,c.nii"\n'
    for channels in (["CT"], PROSTATE):
        assert told(read_table(table(tmp_path, text), channels)) == ({"p1": ["a.nii"], "p2": ["b,c.nii"]}, {})


def test_what_is_wrong_in_a_table_is_told_of_each_line(tmp_path: Path) -> None:
    """By the case's name, where it has one."""
    touched(tmp_path, "a.nii", "b.nii")
    lines = ["p1,a.nii,b.nii", "../p2,a.nii,b.nii", "p3,a.nii", "p4,a.nii,gone.nii", "p5,a.nii,a.nii", ",a.nii,b.nii"]
    lines += ["p6,a.nii,b.nii", "p6,b.nii,a.nii", "p7,a.nii,b.nii,c.nii", f"p8,a.nii,{'x' * 5000}"]
    good, failed = told(read_table(table(tmp_path, "\n".join(["case,t2w,adc", *lines])), ["t2w", "adc"]))
    assert good == {"p1": ["a.nii", "b.nii"]}
    missing = "no such file or folder for adc"
    assert failed == {
        "cases.csv, line 3": "a case name must be a plain file name that does not begin with a dot, got '../p2'",
        "p3": "names no file for adc",
        "p4": missing,
        "p5": "names one file for two channels",
        "cases.csv, line 7": "a case name must be a plain file name that does not begin with a dot, got ''",
        "p6": "is one of 2 lines with the same case",
        "p7": "has more cells than columns",
        "p8": missing,
    }


def test_a_line_that_ends_before_its_case(tmp_path: Path) -> None:
    good, failed = told(read_table(table(tmp_path, "image,case\na.nii\n"), ["CT"]))
    assert good == {}
    assert list(failed) == ["cases.csv, line 2"]


@pytest.mark.parametrize(
    ("text", "encoding", "says"),
    [
        ("", "utf-8", "has no column 'case' in its first line"),
        ("p1,a.nii\n", "utf-8", "has no column 'case'"),
        ("case,t2w\np1,a.nii\n", "utf-8", "has no column 'adc'.*Repair: name the columns case, t2w, adc, or case and"),
        ("case,t2w,adc,adc\np1,a,b,c\n", "utf-8", "has two columns 'adc'"),
        ("case,t2w,adc\n,,\n", "utf-8", "lists no case"),
        ("case,t2w,adc\np1,a,b\n", "utf-16", "is no table that can be read"),
        (f"case,t2w,adc\np1,{'x' * 200000},b\n", "utf-8", "is no table that can be read"),
    ],
)
def test_what_is_no_table(tmp_path: Path, text: str, encoding: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_table(table(tmp_path, text, encoding), ["t2w", "adc"])
    with pytest.raises(InputError, match="no such file"):
        read_table(tmp_path / "gone.csv", ["t2w", "adc"])


def linear(grid_affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An image that is a plane function of the position in mm, which linear interpolation keeps."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return (index @ grid_affine[:3, :3].T + grid_affine[:3, 3]) @ (3.0, -2.0, 5.0) + 100


def scan(affine: np.ndarray, shape: tuple[int, ...], case: str = "a") -> Scan:
    return Scan.from_array(linear(affine, shape), affine, case)


def test_one_file_with_all_channels_takes_the_name_of_the_case(save: SaveNifti, ramp: np.ndarray) -> None:
    path = save(np.stack([ramp, -ramp], axis=-1))
    found = read_channels(Case("p1", (path,)), ["t2w", "adc"])
    assert (found.case, found.path, len(found.image), found.findings) == ("p1", path, 2, ())


def test_channels_on_one_grid_are_stacked_as_they_are(tmp_path: Path) -> None:
    images = RNG.normal(size=(3, 4, 5, 6)).astype(np.float32)
    paths = tuple(tmp_path / f"p1_{i:04d}.nii" for i in range(3))
    for path, image in zip(paths, images, strict=True):
        write_image(path, image, OBLIQUE)
    found = read_channels(Case("p1", paths), PROSTATE)
    assert np.array_equal(found.image.numpy(), images)
    assert (found.case, found.path, found.findings) == ("p1", paths[0], ())


@pytest.mark.parametrize(
    ("order", "signs"), list(product(permutations(range(3)), product((1, -1), repeat=3)))[::5], ids=str
)
def test_a_channel_stored_along_other_axes_comes_back_voxel_for_voxel(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    image = RNG.normal(size=(4, 5, 6)).astype(np.float32)
    turned, turn = image.transpose(order), np.eye(4)[:, [*order, 3]]
    for axis in range(3):
        if signs[axis] < 0:
            flip = np.eye(4)
            flip[axis, axis], flip[axis, 3] = -1, turned.shape[axis] - 1
            turned, turn = np.flip(turned, axis), turn @ flip
    first = Scan.from_array(RNG.normal(size=image.shape), OBLIQUE)
    found = on_one_grid("a", [first, Scan.from_array(turned, OBLIQUE @ turn)], ["t2w", "adc"])
    assert np.allclose(found.image[1].numpy(), image, atol=1e-4)
    assert "channel-cut-off" not in {finding.code for finding in found.findings}


def test_a_coarse_oblique_channel_is_resampled_in_mm(tmp_path: Path) -> None:
    """Its grid is turned, its voxels are 2 x 2 x 4 mm, and it reaches beyond the first one on all sides."""
    turn = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    own = np.eye(4)
    own[:3, :3] = turn * (2, 2, 4)
    middle = np.array([5.0, 6.0, 7.0])
    own[:3, 3] = middle - own[:3, :3] @ ((np.array((24, 24, 12)) - 1) / 2)
    first = np.diag([0.5, 0.75, 3.0, 1.0])
    first[:3, 3] = middle - first[:3, :3] @ ((np.array((20, 16, 6)) - 1) / 2) + (3, 0, 4)
    found = on_one_grid("a", [scan(first, (20, 16, 6)), scan(own, (24, 24, 12))], ["t2w", "adc"])
    assert np.allclose(found.image[1].numpy(), linear(first, (20, 16, 6)), atol=2e-3)
    assert [(finding.code, finding.grade) for finding in found.findings] == [("channel-resampled", "note")]
    said = "Channel adc (2 x 2 x 4 mm) was resampled onto the grid of t2w (0.5 x 0.75 x 3 mm); the centres of the two"
    assert found.findings[0].message == f"{said} lie 5 mm apart."


def test_resampling_agrees_with_simpleitk(tmp_path: Path) -> None:
    image = RNG.normal(size=(9, 8, 7)).astype(np.float32)
    own = OBLIQUE.copy()
    own[:3, :3] = np.linalg.qr(OBLIQUE[:3, :3])[0] * (1.1, 0.9, 2.0)
    first = np.diag([-0.8, 0.7, 1.5, 1.0])
    first[:3, 3] = own[:3, :3] @ (4, 4, 3) + own[:3, 3] - first[:3, :3] @ (4, 4, 2)
    write_image(tmp_path / "a.nii", image, own)
    write_image(tmp_path / "b.nii", RNG.normal(size=(9, 9, 5)), first)
    paths = (tmp_path / "b.nii", tmp_path / "a.nii")
    found = read_channels(Case("p1", paths), ["t2w", "adc"])
    reference, moving = (SimpleITK.ReadImage(str(path), SimpleITK.sitkFloat32) for path in paths)
    identity = SimpleITK.Transform()
    expected = SimpleITK.Resample(moving, reference, identity, SimpleITK.sitkLinear, float(image.min()))
    expected_XYZ = SimpleITK.GetArrayFromImage(expected).transpose(2, 1, 0)
    assert np.allclose(found.image[1].numpy(), expected_XYZ, atol=1e-4)


def test_what_a_channel_does_not_show_is_its_lowest_value_and_said() -> None:
    """Hand-drawn: the second channel lacks the last of four columns, and reaches half a voxel beyond its centres."""
    first = scan(np.eye(4), (4, 2, 2))
    image = np.arange(12.0).reshape(3, 2, 2) - 3
    found = on_one_grid("a", [first, Scan.from_array(image, np.eye(4))], ["t2w", "adc"])
    assert np.allclose(found.image[1, :3].numpy(), image, atol=1e-5)
    assert np.array_equal(found.image[1, 3].numpy(), np.full((2, 2), -3.0))
    noticed = found.findings[-1]
    assert (noticed.code, noticed.grade) == ("channel-cut-off", "warn")
    assert noticed.message == "25.00% of the voxels lie outside channel adc and were given its lowest value, -3."
    moved = np.eye(4)
    moved[0, 3] = 0.45
    found = on_one_grid("a", [scan(moved, (3, 2, 2)), Scan.from_array(image, np.eye(4))], ["t2w", "adc"])
    assert np.allclose(found.image[1, 2].numpy(), image[2], atol=1e-5)
    assert len(found.findings) == 1


def test_channels_that_do_not_belong_together_are_refused() -> None:
    away = np.eye(4)
    away[0, 3] = 3
    with pytest.raises(InputError, match="channel adc shows 25% of what t2w shows, at least 50% is needed"):
        on_one_grid("a", [scan(np.eye(4), (4, 2, 2)), scan(away, (4, 2, 2))], ["t2w", "adc"])
    away[0, 3] = 2
    assert on_one_grid("a", [scan(np.eye(4), (4, 2, 2)), scan(away, (4, 2, 2))], ["t2w", "adc"]).findings


def test_a_channel_without_orientation_is_not_moved(save: SaveNifti, ramp: np.ndarray) -> None:
    unplaced = save(name="a.nii", sform=0, qform=0)
    placed = save(name="b.nii", affine=np.diag([-1.0, 1, 1, 1]))
    for paths in ((unplaced, placed), (placed, unplaced)):
        with pytest.raises(InputError, match="cannot be put there, as one of the two does not tell for certain"):
            read_channels(Case("p1", paths), ["t2w", "adc"])
    found = read_channels(Case("p1", (unplaced, unplaced)), ["t2w", "adc"])
    assert not found.oriented
    assert [finding.message.split(":")[0] for finding in found.findings] == ["Channel t2w", "Channel adc"]


def test_files_that_make_no_case(save: SaveNifti, ramp: np.ndarray) -> None:
    one, two = save(name="a.nii"), save(np.stack([ramp, -ramp], axis=-1), "b.nii")
    with pytest.raises(InputError, match=r"b\.nii: has 2 channels itself, as the file of channel adc it must have one"):
        read_channels(Case("p1", (one, two)), ["t2w", "adc"])
    with pytest.raises(InputError, match=r"p1: has 2 files, the model takes 3 channels \(t2w, adc, hbv\)"):
        read_channels(Case("p1", (one, two)), PROSTATE)


def test_a_grid_is_read_from_any_header(save: SaveNifti, tmp_path: Path) -> None:
    image = SimpleITK.ReadImage(str(save(affine=np.diag([-1.0, 2, 3, 1]))))
    for name in ("scan.nii", "a.mha", "a.nrrd"):
        SimpleITK.WriteImage(image, str(tmp_path / name))
        grid = read_image_grid(tmp_path / name)
        assert grid.shape == (4, 5, 6)
        assert np.allclose(grid.affine, read_image(tmp_path / name).grid.affine)
        assert np.allclose(grid.affine, np.diag([-1.0, 2, 3, 1]))
