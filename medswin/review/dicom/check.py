"""Does a segmentation on the disk say what was meant? It is read again, by highdicom, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from medswin.errors import InputError
from medswin.io.dicom.silence import silenced
from medswin.prediction import Prediction
from medswin.review.dicom.reference import APART_MM, Reference, lps
from medswin.review.dicom.segmentation import numbered
from medswin.review.placing import placed

_AGAIN = "check the disk, and export again; if it stays so, report it"


def check_segmentation(path: Path, prediction: Prediction, reference: Reference, where: str) -> None:
    """Compare a written segmentation with its label map: every voxel, and where each frame lies.

    Args:
        path: of the file.
        prediction: what was written.
        reference: the slices it was written on.
        where: what an error calls the file.

    Raises:
        InputError: if a voxel has another value, or a frame lies more than `APART_MM` from its slice, or names another.
    """
    from highdicom.seg import segread

    with silenced():
        found = segread(path)
        wrong = _misplaced(found, reference) or _otherwise(found, prediction, reference, where)
    if wrong:
        raise InputError(f"was not written as it was meant: {wrong}", where=where, repair=_AGAIN)


def _misplaced(found: Any, reference: Reference) -> str:
    """What is wrong with the place of a frame: it lies where the slice does that it names."""
    by_name = {(one.uid, one.frame): one.origin_mm for one in reference.slices}
    for number, group in enumerate(found.PerFrameFunctionalGroupsSequence, start=1):
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        frame = source.get("ReferencedFrameNumber")
        origin = by_name.get((str(source.ReferencedSOPInstanceUID), None if frame is None else int(frame)))
        if origin is None:
            return f"frame {number} names a slice that is not of this scan"
        off_mm = np.linalg.norm(np.subtract(group.PlanePositionSequence[0].ImagePositionPatient, origin))
        if off_mm > APART_MM:
            return f"frame {number} lies {off_mm:.3g} mm off its slice"
    return ""


def _otherwise(found: Any, prediction: Prediction, reference: Reference, where: str) -> str:
    """What is wrong with voxels and geometry, put back by nothing but what the file says."""
    volume = found.get_volume(combine_segments=True, skip_overlap_checks=True, dtype=np.uint8)
    labels = placed(volume.array, lps(volume.affine), reference.grid, where, _slack_mm(reference))
    different = int(np.count_nonzero(labels != numbered(prediction)))
    return f"{different} voxels have another value" if different else ""


def _slack_mm(reference: Reference) -> float:
    """`APART_MM`, and by how much the slices themselves lie off the even grid that is read back."""
    starts = np.array([one.origin_mm for one in reference.slices])
    index = np.zeros((4, len(starts)))
    index[2], index[3] = np.arange(len(starts)), 1
    even = (lps(reference.grid.affine) @ index)[:3].T
    return APART_MM + 2 * float(np.linalg.norm(starts - even, axis=1).max())
