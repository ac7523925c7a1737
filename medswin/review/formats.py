"""The formats that a case is exported to, each as files of one job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from medswin.io.dicom.silence import silenced
from medswin.io.nifti import write_labels
from medswin.prediction import Prediction
from medswin.review.dicom.predecessor import Predecessor, predecessor_in
from medswin.review.job import Job, needed

Write = Callable[[Job], list[Path]]


def _nifti(job: Job) -> list[Path]:
    path, made = job.place(".nii.gz"), job.prediction
    write_labels(path, made.labels, made.affine, oriented=made.oriented)
    return [path]


def _segmentation(job: Job) -> list[Path]:
    with _dicom("dicom-seg"):
        from medswin.review.dicom.segmentation import segments

        segments(job.prediction)  # refused first, before its predecessor is written
        before = _before(job) if job.edited else None
        path = job.place("_dicom-seg.dcm")
        job.segmentation = _segmented(job, job.prediction, path, before and before[0])
        return [*(before[1] if before else ()), path]


def _segmented(job: Job, prediction: Prediction, path: Path, before: Predecessor | None = None) -> Any:
    """Write a segmentation, and give what was written."""
    from medswin.review.dicom.check import check_segmentation
    from medswin.review.dicom.segmentation import segmentation

    made = segmentation(prediction, job.reference, labelmap=job.options.labelmap, predecessor=before)
    check = partial(check_segmentation, prediction=prediction, reference=job.reference, where=path.name)
    job.save(made, path, check)
    return made


def _before(job: Job) -> tuple[Predecessor | None, list[Path]]:
    """The segmentation that was edited, and its file where it is written now: else the one in the folder, if it is."""
    from medswin.review.dicom.check import check_segmentation

    path, wrote = job.out / f"{job.case}_dicom-seg.dcm", list[Path]()
    try:
        there = predecessor_in(path, job.reference.study) is not None
        if there:
            check_segmentation(path, job.original, job.reference, path.name)
    except Exception:  # damaged, or of an earlier run of predict
        there = False
    if not there:
        _segmented(job, job.original, path)
        wrote.append(path)
    return predecessor_in(path, job.reference.study), wrote


def _report(job: Job) -> list[Path]:
    from medswin.review.dicom.report import measurement_report

    with _dicom("dicom-sr"):
        made = measurement_report(job.prediction, job.reference, job.segmentation)
        return [job.save(made, job.place("_dicom-sr.dcm"))]


def _captures(job: Job) -> list[Path]:
    from medswin.review.case import key_images
    from medswin.review.dicom.captures import captures, marked

    with _dicom("dicom-sc"):
        reference = job.reference  # refused first, before the pixels are read
        made = captures(key_images(marked(job.shown)), job.prediction, reference)
        places = [job.place(f"_dicom-sc-{number:02}.dcm") for number in range(1, len(made) + 1)]
        return [job.save(one, path) for one, path in zip(made, places, strict=True)]


def _document(job: Job) -> list[Path]:
    from medswin.review.dicom.document import encapsulated

    with _dicom("dicom-pdf"):
        from medswin.review.report import report_pdf

        reference = job.reference
        made = encapsulated(report_pdf(job.shown), job.prediction, reference)
        return [job.save(made, job.place("_dicom-pdf.dcm"))]


def _outlines(job: Job) -> list[Path]:
    from medswin.review.dicom.rtstruct import structure_set

    needed("skimage", "dicom", "rtstruct")
    with _dicom("rtstruct"):
        before = predecessor_in(job.out / f"{job.case}_rtstruct.dcm", job.reference.study) if job.edited else None
        made, warnings = structure_set(job.prediction, job.reference, before)
        job.notes += warnings
        return [job.save(made, job.place("_rtstruct.dcm"))]


def _seg_nrrd(job: Job) -> list[Path]:
    from medswin.review.nrrd import write_seg_nrrd

    needed("SimpleITK", "itk", "seg-nrrd")
    path = job.place(".seg.nrrd")
    write_seg_nrrd(path, job.prediction)
    return [path]


@contextmanager
def _dicom(what: str) -> Iterator[None]:
    """Within it, a missing library is said in words, and nothing is said of what files hold."""
    needed("highdicom", "dicom", what)
    with silenced():
        yield


FORMATS: dict[str, Write] = {
    "dicom-seg": _segmentation,
    "dicom-sr": _report,
    "dicom-sc": _captures,
    "dicom-pdf": _document,
    "rtstruct": _outlines,
    "nifti": _nifti,
    "seg-nrrd": _seg_nrrd,
}
"""In the order in which they are written: what refers to another comes after it."""
