"""Moments of a PET scan: when the drug was given, when slices were acquired, and when the scan began."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from medswin.io.dicom.values import number

APART = timedelta(seconds=30)  # that the scan's start may differ between slices: 0.3 % of SUV with F-18
GE_BLOCKS = {0x00090000 + block: 0x0009000D + (block << 8) for block in range(0x10, 0x20)}
"""Where GE may keep the scan's start, by the tag that then says ``GEMS_PETD_01``."""
_MOMENT = re.compile(r"(\d{8})(\d{2})(\d{2})(\d{2})(\.\d{1,6})?([+-]\d{4})?")


def acquired(tags: Any) -> datetime | None:
    """When a slice was acquired; None where it does not say."""
    return _moment(tags, "AcquisitionDate", "AcquisitionTime")


def injected(drug: Any, start: datetime, zone: Any) -> datetime | None:
    """When the drug was given; None where nothing says so.

    A time without a date is that of the scan's start, or of the day before it.

    Args:
        drug: an item of RadiopharmaceuticalInformationSequence.
        start: of the scan.
        zone: the offset from UTC of the file's times; one that the injection's time has must be it.
    """
    told = str(drug.get("RadiopharmaceuticalStartDateTime") or "").strip()
    if told:
        return _parsed(told, str(zone or ""))
    clock = str(drug.get("RadiopharmaceuticalStartTime") or "").strip()
    injection = _parsed(f"{start:%Y%m%d}{clock}")
    if injection is None:
        return None
    return injection if injection <= start else injection - timedelta(days=1)


def scan_start(slices: Sequence[Any], moments: Sequence[datetime], half_lives: Sequence[float]) -> datetime | None:
    """When a scan began; None where that cannot be told.

    Args:
        slices: headers of all its slices.
        moments: when each was acquired.
        half_lives: of its nuclide in s.
    """
    series = _moment(slices[0], "SeriesDate", "SeriesTime")
    if series is not None and series <= min(moments):
        return series
    private = _private(slices[0])
    if private is not None and private <= min(moments):
        return private
    back = [_back(*each) for each in zip(slices, moments, half_lives, strict=True)]
    starts = [start for start in back if start is not None]
    if len(starts) < len(back) or max(starts) - min(starts) > APART:
        return None
    return min(starts)


def _back(tags: Any, moment: datetime, half_life: float) -> datetime | None:
    """The scan's start by one slice: its reference time is when the count rate was that of its average, so

    start = acquired - reference + ln(x / (1 - e^-x)) / lambda, with lambda = ln 2 / half-life, x = lambda * duration.
    """
    reference, duration = number(tags, "FrameReferenceTime"), number(tags, "ActualFrameDuration")
    if reference is None or duration is None or reference <= 0 or duration <= 0:
        return None
    decay = math.log(2) / half_life
    x = decay * duration / 1000
    average = math.log(x / -math.expm1(-x)) / decay
    return moment + timedelta(seconds=average - reference / 1000)


def _private(tags: Any) -> datetime | None:
    """As GE tells it."""
    for creator, start in GE_BLOCKS.items():
        if creator in tags and start in tags and str(tags[creator].value).strip() == "GEMS_PETD_01":
            told = tags[start].value
            text = told.decode("ascii", "replace") if isinstance(told, bytes) else str(told)
            return _parsed(text.strip(" \0"))
    return None


def _moment(tags: Any, date: str, clock: str) -> datetime | None:
    return _parsed(f"{tags.get(date) or ''}{tags.get(clock) or ''}")


def _parsed(text: str, zone: str = "") -> datetime | None:
    """``YYYYMMDDHHMMSS.FFFFFF&ZZXX``; None for less, for nonsense, and for another zone than that."""
    found = _MOMENT.fullmatch(text)
    if found is None or (found[6] and found[6] != zone):
        return None
    try:
        whole = datetime.strptime("".join(found.group(1, 2, 3, 4)), "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return whole + timedelta(seconds=float(found[5] or 0))
