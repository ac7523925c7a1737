"""MetaImage and NRRD: the voxels and places that NIfTI gives, and refusals where SimpleITK would guess."""

from __future__ import annotations

import os
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from medswin.errors import InputError
from medswin.io import Scan, read_nifti
from medswin.io.itk import read_itk, read_itk_grid
from medswin.io.itk_fields import SUFFIXES

RAMP = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)  # (X, Y, Z)
NOISE = np.random.default_rng(0).integers(0, 1000, (12, 13, 14)).astype(np.int16)
TURN = np.linalg.qr(np.array([[0.9, -0.4, 0.1], [0.3, 1.2, 0], [0, 0.2, 3]]))[0]
META = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
TransformMatrix = 1 0 0 0 1 0 0 0 1
ElementSpacing = 1 2 3
DimSize = 4 5 6
ElementType = MET_SHORT
ElementDataFile = LOCAL
"""
NRRD = """NRRD0004
type: short
dimension: 3
space: left-posterior-superior
sizes: 4 5 6
space directions: (1,0,0) (0,2,0) (0,0,3)
endian: little
encoding: raw

"""
UNPLACED = ((-1, -2, 3), ["no-orientation"])
VOXELS = RAMP.tobytes(order="F")


def saved(path: Path, array: np.ndarray = RAMP, turn: np.ndarray = TURN, packed: bool = False) -> Path:
    """(X, Y, Z) or (X, Y, Z, C), written by SimpleITK at 1.5 x 0.5 x 3 mm."""
    vectors = array.ndim == 4
    image = SimpleITK.GetImageFromArray(np.swapaxes(array, 0, 2), isVector=vectors)
    image.SetSpacing((1.5, 0.5, 3.0))
    image.SetOrigin((5, -6, 7))
    image.SetDirection(turn.ravel().tolist())
    SimpleITK.WriteImage(image, str(path), packed)
    return path


def bent(folder: Path, text: str, *changes: tuple[str, str], voxels: bytes = VOXELS) -> Path:
    """A header, in which some texts are replaced, with its voxels."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / ("bent.nrrd" if text.startswith("NRRD") else "bent.mha")
    path.write_bytes(text.encode("latin-1") + voxels)
    return path


def codes(scan: Scan) -> list[str]:
    return [finding.code for finding in scan.findings]


