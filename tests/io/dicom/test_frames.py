"""Enhanced multi-frame files, classic and legacy-converted: each frame is a slice like any other."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import traps
from multiframe import converted, enhanced, groups, item
from pydicom import uid
from pydicom.encaps import encapsulate, generate_frames
from traps import Truth, assert_in_place, version

from medswin.errors import InputError
from medswin.io.dicom import find_series, read_series


def all_of(path: Path) -> list[Any]:
    return [read_series(one) for one in find_series(path, b"key").series]


@pytest.mark.parametrize("make", [enhanced, converted])
def test_frames_lie_where_the_slices_lay(make: Callable, slices: list, write: Callable, truth: Truth) -> None:
    (scan,) = all_of(write([make(slices)]))
    assert_in_place(scan, truth)
    assert {finding.code for finding in scan.findings} <= {"slice-distance"}


def test_a_file_alone_is_found(slices: list, write: Callable, truth: Truth) -> None:
    (path,) = write([enhanced(slices)]).iterdir()
    tree = find_series(path, b"key")
    assert tree.series[0].files == (path,)
    assert_in_place(read_series(tree.series[0]), truth)


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.RLELossless])
@pytest.mark.parametrize("table", [True, False])
def test_compressed_frames(slices: list, write: Callable, truth: Truth, syntax: str, table: bool) -> None:
    """With and without a table of where each frame begins."""
    made = enhanced(slices)
    made.compress(syntax, generate_instance_uid=False, encapsulate_ext=False)
    if not table:
        made.PixelData = encapsulate(list(frames_of(made)), has_bot=False)
    (scan,) = all_of(write([made]))
    assert_in_place(scan, truth)


def frames_of(made: Any) -> Iterator[bytes]:
    return generate_frames(made.PixelData, number_of_frames=made.NumberOfFrames)


def test_each_frame_has_its_own_slope(ct: list, write: Callable) -> None:
    def more(d: Any, i: int) -> dict[str, Any]:
        return {"PixelValueTransformationSequence": item(RescaleSlope=1 + i / 4, RescaleIntercept=-i, RescaleType="US")}

    (scan,) = all_of(write([enhanced(ct, more)]))
    image = scan.image.as_tensor().numpy()[0]
    stored = np.stack([d.pixel_array.T for d in ct], axis=2)
    np.testing.assert_array_equal(image, (stored * (1 + np.arange(12) / 4) - np.arange(12)).astype(np.float32))


def frame_content(**values: Any) -> dict[str, Any]:
    return {"FrameContentSequence": item(StackID="1", **values)}


TIMES: dict[str, Callable[[int], dict[str, Any]]] = {
    "time points": lambda t: frame_content(TemporalPositionIndex=9 + t),
    "acquisitions": lambda t: frame_content(FrameAcquisitionNumber=1 + t),
    "a dimension": lambda t: frame_content(DimensionIndexValues=[1, 1 + t]),
    "echoes": lambda t: {"MREchoSequence": item(EffectiveEchoTime=10.0 + 80 * t)},
    "b-values": lambda t: {"MRDiffusionSequence": item(DiffusionBValue=800.0 * t)},
    "gradients": lambda t: {
        "MRDiffusionSequence": groups(DiffusionGradientDirectionSequence=item(DiffusionGradientOrientation=[t, 0, 1]))
    },
    "heart": lambda t: {"CardiacSynchronizationSequence": item(NominalCardiacTriggerDelayTime=40.0 * t)},
    "frame type": lambda t: {"CTImageFrameTypeSequence": item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "AB"[t]])},
}


@pytest.mark.parametrize("name", TIMES)
def test_each_time_point_is_a_volume(name: str, slices: list, write: Callable, truth: Truth) -> None:
    both = slices[:11] + [version(d) for d in slices[:11]]
    scans = all_of(write([enhanced(both, lambda d, i: TIMES[name](i // 11))]))
    assert len(scans) == 2
    for added, scan in enumerate(scans):
        assert_in_place(scan, Truth(truth.voxels[..., :11] + added, truth.affine))


def test_time_points_in_files_of_their_own(slices: list, write: Callable, truth: Truth) -> None:
    files = [
        enhanced([version(d, t) for d in slices], lambda d, i, t=t: frame_content(TemporalPositionIndex=t + 1))
        for t in range(2)
    ]
    for added, scan in enumerate(all_of(write(files))):
        assert_in_place(scan, Truth(truth.voxels + added, truth.affine))


def test_slices_spread_over_files(slices: list, write: Callable, truth: Truth) -> None:
    (scan,) = all_of(write([enhanced(slices[:4]), enhanced(slices[4:])]))
    assert_in_place(scan, truth)


def test_a_localiser_among_the_frames_is_set_aside(ct: list, write: Callable) -> None:
    def more(d: Any, i: int) -> dict[str, Any]:
        kind = "LOCALIZER" if i == 11 else "VOLUME"
        return {"CTImageFrameTypeSequence": item(FrameType=["ORIGINAL", "PRIMARY", kind, "NONE"])}

    tree = find_series(write([enhanced(ct, more)]), b"key")
    assert (len(tree.series[0].slices), tree.passed_over) == (11, {"localiser": 1})


def drop_a_frame(made: Any) -> None:
    made.PerFrameFunctionalGroupsSequence = made.PerFrameFunctionalGroupsSequence[:-1]


def forget_the_frames(made: Any) -> None:
    del made.PerFrameFunctionalGroupsSequence


def colour(made: Any) -> None:
    made.SamplesPerPixel, made.PhotometricInterpretation = 3, "RGB"


def of_another_kind(made: Any) -> None:
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.30"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (drop_a_frame, "damaged"),
        (forget_the_frames, "multi-frame"),
        (colour, "colour"),
        (of_another_kind, "multi-frame"),
    ],
)
def test_what_is_no_stack_of_frames_is_counted(slices: list, write: Callable, change: Callable, what: str) -> None:
    made = enhanced(slices)
    change(made)
    with pytest.raises(InputError, match=f"1 {what}"):
        find_series(write([made]), b"key")


def missing(slices: list) -> Any:
    return enhanced(slices[:6] + slices[7:])


def twice(slices: list) -> Any:
    return enhanced([*slices[:-2], version(slices[0])])


def tilted(slices: list) -> Any:
    for i, d in enumerate(slices):
        traps.tilted(d, i)
    return enhanced(slices)


def too_few_pixels(slices: list) -> Any:
    made = enhanced(slices)
    made.PixelData = made.PixelData[: -len(made.PixelData) // 12]
    return made


def too_many_pixels(slices: list) -> Any:
    made = enhanced(slices)
    made.PixelData = made.PixelData + made.PixelData[: len(made.PixelData) // 12]
    return made


def too_few_compressed(slices: list) -> Any:
    made = enhanced(slices)
    made.compress(uid.RLELossless, generate_instance_uid=False)
    made.PixelData = encapsulate(list(frames_of(made))[:-1], has_bot=False)
    return made


def one_cut_short(slices: list) -> Any:
    made = enhanced(slices)
    made.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
    frames = list(frames_of(made))
    frames[3] = frames[3][: len(frames[3]) // 2]
    made.PixelData = encapsulate(frames)
    return made


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (missing, "1 missing"),
        (twice, "different pixels lie at one place"),
        (tilted, "tilted by 15.0 degrees"),
        (too_few_pixels, "pixels are damaged or cut short"),
        (too_many_pixels, "pixels are damaged or cut short"),
        (too_few_compressed, "pixels are damaged or cut short"),
        (one_cut_short, "slice .* of 12: its pixels are damaged or cut short"),
    ],
)
def test_frames_that_make_no_volume_are_refused(
    slices: list, write: Callable, make: Callable, said: str, quiet_check: Callable
) -> None:
    (series,) = find_series(write([make(copy.deepcopy(slices))]), b"key").series
    with pytest.raises(InputError, match=said) as error:
        read_series(series)
    quiet_check(error.value)
