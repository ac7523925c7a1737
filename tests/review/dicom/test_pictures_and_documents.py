"""Secondary captures hold the pictures without loss, and encapsulated PDFs the document byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from studies import SLICES, Study, validate

from medswin.errors import InputError
from medswin.figures import KeyImage
from medswin.review.dicom.captures import captures
from medswin.review.dicom.document import encapsulated


@pytest.fixture
def made_of(case: Path) -> tuple:
    """Prediction and reference of the case."""
    from medswin.io.cases import described_case, read_case
    from medswin.io.reopen import reopened
    from medswin.review.dicom.reference import referenced

    prediction = read_case(case)
    with reopened(case.parent, described_case(case) or {}) as source:
        return prediction, referenced(prediction, source)


def test_pictures_come_back_without_loss(made_of: tuple, study: Study, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pictures = [KeyImage(rng.integers(0, 256, (31, 17 + i, 3), dtype=np.uint8), "two words", (0, 0, 0)) for i in (0, 1)]
    made = captures(pictures, *made_of)
    for i, (one, wanted) in enumerate(zip(made, pictures, strict=True)):
        path = tmp_path / f"{i}.dcm"
        one.save_as(path, enforce_file_format=True)
        back = pydicom.dcmread(path)
        np.testing.assert_array_equal(back.pixel_array, wanted.pixels)
        assert (back.file_meta.TransferSyntaxUID.name, back.BurnedInAnnotation) == ("RLE Lossless", "NO")
        assert [one.ReferencedSOPInstanceUID for one in back.SourceImageSequence] == [
            d.SOPInstanceUID for d in study.slices
        ]
        assert back.ImageComments == "RESEARCH USE ONLY, not for diagnosis. two words"
        validate(path)
    assert made[0].SeriesInstanceUID == made[1].SeriesInstanceUID
    assert [one.InstanceNumber for one in made] == [1, 2]


def test_a_case_gives_one_capture_a_structure_and_one_of_the_whole(case: Path, exported: Callable) -> None:
    done = exported(case, "dicom-sc")
    assert [path.name.removeprefix(done.case) for path in done.files] == [
        "_dicom-sc-01.dcm",
        "_dicom-sc-02.dcm",
        "_dicom-sc-03.dcm",
    ]


@pytest.mark.parametrize("pdf", [b"%PDF-1.7 even", b"%PDF-1.7 odd"])
def test_documents_come_back_byte_by_byte(made_of: tuple, tmp_path: Path, pdf: bytes) -> None:
    path = tmp_path / "d.dcm"
    encapsulated(pdf, *made_of).save_as(path, enforce_file_format=True)
    back = pydicom.dcmread(path)
    assert back.EncapsulatedDocument[: back.EncapsulatedDocumentLength] == pdf
    assert len(back.SourceInstanceSequence) == SLICES
    validate(path)


def test_what_is_no_pdf_is_refused(made_of: tuple) -> None:
    with pytest.raises(InputError, match="no PDF"):
        encapsulated(b"<html>", *made_of)


def test_the_report_of_a_case_goes_in(case: Path, exported: Callable) -> None:
    (path,) = exported(case, "dicom-pdf").files
    back = pydicom.dcmread(path)
    assert back.EncapsulatedDocument.startswith(b"%PDF-")
    assert back.SeriesDescription.startswith("RESEARCH USE ONLY")
    validate(path)
