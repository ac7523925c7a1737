"""Key images as secondary captures, which every viewer shows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from medswin.figures import KeyImage
from medswin.prediction import Prediction
from medswin.review.case import ReviewCase
from medswin.review.dicom import identity, rle, stand_in
from medswin.review.dicom.reference import Reference
from medswin.review.dicom.text import line

STORAGE = "1.2.840.10008.5.1.4.1.1.7"
NUMBER = 3


def marked(case: ReviewCase) -> ReviewCase:
    """The case with what its pictures have to say burned in before its name."""
    named = ", ".join([*identity.marks(case.prediction), case.prediction.case])
    return replace(case, prediction=replace(case.prediction, case=named))


def captures(pictures: Iterable[KeyImage], prediction: Prediction, reference: Reference) -> list[Any]:
    """The pictures as colour images of one series, without loss.

    What is burned into them is the case's pseudonym, sides, scale and names of structures: nothing that identifies a
    person, so BurnedInAnnotation is NO.

    Args:
        pictures: see `medswin.review.case.key_images`, of a case that is `marked`.
        prediction: the case that they show.
        reference: its slices, each of which they name as a source.
    """
    made = [_capture(picture, prediction, reference) for picture in pictures]
    for number, one in enumerate(made, start=1):
        one.SeriesInstanceUID, one.InstanceNumber = made[0].SeriesInstanceUID, number
    return made


def _capture(picture: KeyImage, prediction: Prediction, reference: Reference) -> Any:
    made = identity.base(STORAGE, reference, prediction)
    identity.series(made, "OT", NUMBER, "key images", prediction)
    made.ConversionType = "WSD"
    made.ImageType = ["DERIVED", "SECONDARY"]
    made.PatientOrientation, made.Laterality = None, None  # three planes at once have none
    made.ContentDate, made.ContentTime = made.InstanceCreationDate, made.InstanceCreationTime
    made.BurnedInAnnotation, made.LossyImageCompression = "NO", "00"
    made.ImageComments = line(" ".join([f"{identity.WARNING}.", *identity.cautions(prediction), picture.words]), 1024)
    made.DerivationDescription = line(f"Drawn by {identity.MAKER} from the slices that are named as its source", 1024)
    made.SourceImageSequence = stand_in.instances(reference)
    made.ReferencedSeriesSequence = [stand_in.series(reference)]
    _put(made, picture)
    return made


def _put(made: Any, picture: KeyImage) -> None:
    made.Rows, made.Columns = picture.pixels.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "RGB", 0
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
    made.PixelData = np.ascontiguousarray(picture.pixels).tobytes()
    rle.compress(made)
    made.PlanarConfiguration = 1  # of the encoded planes, one after the other
