"""Scans of every lawful kind come in with the values and the place that they have."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
from itertools import permutations, product
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.data import MetaTensor
from scipy.spatial.transform import Rotation

from medswin.errors import InputError
from medswin.io import Scan, case_name, find_scans, read_grid, read_labels, read_nifti, write_image, write_labels

SaveNifti = Callable[..., Path]
OBLIQUE = np.array([[0.9, -0.4, 0, -20], [0.3, 1.2, 0, 5], [0, 0, 3, 7], [0, 0, 0, 1]])
TYPES = [f"{order}{kind}" for order in "<>" for kind in ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")]


def codes(scan: Scan) -> list[str]:
    return [finding.code for finding in scan.findings]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_any_type_and_byte_order(tmp_path: Path, ramp: np.ndarray, dtype: str, name: str) -> None:
    header = nib.Nifti1Header(endianness=dtype[0])
    image = nib.Nifti1Image(ramp.astype(dtype), OBLIQUE, header, dtype=np.dtype(dtype))
    nib.save(image, tmp_path / name)
    scan = read_nifti(tmp_path / name)
    assert scan.image.dtype == torch.float32
    assert np.array_equal(scan.image.numpy(), ramp[None])
    assert scan.case == "scan"
    assert scan.path == tmp_path / name


@pytest.mark.parametrize("order", "<>")
def test_nifti_2(tmp_path: Path, ramp: np.ndarray, order: str) -> None:
    nib.save(nib.Nifti2Image(ramp, OBLIQUE, nib.Nifti2Header(endianness=order)), tmp_path / "a.nii.gz")
    scan = read_nifti(tmp_path / "a.nii.gz")
    assert np.array_equal(scan.image[0].numpy(), ramp)
    assert np.array_equal(scan.image.affine.numpy(), OBLIQUE)  # NIfTI-2 stores float64


def test_what_is_compressed_is_seen_by_its_content(save: SaveNifti, tmp_path: Path, ramp: np.ndarray) -> None:
    plain = save(name="a.nii.gz")
    (tmp_path / "b.nii").write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, tmp_path / "b.nii"):
        assert np.array_equal(read_nifti(path).image[0].numpy(), ramp)


def test_scales_are_applied(save: SaveNifti, ramp: np.ndarray) -> None:
    scan = read_nifti(save(ramp.astype(np.int16), scl_slope=0.5, scl_inter=-1024))
    assert np.array_equal(scan.image[0].numpy(), ramp * 0.5 - 1024)


@pytest.mark.parametrize(
    ("slope", "noticed"),
    [(0.0, []), (np.nan, ["scale-unreadable"]), (np.inf, ["scale-unreadable"]), (-np.inf, ["scale-unreadable"])],
)
def test_a_slope_of_zero_means_no_scale_and_one_that_is_no_number_is_said(
    save: SaveNifti, ramp: np.ndarray, slope: float, noticed: list[str]
) -> None:
    scan = read_nifti(save(ramp.astype(np.int16), scl_slope=slope, scl_inter=7))
    assert np.array_equal(scan.image[0].numpy(), ramp)
    assert codes(scan) == noticed


def test_more_slices_than_are_scaled_at_once(save: SaveNifti) -> None:
    values = np.random.default_rng(0).integers(0, 1000, (3, 2, 37)).astype(np.int16)
    scan = read_nifti(save(values, scl_slope=2.0, scl_inter=1.0))
    assert np.array_equal(scan.image[0].numpy(), values * 2.0 + 1)


def test_a_fourth_axis_of_one_goes_and_others_become_channels(save: SaveNifti, ramp: np.ndarray) -> None:
    assert read_nifti(save(ramp[..., None], "one.nii")).image.shape == (1, 4, 5, 6)
    scan = read_nifti(save(np.stack([ramp, -ramp, ramp * 2], axis=-1), "three.nii"))
    assert np.array_equal(scan.image.numpy(), np.stack([ramp, -ramp, ramp * 2]))
    assert scan.shape == (4, 5, 6)


def test_a_channel_that_is_the_same_everywhere_is_noticed(save: SaveNifti, ramp: np.ndarray) -> None:
    scan = read_nifti(save(np.stack([ramp, np.zeros_like(ramp)], axis=-1)))
    assert codes(scan) == ["constant-channel"]
    assert "Channel 1 " in scan.findings[0].message


@pytest.mark.parametrize("axes", [(1,), (1, 1), (1, 1, 1, 1), (2, 1), (2, 1, 1, 1)])
def test_axes_of_one_voxel_at_the_end_are_none(save: SaveNifti, axes: tuple[int, ...]) -> None:
    values = np.arange(120 * axes[0], dtype=np.float32).reshape(4, 5, 6, axes[0])
    dim = [3 + len(axes), 4, 5, 6, *axes, *[1] * (4 - len(axes))]
    assert np.array_equal(read_nifti(save(values, dim=dim)).image.numpy(), np.moveaxis(values, -1, 0))


@pytest.mark.parametrize(("sform", "qform"), [(1, 1), (2, 0), (0, 1), (0, 3), (4, 4)])
def test_sform_or_qform_places_an_oblique_scan(save: SaveNifti, sform: int, qform: int) -> None:
    rigid = OBLIQUE.copy()
    rigid[:3, :3] = np.linalg.qr(OBLIQUE[:3, :3])[0] @ np.diag([1.0, 1.5, 3.0])  # a qform holds no shear
    scan = read_nifti(save(affine=rigid, sform=sform, qform=qform))
    assert scan.findings == ()
    assert scan.oriented
    assert np.allclose(scan.image.affine.numpy(), rigid, atol=1e-5)
    assert scan.image.affine.dtype == torch.float64


def test_neither_form_is_said_and_laid_out_as_nibabel_does(save: SaveNifti, ramp: np.ndarray) -> None:
    for array in (ramp, ramp[..., None]):
        path = save(array, affine=np.diag([1.0, 2.0, 3.0, 1.0]), sform=0, qform=0)
        scan = read_nifti(path)
        assert codes(scan) == ["no-orientation"]
        assert scan.findings[0].grade == "warn"
        assert not scan.oriented
        assert np.array_equal(scan.image.affine.numpy(), nib.load(path).affine)
        assert scan.spacing_mm == (1.0, 2.0, 3.0)


def test_forms_that_disagree_are_said_and_the_sform_counts(tmp_path: Path, ramp: np.ndarray) -> None:
    image = nib.Nifti1Image(ramp, np.eye(4))
    image.set_qform(np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]), 1)
    image.set_sform(np.eye(4), 1)
    nib.save(image, tmp_path / "a.nii")
    scan = read_nifti(tmp_path / "a.nii")
    assert codes(scan) == ["forms-disagree"]
    assert scan.oriented
    assert "mm apart" in scan.findings[0].message
    assert np.array_equal(scan.image.affine.numpy(), np.eye(4))


@pytest.mark.parametrize("signs", [(-1, 1, 1), (1, -1, 1), (-1, -1, 1), (-1, -1, -1)], ids=str)
def test_forms_that_contradict_each_other_on_sides_are_said(
    tmp_path: Path, ramp: np.ndarray, signs: tuple[int, int, int]
) -> None:
    """One is the mirror image of the other, or turned half round so that right points the other way."""
    image = nib.Nifti1Image(ramp, np.eye(4))
    image.set_qform(np.diag([*signs, 1.0]), 1)
    image.set_sform(np.eye(4), 1)
    nib.save(image, tmp_path / "a.nii")
    scan = read_nifti(tmp_path / "a.nii")
    assert codes(scan) == ["sides-contradict"]
    assert not scan.oriented
    assert "left and right" in scan.findings[0].message


def test_a_qform_that_is_no_rotation_is_said_beside_a_good_sform(save: SaveNifti) -> None:
    scan = read_nifti(save(quatern_b=2.0))
    assert codes(scan) == ["forms-disagree"]
    assert "no rotation" in scan.findings[0].message


@pytest.mark.parametrize(
    ("qfac", "counts_as", "noticed"),
    [
        (1, 1, []),
        (-1, -1, []),
        (0, 1, []),  # by the standard
        (7, 1, ["odd-qfac"]),
        (-3, -1, ["sides-contradict"]),  # as the standard's library does; nibabel takes it for 1
        (np.nan, 1, ["sides-contradict"]),
    ],
)
def test_what_a_qfac_counts_as(save: SaveNifti, qfac: float, counts_as: int, noticed: list[str]) -> None:
    path = save(sform=0, pixdim=[qfac, 1, 1, 1, 0, 0, 0, 0])
    scan = read_nifti(path)
    assert np.array_equal(scan.image.affine.numpy(), np.diag([1.0, 1, counts_as, 1]))
    assert codes(scan) == noticed
    direction = SimpleITK.ReadImage(str(path)).GetDirection()
    assert np.allclose(np.diag(np.reshape(direction, (3, 3))), (-1, -1, counts_as))
    assert codes(read_nifti(save(pixdim=[qfac, 1, 1, 1, 0, 0, 0, 0])))[:1] == (["sides-contradict"] if qfac < 0 else [])


@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)), ids=str)
@pytest.mark.parametrize("forms", [(1, 0), (0, 1), (1, 1)], ids=str)
def test_mirrored_axes_keep_their_place(
    save: SaveNifti, ramp: np.ndarray, signs: tuple[int, ...], forms: tuple[int, int]
) -> None:
    """Half of these have a negative determinant, which a qform says by its qfac."""
    affine = np.diag([*(np.array(signs) * (1, 2, 3)), 1.0])
    affine[:3, 3] = (4, 5, 6)
    scan = read_nifti(save(affine=affine, sform=forms[0], qform=forms[1]))
    assert np.allclose(scan.image.affine.numpy(), affine, atol=1e-6)
    assert np.array_equal(scan.image[0].numpy(), ramp)
    assert scan.findings == ()


def test_spacing_other_than_the_sform_says_and_units_other_than_mm_are_noticed(save: SaveNifti) -> None:
    scan = read_nifti(save(qform=0, pixdim=[1, 1, 1, 2, 0, 0, 0, 0]))
    assert codes(scan) == ["spacing-disagrees"]
    assert scan.spacing_mm == (1.0, 1.0, 1.0)
    assert codes(read_nifti(save(xyzt_units=3))) == ["unit-not-mm"]
    assert codes(read_nifti(save(xyzt_units=2 + 8))) == []


def test_bytes_after_the_voxels_are_noticed(save: SaveNifti, tmp_path: Path, ramp: np.ndarray) -> None:
    path = save()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(path.read_bytes() + b"more"))
    scan = read_nifti(tmp_path / "b.nii.gz")
    assert codes(scan) == ["bytes-left-over"]
    assert np.array_equal(scan.image[0].numpy(), ramp)


def test_extensions_before_the_voxels_are_skipped(tmp_path: Path, ramp: np.ndarray) -> None:
    image = nib.Nifti1Image(ramp, np.eye(4))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 100))
    nib.save(image, tmp_path / "a.nii.gz")
    assert np.array_equal(read_nifti(tmp_path / "a.nii.gz").image[0].numpy(), ramp)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("a.nii.gz", "a"), ("a.NII.GZ", "a"), ("a.nii", "a"), ("a.b.nii.gz", "a.b"), ("a.mha", "a"), ("a", "a"),
        ("hippocampus_001_0000.nii.gz", "hippocampus_001_0000"), (".nii.gz", ".nii.gz"),
    ],
)  # fmt: skip
def test_case_names(name: str, case: str) -> None:
    assert case_name(Path("some.folder") / name) == case


def test_scans_of_a_folder_are_sorted_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b.nii", "a.nii.gz", "C.NII.GZ", "._a.nii.gz", ".tmp-1-a.nii.gz", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "link.nii").symlink_to(tmp_path / "gone.nii")
    (tmp_path / "loop.nii").symlink_to(tmp_path / "loop.nii")
    found = ["C.NII.GZ", "a.nii.gz", "b.nii", "folder.nii", "link.nii", "loop.nii"]
    assert [p.name for p in find_scans(tmp_path)] == found
    assert find_scans(tmp_path / "notes.txt") == [tmp_path / "notes.txt"]


@pytest.mark.parametrize(("name", "rule"), [("nowhere", "no such file or folder"), ("", r"no \.nii or \.nii\.gz file")])
def test_folders_without_scans_are_refused(tmp_path: Path, name: str, rule: str) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=rule):
        find_scans(tmp_path / name)


def test_the_folder_of_a_data_set_names_that_of_its_scans(tmp_path: Path) -> None:
    for name in ("imagesTr", "imagesTs"):
        (tmp_path / name).mkdir()
    (tmp_path / "imagesTs" / "a.nii.gz").touch()
    with pytest.raises(InputError) as caught:
        find_scans(tmp_path)
    assert caught.value.repair == f"name {tmp_path / 'imagesTs'}"


@st.composite
def oblique(draw: st.DrawFn) -> np.ndarray:
    """An affine at right angles: turned about three axes, with another spacing along each."""
    angles = [draw(st.floats(-180, 180)) for _ in range(3)]
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn * [draw(st.floats(0.3, 6)) for _ in range(3)]
    affine[:3, 3] = [draw(st.floats(-300, 300)) for _ in range(3)]
    return affine


def check_places(labels: np.ndarray, affine: np.ndarray, expected: np.ndarray, expected_affine: np.ndarray) -> None:
    """Each voxel's position in mm is that of a voxel of ``expected``, which has the same label."""
    index = np.stack(np.meshgrid(*map(np.arange, labels.shape), indexing="ij"), axis=-1)
    back = np.linalg.inv(expected_affine) @ affine
    place = index @ back[:3, :3].T + back[:3, 3]
    assert np.abs(place - np.rint(place)).max() < 0.01
    assert np.array_equal(expected[tuple(np.moveaxis(np.rint(place).astype(int), -1, 0))], labels)


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)), ids=str)
@settings(max_examples=5, deadline=None)
@given(affine=oblique(), seed=st.integers(0, 99))
def test_any_order_and_flip_of_the_axes_keeps_every_voxel_in_its_place(
    signs: tuple[int, ...], order: tuple[int, ...], affine: np.ndarray, seed: int
) -> None:
    labels = np.random.default_rng(seed).integers(0, 256, (3, 4, 5)).astype(np.uint8)
    stored = labels.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    turned = affine[:, [*order, 3]]
    for axis in range(3):
        if signs[axis] < 0:
            turned[:3, 3] += turned[:3, axis] * (stored.shape[axis] - 1)
            turned[:3, axis] *= -1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nii"
        write_labels(path, stored, turned)
        check_places(read_labels(path), read_grid(path).affine, labels, affine)
        image = SimpleITK.ReadImage(str(path))
        seen = np.eye(4)
        seen[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        seen[:3, 3] = image.GetOrigin()
        check_places(SimpleITK.GetArrayFromImage(image).T, np.diag([-1, -1, 1, 1]) @ seen, labels, affine)


def entries(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Any usable affine that float32 can hold: oblique, flipped, sheared."""
    matrix = np.eye(4)
    matrix[:3] = draw(hnp.arrays(np.float32, (3, 4), elements=entries(-16, 16)))
    sides = np.linalg.norm(matrix[:3, :3], axis=0)
    if sides.min() < 0.1 or abs(np.linalg.det(matrix[:3, :3] / np.maximum(sides, 0.1))) < 0.01:
        matrix[:3, :3] = np.diag([2.0, -1.0, 0.5])
    return matrix


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=6)), affines())
def test_label_maps_come_back_voxel_for_voxel(labels: np.ndarray, affine: np.ndarray) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nii.gz"
        write_labels(path, labels, affine)
        assert np.array_equal(read_labels(path), labels)
        assert np.array_equal(read_grid(path).affine, affine)
        assert np.array_equal(nib.load(path).affine, affine)


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float32, (2, 3, 4, 5), elements=st.floats(-1e6, 1e6, width=32), fill=st.nothing()), affines())
def test_images_come_back_voxel_for_voxel(image: np.ndarray, affine: np.ndarray) -> None:
    image[0, 0, 0, 0], image[0, 0, 0, 1] = 1, 2  # not the same everywhere
    with tempfile.TemporaryDirectory() as folder:
        write_image(Path(folder) / "a.nii", image, affine)
        scan = read_nifti(Path(folder) / "a.nii")
        assert np.array_equal(scan.image.numpy(), image)
        assert np.array_equal(scan.image.affine.numpy(), affine)
        assert set(codes(scan)) <= {"constant-channel"}


def test_written_headers_say_where_and_nothing_else(tmp_path: Path) -> None:
    labels = np.zeros((4, 5, 6), np.uint8)
    rigid = np.diag([-1.0, 1.5, 3.0, 1.0])
    for name in ("a.nii.gz", "b.nii.gz"):
        write_labels(tmp_path / name, labels, rigid)
    header = nib.load(tmp_path / "a.nii.gz").header
    assert header.get_data_dtype() == np.uint8
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert np.array_equal(header.get_qform(), rigid)
    assert header.get_xyzt_units()[0] == "mm"
    texts = {name: header[name].item() for name in ("descrip", "aux_file", "intent_name", "db_name", "data_type")}
    assert set(texts.values()) == {b""}
    # No name and no time inside: the same labels are the same bytes.
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_sheared_affine_is_left_to_the_sform(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.5
    write_labels(tmp_path / "a.nii", np.ones((4, 5, 6), np.uint8), sheared)
    header = nib.load(tmp_path / "a.nii").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)
    assert np.array_equal(read_grid(tmp_path / "a.nii").affine, sheared)


def test_labels_of_a_scan_without_orientation_have_none(save: SaveNifti, tmp_path: Path) -> None:
    scan = read_nifti(save(affine=np.diag([1.0, 2.0, 3.0, 1.0]), sform=0, qform=0))
    labels = (scan.image[0].numpy() > 50).astype(np.uint8)
    write_labels(tmp_path / "labels.nii.gz", labels, scan.image.affine.numpy(), oriented=False)
    header = nib.load(tmp_path / "labels.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)
    assert np.array_equal(read_labels(tmp_path / "labels.nii.gz", like=scan), labels)


def test_an_affine_that_cannot_go_without_forms_gets_them(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.nii", np.ones((4, 5, 6), np.uint8), np.eye(4), oriented=False)
    assert np.array_equal(read_grid(tmp_path / "a.nii").affine, np.eye(4))


@pytest.mark.parametrize(
    ("labels", "name", "rule"),
    [
        (np.zeros((4, 5)), "a.nii", "no label map"),
        (np.zeros((4, 5, 6), complex), "a.nii", "no label map"),
        (np.full((4, 5, 6), 256), "a.nii", "0 to 255"),
        (np.full((4, 5, 6), 0.5), "a.nii", "120 voxels are not whole numbers, for example 0.5"),
        (np.zeros((4, 5, 0), np.uint8), "a.nii", "cannot hold 4 x 5 x 0"),
        (np.zeros((4, 5, 6), np.uint8), "a.mha", "ends in"),
    ],
)
def test_what_is_no_label_map_is_not_written(tmp_path: Path, labels: np.ndarray, name: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        write_labels(tmp_path / name, labels, np.eye(4))
    assert list(tmp_path.iterdir()) == []


def test_scans_from_arrays(ramp: np.ndarray) -> None:
    plain = Scan.from_array(ramp)
    assert (plain.case, plain.shape, codes(plain)) == ("array", (4, 5, 6), ["no-orientation"])
    placed = Scan.from_array(np.stack([ramp, ramp]), np.diag([-2.0, 1, 3, 1]), case="mine")
    assert (placed.case, placed.image.shape, placed.findings) == ("mine", (2, 4, 5, 6), ())
    assert placed.voxel_mm == (2.0, 1.0, 3.0)
    meta = Scan.from_array(MetaTensor(torch.from_numpy(ramp[None]), affine=torch.diag(torch.tensor([3.0, 1, 1, 1]))))
    assert (meta.voxel_mm, meta.findings) == ((3.0, 1.0, 1.0), ())


def test_a_scan_does_not_share_memory_with_its_array(ramp: np.ndarray) -> None:
    scan = Scan.from_array(ramp, np.eye(4))
    ramp[:] = 0
    assert scan.image.max() == 119


@pytest.mark.parametrize(
    ("array", "rule"),
    [
        (np.zeros((4, 5)), "no scan"),
        (np.zeros((4, 5, 1)), "no scan"),
        (np.zeros((1, 1, 4, 5, 6)), "no scan"),
        (np.zeros((4, 5, 6)), "every voxel is 0"),
        (np.zeros((4, 5, 6), complex), "no scan"),
        (np.array([[["a"]]]), "no scan"),
        (np.full((4, 5, 6), np.nan), "120 voxels are NaN"),
    ],
)
def test_arrays_that_are_no_scan_are_refused(array: np.ndarray, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        Scan.from_array(array)
