"""DICOM series: found in any tree of files, and read by their geometry."""

from medswin.io.dicom.series import Series, Tree, find_series
from medswin.io.dicom.volume import read_series

__all__ = ["Series", "Tree", "find_series", "read_series"]
