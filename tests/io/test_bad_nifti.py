"""Each bad file is answered with one line that names the file, the rule and the repair."""

from __future__ import annotations

import gzip
import os
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medswin.errors import InputError
from medswin.io import Scan, read_grid, read_labels, read_nifti
from medswin.io.source import ImageSource

SaveNifti = Callable[..., Path]
RAMP = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
NOISE = np.random.default_rng(0).normal(size=(24, 24, 24)).astype(np.float32)


def refuse(path: Path, rule: str) -> None:
    """Reading ``path`` fails as it should: one line, the file's name first, then our words, and the repair."""
    with pytest.raises(InputError, match=rule) as caught:
        read_nifti(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "Repair: " in text
    assert "\n" not in text
    assert "Traceback" not in text
    assert "nibabel" not in text


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.9, 0.9999])
def test_a_gzip_cut_short_anywhere(save: SaveNifti, tmp_path: Path, share: float) -> None:
    whole = gzip.compress(save(NOISE).read_bytes())
    path = tmp_path / "a.nii.gz"
    path.write_bytes(whole[: int(share * len(whole))])
    refuse(path, "cut short")


@pytest.mark.parametrize("length", [3, 100, 347, 351, 352, 800])
def test_a_plain_file_cut_short(save: SaveNifti, length: int) -> None:
    path = save()
    path.write_bytes(path.read_bytes()[:length])
    refuse(path, "cut short|not a NIfTI")


def test_a_gzip_with_fewer_voxels_than_declared(save: SaveNifti, tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(save(NOISE).read_bytes()[:-100]))
    refuse(path, "is cut short: 24 x 24 x 24 voxels of float32 need 55648 bytes, it has 55548")


