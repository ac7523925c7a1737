"""A PDF as a DICOM object."""

from __future__ import annotations

from typing import Any

from medswin.errors import InputError
from medswin.labels import Code
from medswin.prediction import Prediction
from medswin.review.dicom import codes, identity, stand_in
from medswin.review.dicom.reference import Reference
from medswin.review.dicom.text import line

STORAGE = "1.2.840.10008.5.1.4.1.1.104.1"
NUMBER = 4


def encapsulated(pdf: bytes, prediction: Prediction, reference: Reference) -> Any:
    """A PDF in the study of a case.

    Args:
        pdf: the content of the file.
        prediction: the case that it is about.
        reference: its slices.

    Raises:
        InputError: for what is no PDF.
    """
    if not pdf.startswith(b"%PDF-"):
        raise InputError("the report is no PDF", where=prediction.case, repair="report it")
    made = identity.base(STORAGE, reference, prediction)
    identity.series(made, "DOC", NUMBER, "report", prediction)
    made.ConversionType = "WSD"
    made.ContentDate, made.ContentTime = made.InstanceCreationDate, made.InstanceCreationTime
    made.AcquisitionDateTime = None
    made.BurnedInAnnotation = "NO"  # the case's pseudonym is no identity
    made.DocumentTitle = line(made.SeriesDescription)
    made.ConceptNameCodeSequence = [codes.concept(_TITLE)]
    made.SourceInstanceSequence = stand_in.instances(reference)
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return made


_TITLE = Code("126000", "DCM", "Imaging Measurement Report")
