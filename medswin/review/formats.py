"""The formats that a case is exported to, each as files of one job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from medswin.io.dicom.silence import silenced
from medswin.io.nifti import write_labels
from medswin.review.dicom.predecessor import Predecessor, predecessor_in
from medswin.review.job import Job, needed

Write = Callable[[Job], list[Path]]


def _nifti(job: Job) -> list[Path]:
    path, made = job.place(".nii.gz"), job.prediction
    write_labels(path, made.labels, made.affine, oriented=made.oriented)
    return [path]


def _segmentation(job: Job) -> list[Path]:
    from medswin.review.dicom.check import check_segmentation
    from medswin.review.dicom.segmentation import segmentation

    with _dicom("dicom-seg"):
        path, reference = job.place("_dicom-seg.dcm"), job.reference
        made = segmentation(
            job.prediction,
            reference,
            labelmap=job.options.labelmap,
            edited=job.edited,
            predecessor=_before(job) if job.edited else None,
        )
        check = partial(check_segmentation, prediction=job.prediction, reference=reference, where=path.name)
        job.save(made, path, check)
    job.segmentation = made
    return [path]


def _before(job: Job) -> Predecessor | None:
    """The segmentation that was edited: the one in the folder, written now where there is none."""
    from medswin.review.dicom.segmentation import segmentation

    path = job.out / f"{job.case}_dicom-seg.dcm"
    if predecessor_in(path, job.reference.study) is None:
        job.save(segmentation(job.original, job.reference, labelmap=job.options.labelmap), path)
    return predecessor_in(path, job.reference.study)


@contextmanager
def _dicom(what: str) -> Iterator[None]:
    """Within it, a missing library is said in words, and nothing is said of what files hold."""
    needed("highdicom", "dicom", what)
    with silenced():
        yield


FORMATS: dict[str, Write] = {
    "dicom-seg": _segmentation,
    "nifti": _nifti,
}
"""In the order in which they are written: what refers to another comes after it."""
