"""DICOM series by their geometry: as SimpleITK reads them, and right or refused in words on every trap."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK
from pydicom.uid import generate_uid

from medswin.errors import InputError
from medswin.io import Scan
from medswin.io.dicom import Series, find_series, read_series

SERIES = ("mr_hippocrop_a", "mr_hippocrop_b", "mr_t1post_oblique", "ct_body_jpeg2000")
CANARY = "Muster^Hans"


@pytest.fixture(scope="module")
def crop(data_dir: Path) -> list[Path]:
    """Twelve slices of a real series, in their order."""
    return list(series_of(data_dir / "dicom" / "mr_hippocrop_a")[0].files[:12])


@pytest.fixture
def planted(crop: list[Path], tmp_path: Path) -> Callable[..., Path]:
    """Write the slices anew, each changed by a function of (dataset, index), which may drop or double them."""

    def write(change: Callable[[Any, int], Any]) -> Path:
        number = 0
        for i, path in enumerate(crop):
            dataset = pydicom.dcmread(path)
            dataset.PatientName, dataset.SeriesDescription = CANARY, CANARY
            made = change(dataset, i)
            for one in made if isinstance(made, list) else [dataset if made is None else made]:
                one.save_as(tmp_path / f"{(7 * number) % 101:03d}")
                number += 1
        return tmp_path

    return write


def series_of(folder: Path) -> tuple[Series, ...]:
    return find_series(folder, b"key").series


def read_all(folder: Path) -> list[Scan]:
    return [read_series(series) for series in series_of(folder)]


@pytest.fixture(scope="module")
def plain(crop: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and affine of the untouched slices, by SimpleITK."""
    return by_simpleitk([str(path) for path in crop])


def by_simpleitk(files: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(files)
    image = reader.Execute()
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return SimpleITK.GetArrayFromImage(image).transpose(2, 1, 0), np.diag([-1, -1, 1, 1]) @ affine


@pytest.mark.parametrize("name", SERIES)
def test_real_series_are_read_as_simpleitk_reads_them(data_dir: Path, name: str) -> None:
    (series,) = series_of(data_dir / "dicom" / name)
    scan = read_series(series)
    voxels, affine = by_simpleitk(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(data_dir / "dicom" / name)))
    np.testing.assert_array_equal(scan.image.as_tensor().numpy()[0], voxels)
    np.testing.assert_allclose(scan.image.affine, affine, atol=1e-4)


def test_a_tree_of_series_gives_each_one(data_dir: Path) -> None:
    found = find_series(data_dir / "dicom", b"1").series
    assert sorted(series.modality for series in found) == ["CT", "MR", "MR", "MR"]
    assert sorted(len(series.files) for series in found) == [20, 22, 32, 40]
    again = find_series(data_dir / "dicom", b"2").series
    assert not {series.id for series in found} & {series.id for series in again}


def shuffled_numbers(d: Any, i: int) -> None:
    d.InstanceNumber = (5 * i) % 12


def negative_spacing(d: Any, i: int) -> None:
    d.SpacingBetweenSlices = -3


def jitter(d: Any, i: int) -> None:
    d.ImagePositionPatient = [value + 4e-3 * (-1) ** i for value in d.ImagePositionPatient]
    d.ImageOrientationPatient = [value + 1e-7 * (-1) ** i for value in d.ImageOrientationPatient]


def monochrome1(d: Any, i: int) -> None:
    d.PhotometricInterpretation = "MONOCHROME1"


def no_series_uid(d: Any, i: int) -> None:
    d.SeriesInstanceUID = ""


@pytest.mark.parametrize("change", [shuffled_numbers, negative_spacing, jitter, monochrome1, no_series_uid])
def test_what_does_not_matter_changes_nothing(planted: Callable, plain: tuple, change: Callable) -> None:
    (scan,) = read_all(planted(change))
    np.testing.assert_array_equal(scan.image.as_tensor().numpy()[0], plain[0])
    np.testing.assert_allclose(scan.image.affine, plain[1], atol=1e-2)


def test_each_slice_has_its_own_slope(planted: Callable, plain: tuple) -> None:
    def change(d: Any, i: int) -> None:
        d.RescaleSlope, d.RescaleIntercept = 1 + i / 4, -i

    (scan,) = read_all(planted(change))
    stored = plain[0].astype(np.float32)
    expected = stored * (1 + np.arange(12) / 4) - np.arange(12)
    np.testing.assert_allclose(scan.image.as_tensor().numpy()[0], expected, rtol=1e-6)