def test_a_gzip_with_one_flipped_bit(save: SaveNifti, tmp_path: Path) -> None:
    content = bytearray(gzip.compress(save(NOISE).read_bytes()))
    content[len(content) // 2] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(content)
    refuse(tmp_path / "a.nii.gz", "damaged")


@pytest.mark.parametrize("content", [b"", b"some text\n" * 100, b"\x1f\x8b", b"\x1f\x8bnot gzip at all", b"\0" * 1000])
def test_files_that_are_something_else(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.nii.gz").write_bytes(content)
    refuse(tmp_path / "a.nii.gz", "empty|not a NIfTI|damaged")


def test_a_text_inside_a_gzip(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"hello " * 200))
    refuse(tmp_path / "a.nii.gz", "is not a NIfTI file")


def test_a_pipe_is_refused_before_it_is_opened(tmp_path: Path) -> None:
    """Nobody writes to it: it would be read for ever."""
    os.mkfifo(tmp_path / "a.nii.gz")
    refuse(tmp_path / "a.nii.gz", "is a pipe or a device")
    assert ImageSource("a", "a", (tmp_path / "a.nii.gz",)).digest() is None


def test_missing_files_and_folders(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere.nii.gz", "no such file")
    refuse(tmp_path, "is a folder")


def test_a_scan_of_zeros_that_would_fill_the_memory(save: SaveNifti, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((100, 100, 100), np.uint8)
    values[50, 50, 50] = 1
    plain = save(values)
    packed = plain.with_suffix(".nii.gz")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert read_nifti(packed).image.numpy().shape == (1, 100, 100, 100)  # a small one, which may hold what it likes
    monkeypatch.setattr("medswin.io.header.SMALL", 10**6 - 1)
    refuse(packed, r"bytes unpack to 0\.000931 GiB of voxels, [5-9]\d\d times as much; .* up to 200 times")
    assert read_nifti(plain).image.numpy().shape == (1, 100, 100, 100)
    assert read_grid(packed).shape == (100, 100, 100)
    body = np.zeros((100, 100, 100), np.uint8)
    body[20:50, 30:60, 20:60] = np.random.default_rng(0).integers(0, 255, (30, 30, 40))
    packed.write_bytes(gzip.compress(save(body).read_bytes()))
    assert read_nifti(packed).image.numpy().max() > 0  # much air, and something in it


def test_half_of_a_pair(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Pair(RAMP, np.eye(4)), tmp_path / "a.img")
    refuse(tmp_path / "a.hdr", "half of a .hdr and .img pair")
    refuse(tmp_path / "a.img", "half of an Analyze or NIfTI pair of .hdr and .img. Repair: convert the pair")
    (tmp_path / "a.hdr").unlink()
    refuse(tmp_path / "a.img", "is not a NIfTI file")


@pytest.mark.parametrize(
    ("shape", "rule"),
    [
        ((8,), "is a 2D image of 8;"),
        ((8, 9), "is a 2D image of 8 x 9; a 3D scan is needed"),
        ((8, 9, 1), "is a 2D image of 8 x 9 x 1"),
        ((8, 9, 1, 3), "is a 2D image"),
        ((1, 9, 8), "is a 2D image"),
        ((4, 5, 6, 2, 3), "is a 5D image of 4 x 5 x 6 x 2 x 3"),
        ((4, 5, 6, 1, 2), "is a 5D image"),
    ],
)
def test_other_than_three_axes(tmp_path: Path, shape: tuple[int, ...], rule: str) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    image = nib.Nifti1Image(values, np.eye(4))
    image.header.set_data_shape(shape)
    nib.save(image, tmp_path / "a.nii.gz")
    refuse(tmp_path / "a.nii.gz", rule)


@pytest.mark.parametrize("bad", [{"nan": 3, "inf": 0}, {"nan": 0, "inf": 2}, {"nan": 1, "inf": 4}])
def test_voxels_that_are_not_finite_are_counted(save: SaveNifti, bad: dict[str, int]) -> None:
    values = RAMP.copy()
    values.flat[: bad["nan"]] = np.nan
    values.flat[bad["nan"] : bad["nan"] + bad["inf"]] = -np.inf
    refuse(save(values), f"{bad['nan']} voxels are NaN and {bad['inf']} are infinite, of 120")


def test_voxels_beyond_float32(save: SaveNifti) -> None:
    refuse(save(RAMP.astype(np.float64) * 1e300), "infinite")
    refuse(save(RAMP * np.float32(1e20)), "intensities reach")


@pytest.mark.parametrize("value", [0, 7])
def test_one_value_everywhere(save: SaveNifti, value: int) -> None:
    refuse(save(np.full((4, 5, 6), value, np.int16)), f"every voxel is {value}")


@pytest.mark.parametrize(
    ("pixdim", "rule"),
    [
        ([1, 0, 0, 0], "states no voxel spacing"),
        ([1, 0, 1, 1], r"spacing \(pixdim is 0 x 1 x 1\)"),
        ([1, 1, -1, 1], "above 0 mm"),
        ([1, 1, 1, np.nan], "above 0 mm"),
        ([1, np.inf, 1, 1], "above 0 mm"),
    ],
)
@pytest.mark.parametrize("forms", [(1, 1), (0, 1), (0, 0)])
def test_spacing_that_cannot_be(save: SaveNifti, pixdim: list[float], rule: str, forms: tuple[int, int]) -> None:
    refuse(save(sform=forms[0], qform=forms[1], pixdim=[*pixdim, 0, 0, 0, 0]), rule)


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"srow_x": [0, 0, 0, 0], "srow_y": [0, 0, 0, 0], "srow_z": [0, 0, 0, 0]}, "spacing is 0 x 0 x 0"),
        ({"srow_x": [1, 1, 0, 0], "srow_y": [1, 1, 0, 0]}, "singular"),
        ({"srow_x": [np.nan, 0, 0, 0]}, "finite"),
        ({"scl_slope": 1.0, "scl_inter": np.inf}, "damaged"),
        ({"datatype": 9999}, "damaged"),
        ({"vox_offset": 17}, r"damaged \(vox_offset is 17\)"),
        ({"vox_offset": np.nan}, "damaged"),
        ({"dim": [3, 4, 5, -6, 1, 1, 1, 1]}, "damaged"),
        ({"dim": [300, 4, 5, 6, 1, 1, 1, 1]}, "damaged"),
        ({"dim": [0, 4, 5, 6, 1, 1, 1, 1]}, "damaged"),
        ({"dim": [3, 30000, 30000, 30000, 1, 1, 1, 1]}, "30000 x 30000 x 30000 voxels, at most 2147483648"),
        ({"dim": [3, 1000, 1000, 1000, 1, 1, 1, 1]}, "need 4000000352 bytes, it has 832"),
        ({"vox_offset": 1e9}, "cut short"),
    ],
)
def test_headers_that_cannot_be(save: SaveNifti, fields: dict, rule: str) -> None:
    refuse(save(**fields), rule)
    path = save(**fields)
    (path.parent / "a.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    refuse(path.parent / "a.nii.gz", rule.split(", it has")[0])


def test_a_bent_qform_alone(save: SaveNifti) -> None:
    refuse(save(sform=0, quatern_b=2.0), "no rotation")
    refuse(save(sform=0, quatern_b=np.nan), "finite|no rotation")


def test_colours_and_complex_numbers(save: SaveNifti) -> None:
    colours = [(name, "u1") for name in "RGBA"]
    for kind in (colours[:3], colours):
        refuse(save(np.zeros((4, 5, 6), dtype=kind)), "its voxels are colours")
    for kind in (np.complex64, np.complex128):
        refuse(save(RAMP.astype(kind)), "its voxels are complex numbers")


def test_analyze_files_and_byte_soup(tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(struct.pack("<i", 348) + b"\0" * 1000)
    refuse(tmp_path / "a.nii", "is not a NIfTI file")
    rng = np.random.default_rng(0)
    for _ in range(50):
        (tmp_path / "a.nii").write_bytes(struct.pack("<i", 348) + rng.bytes(340) + b"n+1\0" + rng.bytes(1000))
        with pytest.raises(InputError):
            read_nifti(tmp_path / "a.nii")


def test_any_byte_of_a_header_may_be_wrong(save: SaveNifti) -> None:
    """Whatever is changed in a header, the scan is read or refused with our words; nothing else is raised."""
    path = save(scl_slope=1.0, scl_inter=0.0)
    whole = path.read_bytes()
    for position in range(348):
        path.write_bytes(whole[:position] + bytes([(0, 0x7F, 0xFF)[position % 3]]) + whole[position + 1 :])
        try:
            read_nifti(path)
        except InputError as error:
            assert str(error).startswith(str(path))  # noqa: PT017


class TestLabels:
    """Label maps beside the images they are of."""

    def test_shape_and_place_must_be_those_of_the_image(self, save: SaveNifti) -> None:
        scan = read_nifti(save(name="image.nii"))
        label = save(np.ones((4, 5, 7), np.uint8), "label.nii")
        with pytest.raises(InputError, match=r"label\.nii: does not lie .* its shape is 4 x 5 x 7, not 4 x 5 x 6"):
            read_labels(label, like=scan)
        moved = np.eye(4)
        moved[0, 3] = 30
        label = save(np.ones((4, 5, 6), np.uint8), "label.nii", moved)
        with pytest.raises(InputError, match=r"up to 30 mm away.*Repair: resample"):
            read_labels(label, like=scan)
        with pytest.raises(InputError, match="up to 30 mm"):
            read_labels(label, like=read_grid(scan.path))
        assert read_labels(save(np.ones((4, 5, 6), np.uint8), "label.nii"), like=scan).all()

    def test_foreign_values_are_named(self, save: SaveNifti) -> None:
        labels = np.zeros((4, 5, 6), np.int16)
        labels[0, 0, :3] = (1, 4, 9)
        path = save(labels)
        with pytest.raises(InputError, match="holds the values 4, 9, which are none of 0, 1, 2"):
            read_labels(path, values=range(3))
        assert sorted(set(read_labels(path).ravel())) == [0, 1, 4, 9]

    @pytest.mark.parametrize(
        ("value", "rule"),
        [(0.5, "1 voxels are not whole numbers, for example 0.5"), (np.nan, "for example nan"), (np.inf, "whole"),
         (-1, "-1 to 0, labels are 0 to 255"), (300, "0 to 300"), (1e30, "labels are 0 to 255")],
    )  # fmt: skip
    def test_values_that_are_no_labels(self, save: SaveNifti, value: float, rule: str) -> None:
        labels = np.zeros((4, 5, 6), np.float32)
        labels[1, 2, 3] = value
        with pytest.raises(InputError, match=rule):
            read_labels(save(labels))

    def test_labels_with_a_scale_and_an_empty_map_are_fine(self, save: SaveNifti) -> None:
        stored = (np.arange(120).reshape(4, 5, 6) % 3 * 16383).astype(np.int16)
        path = save(stored, scl_slope=2 / 32767, scl_inter=0)  # as savers write float labels: 1 comes back as 0.99997
        assert np.array_equal(read_labels(path), np.arange(120).reshape(4, 5, 6) % 3)
        assert not read_labels(save(np.zeros((4, 5, 6), np.uint8))).any()

    def test_channels_are_refused_and_a_fourth_axis_of_one_is_not(self, save: SaveNifti) -> None:
        with pytest.raises(InputError, match="is a 4D image of 4 x 5 x 6 x 2, a label map is 3D"):
            read_labels(save(np.ones((4, 5, 6, 2), np.uint8)))
        assert read_labels(save(np.ones((4, 5, 6, 1), np.uint8))).shape == (4, 5, 6)

    def test_a_map_that_unpacks_to_far_more_than_its_file_is_refused(
        self, save: SaveNifti, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Only where it is large; what lies elsewhere is refused by its header."""
        plain = save(np.zeros((100, 100, 100), np.uint8))
        path = plain.with_suffix(".nii.gz")
        path.write_bytes(gzip.compress(plain.read_bytes()))
        monkeypatch.setattr("medswin.io.header.SMALL", 2**19)  # of scans
        assert not read_labels(path).any()
        monkeypatch.setattr("medswin.io.nifti.SMALL_MAP", 2**19)
        assert not read_labels(plain).any()
        for like in (None, read_grid(path)):
            with pytest.raises(InputError, match=r"times as much; .* up to 200 times. Repair: save it uncompressed"):
                read_labels(path, like=like)
        monkeypatch.setattr("medswin.io.nifti.read_voxels", None)
        small = Scan.from_array(np.arange(27.0).reshape(3, 3, 3), np.eye(4))
        with pytest.raises(InputError, match="its shape is 100 x 100 x 100, not 3 x 3 x 3"):
            read_labels(path, like=small)