def refuse(path: Path, rule: str) -> None:
    with pytest.raises(InputError, match=rule) as caught:
        read_itk(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "Repair: " in text
    assert "\n" not in text
    assert "ITK" not in text
    assert "itk::" not in text


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("flip", [1, -1])
def test_the_same_image_as_nifti_is_the_same_scan(tmp_path: Path, suffix: str, packed: bool, flip: int) -> None:
    turn = TURN * (1, flip, 1)
    scan = read_itk(saved(tmp_path / f"a{suffix}", turn=turn, packed=packed))
    twin = read_nifti(saved(tmp_path / "a.nii", turn=turn))
    assert (scan.case, scan.path, scan.findings) == ("a", tmp_path / f"a{suffix}", ())
    assert np.array_equal(scan.image.numpy(), twin.image.numpy())
    assert np.allclose(scan.image.affine.numpy(), twin.image.affine.numpy(), atol=1e-5)
    assert np.array_equal(scan.image[0].numpy(), RAMP)
    assert np.array_equal(read_itk_grid(scan.path).affine, scan.grid.affine)


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_any_type(tmp_path: Path, suffix: str, dtype: str) -> None:
    scan = read_itk(saved(tmp_path / f"a{suffix}", RAMP.astype(dtype)))
    assert np.array_equal(scan.image[0].numpy(), RAMP)
    assert scan.findings == ()


@pytest.mark.parametrize("text", [META, NRRD])
def test_big_endian(tmp_path: Path, text: str) -> None:
    change = ("MSB = False", "MSB = True") if text == META else ("little", "big")
    scan = read_itk(bent(tmp_path, text, change, voxels=RAMP.astype(">i2").tobytes(order="F")))
    assert np.array_equal(scan.image[0].numpy(), RAMP)


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_vectors_become_channels(tmp_path: Path, suffix: str, channels: int) -> None:
    image = np.stack([RAMP * (i + 1) for i in range(channels)], axis=-1).astype(np.float32)
    scan = read_itk(saved(tmp_path / f"a{suffix}", image))
    assert np.array_equal(scan.image.numpy(), np.moveaxis(image, -1, 0))


def test_a_list_of_volumes_in_an_nrrd_becomes_channels(tmp_path: Path) -> None:
    changes = [("dimension: 3", "dimension: 4"), ("sizes: 4 5 6", "sizes: 4 5 6 2\nkinds: domain domain domain list")]
    changes += [("(0,0,3)", "(0,0,3) none")]
    scan = read_itk(bent(tmp_path, NRRD, *changes, voxels=VOXELS + (RAMP * 2).tobytes(order="F")))
    assert np.array_equal(scan.image.numpy(), np.stack([RAMP, RAMP * 2]))


@pytest.mark.parametrize("text", [META, NRRD])
def test_lps_becomes_ras(tmp_path: Path, text: str) -> None:
    scan = read_itk(bent(tmp_path, text))
    assert np.array_equal(scan.image.affine.numpy(), np.diag([-1.0, -2.0, 3.0, 1.0]))
    assert scan.findings == ()


@pytest.mark.parametrize(
    ("text", "change", "expected"),
    [
        (NRRD, ("left-posterior-superior", "right-anterior-superior"), ((1, 2, 3), [])),
        (NRRD, ("left-posterior-superior", "LAS"), ((-1, 2, 3), [])),
        (NRRD, ("left-posterior-superior", "scanner-xyz"), UNPLACED),
        (NRRD, ("space: left-posterior-superior", "space dimension: 3"), UNPLACED),
        (
            NRRD,
            ("space: left-posterior-superior\nsizes: 4 5 6\nspace directions: (1,0,0) (0,2,0) (0,0,3)",
             "sizes: 4 5 6\nspacings: 1 2 3"),
            UNPLACED,
        ),
        (NRRD, ("endian", 'space units: "mm" "mm" "mm"\nendian'), ((-1, -2, 3), [])),
        (NRRD, ("endian", 'space units: "cm" "cm" "cm"\nendian'), ((-1, -2, 3), ["unit-not-mm"])),
        (NRRD, ("type", "# a comment\nkey:=value: 3\ntype"), ((-1, -2, 3), [])),
        (META, ("TransformMatrix = 1 0 0 0 1 0 0 0 1\n", ""), UNPLACED),
        (META, ("TransformMatrix = 1 0 0 0 1 0 0 0 1", "AnatomicalOrientation = RAI"), ((-1, -2, 3), [])),
        (META, ("TransformMatrix = 1 0 0 0 1 0 0 0 1", "AnatomicalOrientation = ???"), UNPLACED),
        (META, ("TransformMatrix = 1 0 0", "TransformMatrix = -1 0 0"), ((1, -2, 3), [])),
        (META, ("ElementSpacing", "ElementSize"), ((-1, -2, 3), [])),
        (META, ("NDims", "Comment = x = y\nComment = z\n0008|0060 = MR\nNDims"), ((-1, -2, 3), [])),
    ],
)  # fmt: skip
def test_headers_that_say_less_or_other_than_usual(
    tmp_path: Path, text: str, change: tuple[str, str], expected: tuple[tuple[float, ...], list[str]]
) -> None:
    scan = read_itk(bent(tmp_path, text, change))
    assert np.array_equal(scan.image.affine.numpy(), np.diag([*expected[0], 1.0]))
    assert codes(scan) == expected[1]
    assert scan.oriented == (expected[1] != ["no-orientation"])
    assert np.array_equal(scan.image[0].numpy(), RAMP)


@pytest.mark.parametrize(
    ("text", "change", "rule"),
    [
        (META, ("ElementSpacing = 1 2 3\n", ""), "states no voxel spacing"),  # ITK: 1 mm
        (META, ("ElementSpacing = 1 2 3", "ElementSpacing = 1 0 3"), r"spacing \(1 x 0 x 3\), each side"),
        (META, ("ElementSpacing = 1 2 3", "ElementSpacing = -1 2 3"), r"spacing \(-1 x 2 x 3\)"),  # ITK: a flip
        (META, ("ElementSpacing = 1 2 3", "ElementSpacing = 1 nan 3"), r"spacing \(1 x nan x 3\)"),
        (META, ("ElementSpacing = 1 2 3", "ElementSpacing = 1 2 x"), "a number is none"),
        (META, ("TransformMatrix = 1 0 0", "TransformMatrix = 2 0 0"), "not of length 1"),  # ITK: twice the spacing
        (META, ("TransformMatrix = 1 0 0", "TransformMatrix = 0 0 0"), "not of length 1"),
        (META, ("TransformMatrix = 1 0 0 0 1 0", "TransformMatrix = 1 0 0 1 0 0"), "affine"),
        (META, ("NDims = 3", "NDims = 2"), "is a 2D image of 4 x 5;"),
        (META, ("DimSize = 4 5 6", "DimSize = 4 30 1"), "is a 2D image of 4 x 30 x 1;"),
        (META, ("DimSize = 4 5 6", "DimSize = 4 5 -6"), "sizes must be whole numbers"),
        (META, ("DimSize = 4 5 6", "DimSize = 30000 30000 30000"), "at most 2147483648 can be used"),
        (META, ("DimSize = 4 5 6", "DimSize = 1000 1000 1000"), "cut short.*need 2000000000 bytes"),
        (META, ("DimSize = 4 5 6", "DimSize = 4 5 7"), "cut short: 4 x 5 x 7 voxels need 280 bytes"),
        (META, ("NDims = 3\n", ""), "is not a MetaImage file"),
        (META, ("NDims = 3", "NDims = 3\nDimSize = 4 5 6"), "a line that names no field, or one again"),
        (META, ("NDims = 3", "NDims = 3\nElementDataFile\n= LOCAL"), "a line that names no field"),
        (META, ("ElementDataFile = LOCAL\n", ""), "damaged|not a MetaImage"),
        (META, ("BinaryData = True", "BinaryData = False"), "cut short or damaged|intensities|there is no image"),
        (NRRD, ("sizes: 4 5 6", "sizes: 4 5 7"), "cut short"),
        (NRRD, ("sizes: 4 5 6", "sizes: 4 5 0"), "sizes must be"),
        (NRRD, ("sizes: 4 5 6", "sizes: 40000 50000 60000"), "at most 2147483648"),
        (NRRD, ("space directions: (1,0,0) (0,2,0) (0,0,3)\n", ""), "states no voxel spacing"),
        (NRRD, ("(0,0,3)", "(0,0,0)"), "4 x 4 finite numbers. Repair: correct the header, or"),
        (NRRD, ("(0,0,3)", "(0,0,nan)"), "affine|damaged"),
        (NRRD, ("(0,0,3)", "(0,2,0)"), "affine"),
        (NRRD, ("endian: little\n", ""), "header is damaged"),
        (NRRD, ("raw", "bzip2"), "damaged"),
        (NRRD, ("raw", "gzip"), "damaged"),
        (NRRD, ("endian", "kinds: RGB-color domain domain\nendian"), "colours or tensors"),
        (NRRD, ("endian", "kinds: domain domain 3D-symmetric-matrix\nendian"), "colours or tensors"),
    ],
)  # fmt: skip
def test_headers_that_cannot_be_right(tmp_path: Path, text: str, change: tuple[str, str], rule: str) -> None:
    refuse(bent(tmp_path, text, change), rule)


def test_spacings_without_directions_must_be_whole(tmp_path: Path) -> None:
    old = "space: left-posterior-superior\nsizes: 4 5 6\nspace directions: (1,0,0) (0,2,0) (0,0,3)"
    for spacing, rule in (("1 2 -3", "1 x 2 x -3"), ("1 2 NaN", "1 x 2 x nan")):  # ITK: a flip, and 1 mm
        refuse(bent(tmp_path, NRRD, (old, f"sizes: 4 5 6\nspacings: {spacing}")), rule)


def test_scales_that_itk_passes_over_are_applied(tmp_path: Path) -> None:
    scale = "ElementToIntensityFunctionSlope = 0.5\nElementToIntensityFunctionOffset = -1024\nElementType"
    scan = read_itk(bent(tmp_path, META, ("ElementType", scale)))
    assert np.array_equal(scan.image[0].numpy(), RAMP * 0.5 - 1024)


@pytest.mark.parametrize("text", [META, NRRD])
def test_bytes_after_the_voxels_are_noticed(tmp_path: Path, text: str) -> None:
    assert codes(read_itk(bent(tmp_path, text, voxels=VOXELS + b"more"))) == ["bytes-left-over"]


def test_four_dimensions_are_refused(tmp_path: Path) -> None:
    changes = [("NDims = 3", "NDims = 4"), ("4 5 6", "4 5 6 2"), ("1 2 3", "1 2 3 1")]
    changes += [("1 0 0 0 1 0 0 0 1", "1 0 0 0 0 1 0 0 0 0 1 0 0 0 0 1")]
    refuse(bent(tmp_path, META, *changes, voxels=VOXELS * 2), "is a 4D image of 4 x 5 x 6 x 2; a 3D scan is needed")
    changes = [("dimension: 3", "dimension: 4"), ("sizes: 4 5 6", "sizes: 4 5 6 2"), ("space: l", "#")]
    changes += [("space directions: (1,0,0) (0,2,0) (0,0,3)", "spacings: 1 2 3 1")]
    refuse(bent(tmp_path, NRRD, *changes, voxels=VOXELS * 2), "is a 4D image of 4 x 5 x 6 x 2")


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray((NOISE + 1j).astype(np.complex64))
    SimpleITK.WriteImage(image, str(tmp_path / "a.nrrd"))
    refuse(tmp_path / "a.nrrd", "complex|colours or tensors")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_files_cut_short_anywhere(tmp_path: Path, suffix: str, packed: bool, share: float) -> None:
    path = saved(tmp_path / f"a{suffix}", NOISE, packed=packed)
    parts = {".mhd": ".zraw" if packed else ".raw", ".nhdr": ".raw.gz" if packed else ".raw"}
    cut = path.with_name(f"a{parts[suffix]}") if suffix in parts else path
    content = cut.read_bytes()
    cut.write_bytes(content[: int(share * len(content))])
    refuse(path, "cut short|damaged|is not a|is empty")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_zeros_that_would_fill_the_memory(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((100, 100, 100), np.uint8)
    values[50, 50, 50] = 1
    path = saved(tmp_path / f"a{suffix}", values, packed=True)
    assert read_itk(path).image.numpy().sum() == 1
    monkeypatch.setattr("medswin.io.header.SMALL", 10**6 - 1)
    refuse(path, r"bytes unpack to 0\.000931 GiB of voxels, .* up to 200 times. Repair: save it uncompressed")
    assert read_itk_grid(path).shape == (100, 100, 100)
    assert read_itk(saved(path, values)).image.numpy().sum() == 1


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_any_flipped_bit_in_compressed_voxels_is_found(tmp_path: Path, suffix: str) -> None:
    """MetaImage's reader answers with what the memory held, and only writes a line to the standard error."""
    path = saved(tmp_path / f"a{suffix}", NOISE, packed=True)
    content = path.read_bytes()
    start = content.index(b"LOCAL\n") + 6 if suffix == ".mha" else content.index(b"\n\n") + 12  # after gzip's header
    for position in range(start, len(content) - 8, len(content) // 20):
        path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
        refuse(path, "cut short or damaged")


def test_compressed_voxels_that_are_fewer_or_more(tmp_path: Path) -> None:
    for voxels in (VOXELS[:-2], VOXELS * 2):
        packed = zlib.compress(voxels)
        sizes = f"CompressedData = True\nCompressedDataSize = {len(packed)}\nElementType"
        refuse(
            bent(tmp_path, META, ("ElementType", sizes), voxels=packed), "compressed voxels are cut short or damaged"
        )


@pytest.mark.parametrize("text", [META, NRRD])
def test_any_byte_of_a_header_may_be_wrong(tmp_path: Path, text: str) -> None:
    """Whatever is changed in a header, the scan is read or refused with our words; nothing else is raised."""
    path = bent(tmp_path, text)
    whole = path.read_bytes()
    for position in range(len(text)):
        path.write_bytes(whole[:position] + bytes([b"\x009\xff"[position % 3]]) + whole[position + 1 :])
        try:
            read_itk(path)
        except InputError as error:
            assert str(error).startswith(str(path))  # noqa: PT017


@pytest.mark.parametrize("content", [b"", b"some text\n" * 100, b"\x1f\x8b", b"\0" * 1000, b"NRRD0004\n", b"\n\n"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_files_that_are_something_else(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"a{suffix}").write_bytes(content)
    refuse(tmp_path / f"a{suffix}", "empty|is not a|damaged|whole numbers")


def test_missing_files_folders_and_other_formats(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere.mha", "no such file")
    (tmp_path / "folder.mha").mkdir()
    refuse(tmp_path / "folder.mha", "is a folder")
    (tmp_path / "a.nrrd").write_bytes(saved(tmp_path / "a.mha").read_bytes())
    refuse(tmp_path / "a.nrrd", "is not an NRRD file")
    (tmp_path / "a.mha").write_bytes(saved(tmp_path / "a.nii").read_bytes())
    refuse(tmp_path / "a.mha", "is not a MetaImage file")


class TestDetached:
    """Voxels in a file beside the header."""

    def header(self, folder: Path, kind: str, named: str) -> Path:
        """A header that names another file."""
        (folder / "in").mkdir()
        path = folder / "in" / f"a.{kind}"
        if kind == "mhd":
            path.write_text(META.replace("LOCAL", named))
        else:
            path.write_text(NRRD.replace("encoding: raw\n", f"encoding: raw\ndata file: {named}\n"))
        return path

    @pytest.mark.parametrize("kind", ["mhd", "nhdr"])
    @pytest.mark.parametrize(
        "named", ["../secret.raw", "{folder}/secret.raw", "in/../../secret.raw", "link.raw", "..", "."]
    )
    def test_files_of_other_folders_are_refused(self, tmp_path: Path, kind: str, named: str) -> None:
        (tmp_path / "secret.raw").write_bytes(VOXELS)
        path = self.header(tmp_path, kind, named.format(folder=tmp_path))
        (tmp_path / "in" / "link.raw").symlink_to(tmp_path / "secret.raw")
        refuse(path, "file of another folder|not beside it")

    @pytest.mark.parametrize("named", ["../secret.raw", "{folder}/secret.raw"])
    @pytest.mark.parametrize("line", ["ElementDataFile : {0}", "elementdatafile={0}", " ElementDataFile  =  {0}"])
    def test_however_the_line_is_written(self, tmp_path: Path, named: str, line: str) -> None:
        (tmp_path / "secret.raw").write_bytes(VOXELS)
        path = self.header(tmp_path, "mhd", "LOCAL")
        text = path.read_text().replace("ElementDataFile = LOCAL", line.format(named.format(folder=tmp_path)))
        path.write_text(text)
        refuse(path, "file of another folder")

    @pytest.mark.parametrize("field", ["data file", "datafile", "Data File", "DATA FILE"])
    def test_however_the_field_is_written(self, tmp_path: Path, field: str) -> None:
        (tmp_path / "secret.raw").write_bytes(VOXELS)
        path = self.header(tmp_path, "nhdr", "../secret.raw")
        path.write_text(path.read_text().replace("data file", field))
        refuse(path, "file of another folder|damaged")

    @pytest.mark.parametrize("kind", ["mhd", "nhdr"])
    def test_missing_ones_lists_and_patterns_are_refused(self, tmp_path: Path, kind: str) -> None:
        path = self.header(tmp_path, kind, "gone.raw")
        refuse(path, "the file with its voxels, which the header names, is not beside it")
        for named in ("LIST", "LIST 2", "a%03d.raw 1 6 1"):
            path.write_text(path.read_text().replace("gone.raw", named))
            refuse(path, "in several files.*Repair: save it as one .(mha|nrrd) file")
            path.write_text(path.read_text().replace(named, "gone.raw"))

    @pytest.mark.parametrize("kind", ["mhd", "nhdr"])
    def test_pairs_that_are_linked_together_are_read(self, tmp_path: Path, kind: str) -> None:
        path = self.header(tmp_path, kind, "ä b.raw")
        (tmp_path / "in" / "ä b.raw").write_bytes(VOXELS)
        (tmp_path / "links").mkdir()
        for name in (path.name, "ä b.raw"):
            (tmp_path / "links" / name).symlink_to(os.path.relpath(tmp_path / "in" / name, tmp_path / "links"))
        for found in (path, tmp_path / "links" / path.name):
            assert np.array_equal(read_itk(found).image[0].numpy(), RAMP)


def test_without_simpleitk_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.mha")
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(InputError, match=r'not installed\. Repair: pip install "medswin\[itk\]"'):
        read_itk(path)
