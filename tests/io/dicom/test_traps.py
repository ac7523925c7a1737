"""Every trap gives the right volume, voxel for voxel in its place, or is refused in words that name the fault."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import traps
from traps import Change, Truth, assert_in_place

from medswin.errors import InputError
from medswin.io.dicom import find_series, read_series


@dataclass(frozen=True)
class Right:
    """What a trap must give.

    Attributes:
        volumes: how many; together they hold all slices.
        added: what is added to the stored values of each volume; None where the volumes share the slices.
        change: of the truth.
        off: share of a voxel by which one may miss its place.
        codes: of the findings.
        passed_over: what else is found.
    """

    volumes: int = 1
    added: Sequence[int] | None = (0,)
    change: Callable[[Truth, Any], Truth] = lambda truth, slices: truth
    off: float = 0.01
    codes: Sequence[str] = ()
    passed_over: Sequence[tuple[str, int]] = ()


def oblong(truth: Truth, slices: Any) -> Truth:
    return Truth(truth.voxels, truth.affine @ np.diag([2.0, 1.0, 1.0, 1.0]))


def own_slope(truth: Truth, slices: Any) -> Truth:
    """With slope 1 + i / 4 and intercept -i, in float64."""
    intercept = {"CT": -1024, "MR": 0}[slices[0].Modality]
    stored, i = truth.voxels - intercept, np.arange(truth.voxels.shape[2])
    return Truth((stored * (1 + i / 4) - i).astype(np.float32), truth.affine)


TIMES = Right(volumes=2, added=(0, 1))
HALVES = Right(volumes=2, added=None)
RIGHT: dict[str, tuple[Change, Right]] = {
    "untouched": (lambda d, i: None, Right()),
    "shuffled InstanceNumber": (traps.shuffled_numbers, Right()),
    "no InstanceNumber": (traps.no_instance_number, Right()),
    "no UIDs": (traps.no_uids, Right()),
    "negative SpacingBetweenSlices": (traps.negative_spacing, Right()),
    "jitter of 4 um": (traps.jitter, Right(off=0.03)),
    "MONOCHROME1": (traps.monochrome1, Right()),
    "flipped rows": (traps.flipped_rows, Right()),
    "oblong pixels": (traps.oblong, Right(change=oblong)),
    "slope per slice": (traps.own_slope, Right(change=own_slope)),
    "signed pixels": (traps.signed, Right()),
    "something in unused bits": (traps.unused_bits, Right()),
    "twin slice": (lambda d, i: [d, d] if i == 5 else d, Right(codes=["twin-slices"])),
    "scout in the series": (traps.scout, Right(passed_over=[("localiser", 1)])),
    "captures, colour and reports": (
        traps.captures,
        Right(passed_over=[("colour", 24), ("of another modality", 24), ("secondary capture", 12)]),
    ),
    "two series in a folder": (traps.every_other_of_another_series, HALVES),
    "time points": (traps.at_two_times("TemporalPositionIdentifier"), TIMES),
    "echoes": (traps.at_two_times("EchoTime", (10, 90)), TIMES),
    "b-values": (traps.at_two_times("DiffusionBValue", (0, 800)), TIMES),
    "gradients": (traps.at_two_times("DiffusionGradientOrientation", ([0, 0, 1], [0, 1, 0])), TIMES),
    "trigger times": (traps.at_two_times("TriggerTime", (0, 40)), TIMES),
    "acquisitions": (traps.at_two_times("AcquisitionNumber"), TIMES),
    "acquisition times": (traps.at_two_times("AcquisitionTime", ("120000", "120007.5")), TIMES),
    "magnitude and phase": (traps.at_two_times("ImageType", (["ORIGINAL", "M"], ["ORIGINAL", "P"])), TIMES),
}
REFUSED: dict[str, tuple[Change, str]] = {
    "missing slice": (lambda d, i: [] if i == 6 else d, "1 missing"),
    "another slice at the same place": (lambda d, i: [d, traps.version(d)], "different pixels lie at one place"),
    "gantry tilt": (traps.tilted, "tilted by 15.0 degrees"),
    "uneven slices": (traps.uneven, "mm apart, but number [78] and the next"),
    "slice moved aside": (traps.moved_aside, "20 mm off the line"),
    "no position": (traps.no_position, "do not say where they lie"),
    "no orientation": (traps.no_orientation, "do not say where they lie"),
    "no pixel spacing": (traps.no_pixel_spacing, "do not say where they lie"),
    "axes that are too long": (traps.stretched_axes, "do not say where they lie"),
    "axes that are one": (traps.flat_orientation, "do not say where they lie"),
    "slope of zero": (traps.slope_of_zero, "slope or intercept is zero"),
    "slope of words": (traps.slope_of_words, "is no number"),
    "values by a table": (traps.by_a_table, "values are given by a table"),
    "bits that begin higher": (traps.shifted_bits, "highest bit is number 15, with 12 bits stored it must be 11"),
    "pixels cut short": (traps.cut_short, "slice 5 of 12: its pixels are damaged or cut short"),
    "twice the pixels": (traps.two_frames_in_one, "slice 5 of 12: its pixels have another shape"),
    "compression that nothing reads": (traps.unknown_compression, "reads its compression, MPEG2.*extra .dicom."),
    "absurd size": (traps.absurd_size, "declare 65535 x 65535 x 12 voxels, at most 2147483648"),
}


def test_there_are_the_twenty_traps_and_more() -> None:
    assert len(RIGHT) + len(REFUSED) > 40


@pytest.mark.parametrize("name", RIGHT)
def test_right(name: str, plant: Callable, slices: list[Any], truth: Truth, quiet_check: Callable) -> None:
    change, expected = RIGHT[name]
    tree = find_series(plant(change), b"key")
    scans = [read_series(one) for one in tree.series]
    assert len(scans) == expected.volumes
    truth = expected.change(truth, slices)
    for scan, added in zip(scans, expected.added or (0,) * len(scans), strict=True):
        there = Truth(truth.voxels + added, truth.affine)
        assert_in_place(scan, there, off=expected.off, whole=expected.added is not None)
        codes = {finding.code for finding in scan.findings} - {"slice-distance"}  # the MR's slices are thinner
        assert codes == set(expected.codes)
    if expected.added is None:
        assert sum(scan.image.numel() for scan in scans) == truth.voxels.size
    assert sorted(tree.passed_over.items()) == list(expected.passed_over)
    quiet_check(*(one.id for one in tree.series), *(one.summary for one in tree.series), *(s.findings for s in scans))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, plant: Callable, quiet_check: Callable) -> None:
    change, said = REFUSED[name]
    folder = plant(change)
    (series,) = find_series(folder, b"key").series
    with pytest.raises(InputError, match=said) as error:
        read_series(series)
    text = str(error.value)
    assert text.startswith(series.id)
    assert "Repair: " in text
    assert str(folder) not in text
    assert error.value.__suppress_context__ or error.value.__context__ is None
    quiet_check(text)


def test_slices_at_right_angles_are_no_part_of_the_volume(plant: Callable, truth: Truth) -> None:
    tree = find_series(plant(traps.turned), b"key")
    scans = {scan.shape[2]: scan for scan in map(read_series, tree.series)}
    assert sorted(scans) == [2, 12]
    assert_in_place(scans[12], truth)


def test_half_of_one_time_point_and_half_of_another_are_no_volume(plant: Callable, truth: Truth) -> None:
    def change(d: Any, i: int) -> None:
        d.TemporalPositionIdentifier = 1 + i // 6

    scans = [read_series(one) for one in find_series(plant(change), b"key").series]
    assert [scan.shape[2] for scan in scans] == [6, 6]
    for scan in scans:
        assert_in_place(scan, truth, whole=False)


@pytest.mark.parametrize("times", [("4.6", "4.60"), (4.602, 4.603), (90, 90.4)])
def test_a_time_that_is_noted_slice_by_slice_tears_no_volume(plant: Callable, truth: Truth, times: tuple) -> None:
    (series,) = find_series(plant(lambda d, i: setattr(d, "EchoTime", times[i % 2])), b"key").series
    assert_in_place(read_series(series), truth)


@pytest.mark.parametrize(
    "change",
    [
        lambda d, i: setattr(d, "TemporalPositionIdentifier", (1, None)[i % 2]),
        lambda d, i: setattr(d, "PixelSpacing", [d.PixelSpacing[0] * (1, 1.004)[i % 2], d.PixelSpacing[1]]),
    ],
)
def test_halves_of_a_volume_are_refused(plant: Callable, change: Callable) -> None:
    for series in find_series(plant(change), b"key").series:
        with pytest.raises(InputError, match="its slices lie evenly between others of the series"):
            read_series(series)


def test_slices_of_several_frames_of_reference_are_told(plant: Callable, truth: Truth) -> None:
    """One volume, as some who take names out of files give each slice a frame of its own."""
    (series,) = find_series(plant(lambda d, i: setattr(d, "FrameOfReferenceUID", f"1.2.{i}")), b"key").series
    scan = read_series(series)
    assert_in_place(scan, truth)
    assert [finding.code for finding in scan.findings if finding.grade == "warn"] == ["frames-of-reference"]


def test_a_volume_that_goes_on_says_so(plant: Callable) -> None:
    found = find_series(plant(lambda d, i: setattr(d, "EchoTime", 10 if i < 9 else 90)), b"key").series
    assert [len(one.slices) for one in found] == [9, 3]
    assert [[finding.code for finding in read_series(one).findings][:1] for one in found] == [["goes-on"], ["goes-on"]]


@pytest.mark.parametrize("uid", [True, False])
def test_two_patients_are_two_volumes(plant: Callable, uid: bool) -> None:
    def change(d: Any, i: int) -> None:
        d.PatientID, d.StudyInstanceUID = f"P{i % 2}", f"1.2.{i % 2}"
        if not uid:
            d.SeriesInstanceUID = ""

    found = find_series(plant(change), b"key").series
    assert [len(one.slices) for one in found] == [6, 6]
    assert len({one.id for one in found}) == 2
    assert len({one.person for one in found}) == 2


@pytest.mark.parametrize("left", [0, 100, 140, 300, 800, "nul", "preamble"])
@pytest.mark.parametrize("named", [True, False])
def test_an_end_that_is_lost_is_told(plant: Callable, left: int | str, named: bool) -> None:
    """The last slice is empty, cut short within its head, never written, or without its preamble."""

    def change(d: Any, i: int) -> None:
        if not named:
            d.file_meta.MediaStorageSOPClassUID, d.SOPClassUID = d.SOPClassUID, ""

    folder = plant(change)
    last = find_series(folder, b"key").series[0].slices[-1].path
    whole = last.read_bytes()
    kept = {"nul": bytes(len(whole)), "preamble": whole[132:]}
    last.write_bytes(whole[:left] if isinstance(left, int) else kept[left])
    tree = find_series(folder, b"key")
    assert len(tree.series[0].slices) == 11
    assert [finding.code for finding in tree.series[0].findings] == ["damaged-files"]
    assert tree.broken == {folder: "1 DICOM file(s) in it are damaged, slices or whole series may be missing"}


def test_time_points_come_in_their_order_whatever_the_files_are_called(plant: Callable) -> None:
    """Ten is after nine."""
    change = traps.at_two_times("TemporalPositionIdentifier", (10, 9))
    later, first = (one.slices[0].times[0] for one in reversed(find_series(plant(change), b"key").series))
    assert (first, later) == ("9", "10")


def test_names_of_many_time_points_sort_by_time(plant: Callable, truth: Truth) -> None:
    def change(d: Any, i: int) -> list[Any]:
        made = [traps.version(d, add) for add in range(11)] if i < 3 else []
        for add, one in enumerate(made):
            one.TemporalPositionIdentifier = add + 1
        return made

    found = find_series(plant(change), b"key").series
    assert [one.id[-3:] for one in found[8:]] == ["-09", "-10", "-11"]
    for added, one in enumerate(found):
        assert_in_place(read_series(one), Truth(truth.voxels + added, truth.affine), whole=False)


@pytest.mark.parametrize("times", [("TemporalPositionIdentifier", "EchoTime"), ("TriggerTime", "AcquisitionNumber")])
def test_two_tags_together_tell_volumes_apart(plant: Callable, truth: Truth, times: tuple[str, str]) -> None:
    def change(d: Any, i: int) -> list[Any]:
        made = [traps.version(d, add) for add in range(4)]
        for k, one in enumerate(made):
            setattr(one, times[0], 1 + k // 2)
            setattr(one, times[1], 1 + k % 2)
        return made

    scans = [read_series(one) for one in find_series(plant(change), b"key").series]
    for added, scan in enumerate(scans):
        assert_in_place(scan, Truth(truth.voxels + added, truth.affine))
    assert len(scans) == 4


def test_a_file_cut_in_its_header_is_told(plant: Callable, truth: Truth) -> None:
    """The last slice is lost: nothing but the file itself can tell."""
    folder = plant(lambda d, i: None)
    last = max(folder.iterdir(), key=lambda path: b"3.12\0" in path.read_bytes()[:600])
    last.write_bytes(last.read_bytes()[:700])
    (series,) = find_series(folder, b"key").series
    scan = read_series(series)
    assert_in_place(scan, truth, whole=False)
    assert (scan.shape[2], scan.findings[0].code) == (11, "damaged-files")


def test_junk_is_passed_over(plant: Callable, truth: Truth) -> None:
    folder = plant(lambda d, i: None)
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "notes.txt").write_text("no image")
    (folder / "deep" / "empty.dcm").write_bytes(b"")
    (folder / ".hidden").write_bytes(b"x")
    (folder / "DICOMDIR").write_bytes(b"x")
    tree = find_series(folder, b"key")
    assert tree.passed_over == {"not DICOM": 2}
    assert_in_place(read_series(tree.series[0]), truth)


def test_twins_anywhere_are_read_once(plant: Callable, truth: Truth) -> None:
    """Also the first and the last slice, three of a kind, and where they fall into two slabs."""
    (series,) = find_series(plant(lambda d, i: [d] * (2 + i % 2)), b"key").series
    scan = read_series(series)
    assert len(series.slices) == 30
    assert_in_place(scan, truth)


def test_an_error_that_is_kept_leaves_no_silence_behind(plant: Callable) -> None:
    (series,) = find_series(plant(lambda d, i: [d, traps.version(d)]), b"key").series
    with pytest.raises(InputError) as kept:
        read_series(series)
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)
    assert kept.value.__traceback__ is not None


def test_what_does_not_fit_into_memory_is_told(plant: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: Any, **more: Any) -> None:
        raise MemoryError

    (series,) = find_series(plant(lambda d, i: None), b"key").series
    monkeypatch.setattr("medswin.io.dicom.volume._filled", full)
    with pytest.raises(InputError, match="80 x 96 x 12 voxels do not fit into memory"):
        read_series(series)


def test_a_file_put_in_the_place_of_another_is_noticed(plant: Callable) -> None:
    folder = plant(lambda d, i: None)
    (series,) = find_series(folder, b"key").series
    series.files[3].write_bytes(series.files[3].read_bytes() + b"\0\0")
    with pytest.raises(InputError, match="slice 4 of 12: its pixels are damaged"):
        read_series(series)


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder or file"):
        find_series(tmp_path / "nowhere", b"key")