def test_flipped_rows_and_oblong_pixels_keep_every_voxel_in_its_place(planted: Callable, plain: tuple) -> None:
    def change(d: Any, i: int) -> None:
        rows, axes = d.Rows, np.array(d.ImageOrientationPatient, float)
        d.PixelSpacing = [1.0, 2.0]  # between rows, between columns
        d.ImagePositionPatient = list(np.array(d.ImagePositionPatient, float) + axes[3:] * (rows - 1))
        d.ImageOrientationPatient = [*axes[:3], *-axes[3:]]
        d.PixelData = d.pixel_array[::-1].tobytes()

    (scan,) = read_all(planted(change))
    voxels, affine = plain
    ours, image = np.asarray(scan.image.affine), scan.image.as_tensor().numpy()[0]
    wide = affine @ np.diag([2.0, 1.0, 1.0, 1.0])
    for index in ((0, 0, 0), (3, 5, 2), (30, 40, 11)):
        there = np.rint(np.linalg.inv(ours) @ wide @ [*index, 1])[:3].astype(int)
        assert image[tuple(there)] == voxels[index]


@pytest.mark.parametrize(
    ("signed", "vr", "written"), [(0, "US", 40), (1, "SS", -2000), (1, "US", 63536), (0, "US", 4136)]
)
def test_padding_takes_the_lowest_value_and_is_told(
    planted: Callable, plain: tuple, signed: int, vr: str, written: int
) -> None:
    """However its sign and the bits beyond those stored are written."""
    hidden = plain[0] == plain[0].max()
    bits = 16 if signed else 12

    def change(d: Any, i: int) -> None:
        stored = np.minimum(d.pixel_array, 39).astype(np.int16)
        stored[hidden[..., i].T] = -2000 if signed else 40
        d.PixelData, d.BitsAllocated, d.BitsStored, d.HighBit = stored.tobytes(), 16, bits, bits - 1
        d["PixelData"].VR = "OW"
        d.PixelRepresentation = signed
        d.add_new("PixelPaddingValue", vr, written)

    (scan,) = read_all(planted(change))
    image = scan.image.as_tensor().numpy()[0]
    assert image.min() >= 0
    assert image.max() <= 39
    assert (image[hidden] == image.min()).all()
    assert [finding.code for finding in scan.findings] == ["padding"]


def test_twins_are_read_once(planted: Callable, plain: tuple) -> None:
    (scan,) = read_all(planted(lambda d, i: [d, d] if i == 5 else d))
    np.testing.assert_array_equal(scan.image.as_tensor().numpy()[0], plain[0])
    assert [finding.code for finding in scan.findings] == ["twin-slices"]


def second_version(d: Any) -> Any:
    other = pydicom.dcmread(d.filename)
    other.PixelData = bytes(reversed(d.PixelData))
    return other


@pytest.mark.parametrize("tag", ["TemporalPositionIdentifier", "EchoTime", "TriggerTime", "AcquisitionNumber"])
def test_time_points_are_volumes_of_their_own(planted: Callable, tag: str) -> None:
    def change(d: Any, i: int) -> list[Any]:
        other = second_version(d)
        for one, value in ((d, 1), (other, 2)):
            setattr(one, tag, value)
        return [d, other]

    one, other = read_all(planted(change))
    assert one.case != other.case
    assert one.shape == other.shape
    assert not np.array_equal(one.image.as_tensor(), other.image.as_tensor())


def test_half_of_one_time_point_and_half_of_another_are_no_volume(planted: Callable) -> None:
    def change(d: Any, i: int) -> None:
        d.TemporalPositionIdentifier = 1 + i // 6

    assert [scan.shape[2] for scan in read_all(planted(change))] == [6, 6]


def test_two_series_in_a_folder_are_two(planted: Callable) -> None:
    uid = generate_uid()

    def change(d: Any, i: int) -> None:
        if i % 2:
            d.SeriesInstanceUID = uid

    assert [scan.shape[2] for scan in read_all(planted(change))] == [6, 6]


def test_what_is_no_slice_is_passed_over(planted: Callable, plain: tuple) -> None:
    def change(d: Any, i: int) -> list[Any]:
        scout, colour, palette, capture = (pydicom.dcmread(d.filename) for _ in range(4))
        scout.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        colour.SamplesPerPixel, palette.PhotometricInterpretation = 3, "PALETTE COLOR"
        capture.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
        return [d, scout, colour, palette, capture]

    folder = planted(change)
    (folder / "deep").mkdir()
    (folder / "deep" / "notes.txt").write_text("no image")
    (folder / ".hidden").write_bytes(b"x")
    (folder / "DICOMDIR").write_bytes(b"x")
    (scan,) = read_all(folder)
    np.testing.assert_array_equal(scan.image.as_tensor().numpy()[0], plain[0])


