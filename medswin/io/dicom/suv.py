"""Standardised uptake values of PET: g/ml by body weight, by the vendor-neutral rule of the QIBA FDG-PET/CT profile.

SUV = activity / decayed dose * weight, with activity in Bq/ml, weight in g and
decayed dose = dose * 2^(-(scan start - injection) / half-life); where the images are corrected to the time of
injection (DecayCorrection ADMIN), the dose itself. Scan start is the series' time where no slice was acquired before
it; else (a series made later) it is computed back from a slice's FrameReferenceTime and ActualFrameDuration.

Errors and findings name tags and rules, never what a tag says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from medswin.errors import InputError
from medswin.io.dicom.moments import GE_BLOCKS, acquired, injected, scan_start
from medswin.io.dicom.series import Series
from medswin.io.dicom.silence import silenced
from medswin.io.dicom.values import listed, number

LIMITS: dict[str, tuple[float, float, str]] = {
    "RadionuclideTotalDose": (1e5, 1e11, "Bq"),
    "RadionuclideHalfLife": (50.0, 1e6, "s"),
    "PatientWeight": (0.01, 500.0, "kg"),
}
"""What is sensible, a mouse and an old isotope included; a dose in MBq or a weight in g is not."""
HALF_LIVES = 10.0  # at most between injection and scan
ALIKE = 1e-3  # share by which the factors of slices may differ
_TAGS = (
    "Units", "SUVType", "CorrectedImage", "DecayCorrection", "RadiopharmaceuticalInformationSequence", "PatientWeight",
    "SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime", "FrameReferenceTime", "ActualFrameDuration",
    "TimezoneOffsetFromUTC",
)  # fmt: skip


def suv_factor(series: Series) -> float:
    """What turns the values of a PET series into body-weight SUV in g/ml: 1 where they are that already.

    Raises:
        InputError: if it is no PET, its values are neither Bq/ml nor g/ml by body weight, they are not corrected for
            attenuation and decay, the decay is corrected to neither the scan's start nor the injection, or a dose,
            half-life, weight or time is missing, nonsense, or not the same for all slices.
    """
    if series.modality != "PT":
        raise refused(f"its modality is {series.modality}, SUV is of PT", series.id)
    with silenced():
        return _of(series, _headers(series))


def _of(series: Series, slices: Sequence[Any]) -> float:
    units = {str(tags.get("Units") or "").upper() for tags in slices}
    if units == {"GML"} and {str(tags.get("SUVType") or "BW").upper() for tags in slices} == {"BW"}:
        return 1.0
    if units != {"BQML"}:
        raise refused("its Units are not BQML in all slices", series.id)
    start = _corrected_to(slices, series.id)
    factors = np.array([_factor(tags, start, series.id) for tags in slices])
    if np.ptp(factors) > ALIKE * factors.min():
        raise refused("dose, half-life, weight or time of injection differ between its slices", series.id)
    return float(np.median(factors))


def refused(what: str, where: str) -> InputError:
    """The error for a series that cannot be scaled."""
    repair = "export the series as the scanner made it (anonymised copies lose such tags), or read it without --suv"
    return InputError(what, where=where, repair=repair)


def _headers(series: Series) -> list[Any]:
    import pydicom
    from pydicom.datadict import tag_for_keyword

    tags = [*(tag_for_keyword(tag) or 0 for tag in _TAGS), *GE_BLOCKS, *GE_BLOCKS.values()]
    try:
        return [pydicom.dcmread(path, stop_before_pixels=True, specific_tags=tags) for path in series.files]
    except Exception:
        raise refused("one of its files is damaged", series.id) from None


def _corrected_to(slices: Sequence[Any], where: str) -> datetime | None:
    """The time to which decay is corrected: None for the injection."""
    for tags in slices:
        missing = {"ATTN", "DECY"} - {str(one).upper() for one in listed(tags, "CorrectedImage")}
        if missing:
            raise refused(f"its CorrectedImage does not list {' and '.join(sorted(missing))}", where)
    to = {str(tags.get("DecayCorrection") or "").upper() for tags in slices}
    if to == {"ADMIN"}:
        return None
    if to != {"START"}:
        raise refused("its DecayCorrection is neither START nor ADMIN in all slices", where)
    half_lives = [_within(_drug(tags, where), "RadionuclideHalfLife", where) for tags in slices]
    moments = [acquired(tags) for tags in slices]
    known = [moment for moment in moments if moment is not None]
    if len(known) < len(moments):
        raise refused("its AcquisitionDate or AcquisitionTime is missing or nonsense", where)
    start = scan_start(slices, known, half_lives)
    if start is None:
        raise refused(
            "it was made after its slices were acquired, and they do not say how long after the scan's start that was "
            "(FrameReferenceTime and ActualFrameDuration are missing or contradict each other)",
            where,
        )
    return start


def _factor(tags: Any, start: datetime | None, where: str) -> float:
    drug = _drug(tags, where)
    dose, half_life = (_within(drug, tag, where) for tag in ("RadionuclideTotalDose", "RadionuclideHalfLife"))
    grams = 1000 * _within(tags, "PatientWeight", where)
    if start is None:
        return grams / dose
    injection = injected(drug, start, tags.get("TimezoneOffsetFromUTC"))
    if injection is None:
        raise refused(
            "its RadiopharmaceuticalStartDateTime and RadiopharmaceuticalStartTime are missing, nonsense, or of "
            "another time zone",
            where,
        )
    waited = (start - injection) / timedelta(seconds=half_life)
    if not 0 <= waited <= HALF_LIVES:
        raise refused(f"its injection is not 0 to {HALF_LIVES:g} half-lives before the scan's start", where)
    return grams / (dose * math.exp2(-waited))


def _drug(tags: Any, where: str) -> Any:
    drugs: Any = tags.get("RadiopharmaceuticalInformationSequence") or ()
    if len(drugs) != 1:
        raise refused("its RadiopharmaceuticalInformationSequence does not hold one item", where)
    return drugs[0]


def _within(tags: Any, tag: str, where: str) -> float:
    value = number(tags, tag)
    low, high, unit = LIMITS[tag]
    if value is None or not low <= value <= high:
        raise refused(f"its {tag} is missing, or not within {low:g} to {high:g} {unit}", where)
    return value
