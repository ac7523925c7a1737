"""SUV by the QIBA rule: closed forms, and words for every tag that is missing or odd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from traps import CANARY

from medswin.errors import InputError
from medswin.io.dicom import find_series, read_series

HALF_LIFE = 6586.2  # of F-18, in s
DOSE, WEIGHT = 351_234_567.0, 71.25
SECRETS = ("351234567", "71.25", "6586", "20200101", "091", "0955", CANARY)


def pet(d: Any, i: int) -> None:
    """A PET slice, injected at 09:11, scanned from 09:55:30 on, a slice every ten seconds."""
    d.Modality, d.SOPClassUID = "PT", "1.2.840.10008.5.1.4.1.1.128"
    d.RescaleIntercept, d.RescaleSlope = 0, 2.5
    d.Units, d.CorrectedImage, d.DecayCorrection = "BQML", ["NORM", "ATTN", "SCAT", "DECY"], "START"
    d.SeriesDate = d.AcquisitionDate = "20200101"
    d.SeriesTime, d.AcquisitionTime = "095530", f"095{5 + (30 + 10 * i) // 60}{(30 + 10 * i) % 60:02d}"
    d.PatientWeight = WEIGHT
    drug = Dataset()
    drug.RadionuclideTotalDose, drug.RadionuclideHalfLife = DOSE, HALF_LIFE
    drug.RadiopharmaceuticalStartDateTime = "20200101091100.000000"
    d.RadiopharmaceuticalInformationSequence = Sequence([drug])


def drug(d: Any) -> Any:
    return d.RadiopharmaceuticalInformationSequence[0]


def factor_of(write: Callable, slices: list, change: Callable[[Any, int], None]) -> float:
    """By how much SUV differ from the activity."""
    for i, d in enumerate(slices):
        pet(d, i)
        change(d, i)
    (series,) = find_series(write(slices), b"key").series
    plain, scaled = read_series(series), read_series(series, suv=True)
    assert "suv" in {finding.code for finding in scaled.findings}
    activity, suv = (scan.image.as_tensor().numpy() for scan in (plain, scaled))
    factor = float(suv.max() / activity.max())
    np.testing.assert_allclose(suv, activity * factor, rtol=1e-6)
    return factor


def expected(seconds: float) -> float:
    return 1000 * WEIGHT / (DOSE * 0.5 ** (seconds / HALF_LIFE))


WAITED = 44.5 * 60


def by_time_alone(d: Any, i: int) -> None:
    del drug(d).RadiopharmaceuticalStartDateTime
    drug(d).RadiopharmaceuticalStartTime = "091100"


def over_midnight(d: Any, i: int) -> None:
    by_time_alone(d, i)
    drug(d).RadiopharmaceuticalStartTime = "233000.0"
    d.SeriesTime, d.AcquisitionTime = "001430", f"0015{i:02d}"


def at_injection(d: Any, i: int) -> None:
    d.DecayCorrection = "ADMIN"


def made_later(d: Any, i: int) -> None:
    """With reference times of slices that took 60 s; the mean count rate was 29.97 s after each began."""
    d.SeriesTime = "110000"
    decay = np.log(2) / HALF_LIFE
    mean = np.log(decay * 60 / (1 - np.exp(-decay * 60))) / decay
    d.FrameReferenceTime, d.ActualFrameDuration = 1000 * (10 * i + mean), 60000


def made_later_by_ge(d: Any, i: int) -> None:
    d.SeriesTime = "110000"
    d.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20200101095530.00")


def in_one_zone(d: Any, i: int) -> None:
    d.TimezoneOffsetFromUTC = "+0100"
    drug(d).RadiopharmaceuticalStartDateTime = "20200101091100.000000+0100"


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        (lambda d, i: None, WAITED),
        (by_time_alone, WAITED),
        (over_midnight, WAITED),
        (at_injection, 0),
        (made_later, WAITED),
        (made_later_by_ge, WAITED),
        (in_one_zone, WAITED),
    ],
)
def test_closed_form(ct: list, write: Callable, change: Callable, seconds: float) -> None:
    assert factor_of(write, ct, change) == pytest.approx(expected(seconds), rel=1e-5)


def test_what_is_suv_already_stays(ct: list, write: Callable) -> None:
    def change(d: Any, i: int) -> None:
        d.Units = "GML"

    assert factor_of(write, ct, change) == 1


def setting(**values: Any) -> Callable[[Any, int], None]:
    def change(d: Any, i: int) -> None:
        for tag, value in values.items():
            setattr(drug(d) if tag.startswith("Radio") and "Sequence" not in tag else d, tag, value)

    return change


def of_slice_3(change: Callable) -> Callable[[Any, int], None]:
    return lambda d, i: change(d, i) if i == 3 else None


REFUSED = {
    "Units are not BQML": setting(Units="CNTS"),
    "Units are not BQML in": of_slice_3(setting(Units="CNTS")),
    "Units are not": setting(Units="GML", SUVType="LBM"),
    "does not list ATTN": setting(CorrectedImage=["DECY"]),
    "does not list ATTN and DECY": setting(CorrectedImage=None),
    "does not list DECY": setting(CorrectedImage=["NORM", "ATTN"]),
    "DecayCorrection is neither": setting(DecayCorrection="NONE"),
    "DecayCorrection is neither START": of_slice_3(setting(DecayCorrection="ADMIN")),
    "RadionuclideTotalDose is missing": setting(RadionuclideTotalDose=None),
    "RadionuclideTotalDose is missing, or": setting(RadionuclideTotalDose=DOSE / 1e6),
    "RadionuclideHalfLife is": setting(RadionuclideHalfLife=109.8 / 60),
    "PatientWeight is": setting(PatientWeight=None),
    "PatientWeight is missing, or not within 0.01 to 500 kg": setting(PatientWeight=WEIGHT * 1000),
    "does not hold one item": setting(RadiopharmaceuticalInformationSequence=Sequence([])),
    "does not hold one": setting(RadiopharmaceuticalInformationSequence=Sequence([Dataset(), Dataset()])),
    "StartTime are missing": setting(RadiopharmaceuticalStartDateTime=None),
    "StartTime are missing, nonsense": setting(RadiopharmaceuticalStartDateTime="20200101"),
    "another time zone": setting(RadiopharmaceuticalStartDateTime="20200101081100+0000", TimezoneOffsetFromUTC="+0100"),
    "not 0 to 10 half-lives": setting(RadiopharmaceuticalStartDateTime="20200101095531"),
    "not 0 to 10 half": setting(RadiopharmaceuticalStartDateTime="20191231091100"),
    "AcquisitionTime is missing": of_slice_3(setting(AcquisitionTime=None)),
    "made after its slices": setting(SeriesTime="110000"),
    "contradict each other": lambda d, i: (made_later(d, i), setattr(d, "FrameReferenceTime", 1000 * (1 + 99 * i))),
    "differ between its slices": of_slice_3(setting(PatientWeight=75)),
}


@pytest.mark.parametrize("said", REFUSED)
def test_refused(ct: list, write: Callable, said: str, quiet_check: Callable) -> None:
    for i, d in enumerate(ct):
        pet(d, i)
        REFUSED[said](d, i)
    (series,) = find_series(write(ct), b"key").series
    with pytest.raises(InputError, match=said) as error:
        read_series(series, suv=True)
    text = str(error.value)
    assert text.startswith(series.id)
    assert not any(secret in text.replace(series.id, "") for secret in SECRETS)
    quiet_check(text)


def test_only_pet_has_suv(ct: list, write: Callable) -> None:
    (series,) = find_series(write(ct), b"key").series
    with pytest.raises(InputError, match="modality is CT, SUV is of PT"):
        read_series(series, suv=True)
