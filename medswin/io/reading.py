"""What is done to DICOM series on request, before anything else sees them."""

from __future__ import annotations

from dataclasses import dataclass

from medswin.io.dicom import Series, read_series
from medswin.io.scan import Scan


@dataclass(frozen=True)
class Reading:
    """What is done to DICOM series on request.

    Attributes:
        suv: PET becomes SUV by body weight.
        resample_tilt: slices of a tilted gantry are shifted onto a straight grid; else they are refused.
    """

    suv: bool = False
    resample_tilt: bool = False

    def scan(self, series: Series) -> Scan:
        """Read a series; see `medswin.io.dicom.read_series` for the errors."""
        return read_series(series, resample_tilt=self.resample_tilt, suv=self.suv and series.modality == "PT")


AS_IT_IS = Reading()
