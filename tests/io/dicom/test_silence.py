"""Nothing that a file says of a person leaves: not in ids, findings, errors, logs, warnings or on the terminal."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from multiframe import enhanced
from traps import CANARIES, CANARY, no_position, version

from medswin.errors import InputError
from medswin.io.dicom import find_series, read_series
from medswin.io.dicom.silence import silenced

TEXTS = ("PatientName", "PatientID", "SeriesDescription", "ImageComments", "OperatorsName", "InstitutionName")
NUMBERS = ("SliceThickness", "EchoTime", "TriggerTime", "AcquisitionNumber", "InstanceNumber", "SliceLocation",
           "TemporalPositionIdentifier", "NumberOfTemporalPositions", "SeriesNumber")  # fmt: skip
DATES = ("PatientBirthDate", "StudyDate", "AcquisitionTime", "ContentDate")


def test_the_canaries_are_there(slices: list) -> None:
    """A test of their absence is worth what their presence is."""
    text = str(slices[0])
    assert all(canary in text for canary in CANARIES)
    assert all(str(slices[0].get(tag)) == CANARY for tag in TEXTS)


@pytest.mark.parametrize("tag", [*NUMBERS, *DATES, "RescaleSlope", "ImagePositionPatient", "Rows"])
def test_words_where_numbers_belong_are_quoted_nowhere(
    ct: list, write: Callable, tag: str, quiet_check: Callable, capfd: pytest.CaptureFixture
) -> None:
    mark = "20991231" if tag in DATES[:2] or tag == "ContentDate" else "12345678"
    for d in ct:
        if tag == "Rows":
            d.add_new(tag, "LO", CANARY)
        elif tag == "ImagePositionPatient":
            d.ImagePositionPatient = [mark, mark, mark]
        else:
            setattr(d, tag, mark if tag != "AcquisitionTime" else "120000.1")
    folder = write(ct)
    for path in folder.iterdir():
        old = b"120000.1" if tag == "AcquisitionTime" else mark.encode()
        path.write_bytes(path.read_bytes().replace(old, b"Muster^H"))
    quiet_check(*told(folder), *capfd.readouterr())


def told(folder: Path) -> list[str]:
    """All that is said of a tree."""
    said: list[str] = []
    try:
        tree = find_series(folder, b"key")
        said.append(repr(tree))
        for one in tree.series:
            said += [one.id, one.summary, repr(one), repr(one.slices)]
            said += map(str, read_series(one).findings)
    except InputError as error:
        said.append(str(error).removeprefix(str(folder)))
    return said


def test_of_frames_as_well(slices: list, write: Callable, quiet_check: Callable) -> None:
    quiet_check(*told(write([enhanced(slices)])))
    quiet_check(*told(write([enhanced([*slices[:11], version(slices[0])])], "two")))


def test_of_loggers_that_others_listen_to(
    slices: list, write: Callable, quiet_check: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    for i, d in enumerate(slices):
        no_position(d, i)
    for name in ("pydicom", "pydicom.pixels.decoders.base", ""):
        logging.getLogger(name).addHandler(caplog.handler)
    try:
        quiet_check(*told(write(slices)))
    finally:
        for name in ("pydicom", "pydicom.pixels.decoders.base", ""):
            logging.getLogger(name).removeHandler(caplog.handler)


def test_threads_that_leave_in_another_order_stay_silent_and_give_the_voice_back() -> None:
    inside, left = threading.Event(), threading.Event()
    heard: list[Any] = []

    def second() -> None:
        with silenced():
            inside.set()
            left.wait(10)
            warnings.warn(CANARY, stacklevel=1)
            logging.getLogger("pydicom.any").error(CANARY)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with silenced():
            thread = threading.Thread(target=second)
            thread.start()
            inside.wait(10)
        left.set()
        thread.join()
        heard += caught
        warnings.warn("after", stacklevel=1)
        assert [str(warning.message) for warning in caught] == ["after"]
    assert heard == []