def tilted(d: Any, i: int) -> None:
    d.ImagePositionPatient = [
        d.ImagePositionPatient[0],
        d.ImagePositionPatient[1] + 0.27 * i,
        d.ImagePositionPatient[2],
    ]


def uneven(d: Any, i: int) -> None:
    d.ImagePositionPatient = [*d.ImagePositionPatient[:2], d.ImagePositionPatient[2] + 0.3 * (i == 7)]


def moved_aside(d: Any, i: int) -> None:
    d.ImagePositionPatient = [d.ImagePositionPatient[0] + 20 * (i == 7), *d.ImagePositionPatient[1:]]


def slope_of_zero(d: Any, i: int) -> None:
    d.RescaleSlope, d.RescaleIntercept = int(i != 7), 0


def stretched_axes(d: Any, i: int) -> None:
    d.ImageOrientationPatient = [2, 0, 0, 0, 0.5, 0]


def without_position(d: Any, i: int) -> None:
    del d.ImagePositionPatient


def flat_orientation(d: Any, i: int) -> None:
    d.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


def cut_short(d: Any, i: int) -> None:
    if i == 4:
        d.PixelData = d.PixelData[: len(d.PixelData) // 2]


def by_a_table(d: Any, i: int) -> None:
    d.ModalityLUTSequence = [pydicom.Dataset()]


def unknown_compression(d: Any, i: int) -> None:
    d["PixelData"].VR = "OB"
    d.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
    d.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLSLossless


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d, i: [] if i == 6 else d, "2 mm, 1 missing"),
        (lambda d, i: [d, second_version(d)], "different pixels lie at one place"),
        (moved_aside, "20 mm off the line"),
        (slope_of_zero, "slope or intercept is zero"),
        (stretched_axes, "do not say where they lie"),
        (tilted, "tilted by 15"),
        (uneven, "1.3 mm"),
        (without_position, "do not say where they lie"),
        (flat_orientation, "do not say where they lie"),
        (cut_short, "slice 5 of 12"),
        (by_a_table, "table"),
        (unknown_compression, "JPEG-LS"),
    ],
)
def test_what_would_give_a_wrong_volume_is_refused(planted: Callable, change: Callable, said: str) -> None:
    (series,) = series_of(planted(change))
    with pytest.raises(InputError, match=said) as error:
        read_series(series)
    text = str(error.value)
    assert text.startswith(f"{series.id}")
    assert "Repair: " in text
    assert not any(secret in text for secret in ("Muster", series.slices[0].series, str(series.files[0].parent)))
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_a_damaged_file_beside_the_slices_is_told(planted: Callable) -> None:
    def change(d: Any, i: int) -> None:
        if i == 11:
            del d.Rows

    folder = planted(change)
    (series,) = series_of(folder)
    assert len(series.slices) == 11
    assert [finding.code for finding in read_series(series).findings] == ["damaged-files"]


def test_lone_slices_are_counted_and_kept_out(planted: Callable) -> None:
    def change(d: Any, i: int) -> None:
        if i == 0:
            d.SeriesInstanceUID = generate_uid()

    tree = find_series(planted(change), b"key")
    assert [len(series.slices) for series in tree.series] == [11]
    assert tree.passed_over == {"lone slices": 1}


def test_a_tree_without_series_says_what_is_there(planted: Callable) -> None:
    def change(d: Any, i: int) -> None:
        d.NumberOfFrames = 2
        d.Modality = "MR" if i else CANARY

    with pytest.raises(InputError, match="11 multi-frame, 1 of another modality"):
        find_series(planted(change), b"key")
    with pytest.raises(InputError, match="no such folder"):
        find_series("nowhere", b"key")


@pytest.mark.parametrize("tag", ["RescaleSlope", "SliceThickness", "AcquisitionNumber"])
def test_words_where_numbers_belong_are_quoted_nowhere(
    planted: Callable, tag: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A slope must be a number; what else is none counts as missing."""

    def change(d: Any, i: int) -> None:
        setattr(d, tag, "1234567890")

    folder = planted(change)
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes().replace(b"1234567890", b"Muster^Han"))
    (series,) = series_of(folder)
    if tag == "RescaleSlope":
        with pytest.raises(InputError, match="no number") as error:
            read_series(series)
        assert "Muster" not in str(error.value)
    else:
        assert read_series(series).shape[2] == 12
    assert "Muster" not in caplog.text
