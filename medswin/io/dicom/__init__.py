"""DICOM series: found in any tree of files, and read by their geometry."""

from medswin.io.dicom.reader import MedswinReader
from medswin.io.dicom.series import Series, Tree, find_series
from medswin.io.dicom.volume import read_series
from medswin.io.dicom.zipped import unpacked

__all__ = ["MedswinReader", "Series", "Tree", "find_series", "read_series", "unpacked"]
