"""What browsers saved: reviews found in folders, the last one of each case, and the label map that belongs to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medswin.errors import InputError
from medswin.io.grid import Grid
from medswin.io.nifti import case_name, read_labels
from medswin.io.scan import Scan
from medswin.prediction import Prediction
from medswin.review.answers import Review, read_review


def find_reviews(places: Sequence[Path]) -> list[Path]:
    """The files that are named, and all ``*review*.json`` below the folders that are.

    Raises:
        InputError: if there is no such place, or nothing in it.
    """
    found: list[Path] = []
    for place in places:
        files = sorted(place.rglob("*review*.json")) if place.is_dir() else [place]
        if not files:
            raise InputError("no file here is called like a review", where=place, repair="name the files themselves")
        found += files
    return list(dict.fromkeys(found))


def last_of_each(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The reviews to take in, and those that a later one of the same case replaces.

    A browser numbers what is saved twice (``one_review (1).json``), and its names do not tell which came last. Files
    that cannot be read are among the first, so that taking them in says why.
    """
    last: dict[str, tuple[Review, Path]] = {}
    unread, replaced = [], []
    for file in files:
        try:
            review = read_review(file)
        except InputError:
            unread.append(file)
            continue
        before = last.get(review.case)
        if before is None or review.finished > before[0].finished:
            last[review.case] = review, file
        if before is not None:
            replaced.append(file if last[review.case] is before else before[1])
    wanted = {*unread, *(file for _, file in last.values())}
    return [file for file in files if file in wanted], replaced


def saved_labels(review: Review, file: Path, prediction: Prediction, scan: Scan | Grid) -> NDArray[np.uint8]:
    """The label map as the reviewer left it, (X, Y, Z) uint8: the corrected one beside the review, or the model's.

    Where a browser numbered it, it is told by the number of its voxels that were changed.

    Raises:
        InputError: if the corrected label map is missing, lies on another grid, holds other values, is not the one that
            was saved with the review, or changes a structure that was accepted.
    """
    if review.edited is None:
        return prediction.labels
    found = {
        path: read_labels(path, like=scan, values=[0, *review.structures]) for path in _copies(file, review.edited)
    }
    if not found:
        raise InputError(f"its corrected label map {review.edited} is not beside it", where=file, repair="put it there")
    changed = {path: int((labels != prediction.labels).sum()) for path, labels in found.items()}
    fitting = [path for path in found if changed[path] == review.voxels_changed]
    if not fitting:
        path = next(iter(found))
        raise InputError(
            f"differs from the model's label map in {changed[path]} voxels, {file.name} was saved with one that does "
            f"in {review.voxels_changed}",
            where=path,
            repair="put the two files that were saved together beside each other",
        )
    labels = found[fitting[0]]
    if any(not np.array_equal(labels, found[path]) for path in fitting[1:]):
        raise InputError(
            f"{' and '.join(path.name for path in fitting)} may both belong to it",
            where=file,
            repair="remove the one that was not saved last",
        )
    _check_answers(review, file, prediction.labels, labels)
    return labels


def _copies(file: Path, name: str) -> list[Path]:
    """A file of that name beside another, and those that a browser numbered."""
    stem = case_name(name)
    numbered = re.compile(re.escape(stem) + r" ?\(\d+\)" + re.escape(name[len(stem) :]))
    others = sorted(path for path in file.parent.iterdir() if numbered.fullmatch(path.name))
    return [path for path in (file.with_name(name), *others) if path.is_file()]


def _check_answers(review: Review, file: Path, before: NDArray[np.uint8], after: NDArray[np.uint8]) -> None:
    changed = before != after
    for value in sorted({*np.unique(before[changed]).tolist(), *np.unique(after[changed]).tolist()} - {0}):
        if review.answer(value).answer == "accept":
            raise InputError(
                f"{review.structures[value]} was accepted, but its outline was changed",
                where=file,
                repair="review the case anew",
            )
