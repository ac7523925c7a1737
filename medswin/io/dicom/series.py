"""Series: the slices of one volume, in their order along the normal, whatever their names and numbers say."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.dicom.grouping import SAME_MM, along, volumes
from medswin.io.dicom.header import Header, read_headers
from medswin.io.dicom.silence import silenced
from medswin.io.dicom.zipped import is_zip
from medswin.io.files import read_bytes, sha256
from medswin.io.grid import Triple, sizes

PLANES = ("sagittal", "coronal", "axial")
IN_PLANE = 0.8  # least cosine between the normal and an axis of the body for a plane to have its name; as in GDCM


@dataclass(frozen=True, eq=False, repr=False)
class Series:
    """The slices of one volume, not yet looked into. Its ``repr`` tells no more than a log may.

    Attributes:
        id: a name that tells nothing of the patient: a keyed hash of the series' UID.
        study: such a name of its study; of the series where that names none.
        modality: CT, MR, PT or NM.
        description: as the scanner's operator wrote it; may hold anything, so it belongs in no log.
        slices: sorted along the normal; those without a position come in the order of their names.
        findings: what was noticed about their folders.
        person: such a name of the patient; of the study where no patient is named.
    """

    id: str
    study: str
    modality: str
    description: str
    slices: tuple[Header, ...]
    findings: tuple[Finding, ...] = ()
    person: str = ""

    def __repr__(self) -> str:
        return f"<{self.id}: {self.summary}>"

    @property
    def files(self) -> tuple[Path, ...]:
        """Of the slices, in their order; a multi-frame file once."""
        return tuple(dict.fromkeys(header.path for header in self.slices))

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of a slice."""
        return self.slices[0].size

    @property
    def spacing_mm(self) -> Triple | None:
        """Distance of columns, of rows and of slices (the median, 0 where all lie at one place); None if not told."""
        positions, place = along(self.slices), self.slices[0].place
        if positions is None or place is None:
            return None
        steps = np.diff(positions)
        apart = steps[steps >= SAME_MM]  # twins lie at one place
        columns, rows = place.pixel_mm
        return float(columns), float(rows), float(np.median(apart)) if len(apart) else 0.0

    @property
    def plane(self) -> str:
        """``"axial"``, ``"coronal"`` or ``"sagittal"`` within 37 degrees; else ``"oblique"``, or ``"unknown"``."""
        place = self.slices[0].place
        if place is None:
            return "unknown"
        cosines = np.abs(place.normal)
        return PLANES[int(cosines.argmax())] if cosines.max() >= IN_PLANE else "oblique"

    @property
    def summary(self) -> str:
        """What a log may tell: ``"CT, 20 slices of 512 x 512, 0.977 x 0.977 x 3 mm, axial"``."""
        spacing = "spacing unknown" if self.spacing_mm is None else f"{sizes(f'{s:.3g}' for s in self.spacing_mm)} mm"
        return f"{self.modality}, {len(self.slices)} slices of {sizes(self.size)}, {spacing}, {self.plane}"


@dataclass(frozen=True, eq=False)
class Tree:
    """What a tree of files holds.

    Attributes:
        series: sorted by their names.
        passed_over: how many files, or frames of files, were left out, by what they are.
    """

    series: tuple[Series, ...]
    passed_over: dict[str, int]


def find_series(path: Path | str, key: bytes) -> Tree:
    """The series in a file or a tree of them, each time point or echo of a series its own; with or without ``.dcm``.

    The frames of an enhanced multi-frame file, classic or legacy-converted, are slices like any other. Localisers,
    lone slices, secondary captures, colour images, structured reports, other multi-frame files and what is not DICOM
    are passed over. A series in whose folder a file is damaged says so. A zip is read through `unpacked`.

    Args:
        path: a folder of any depth, or one file. Hidden files and ``DICOMDIR`` are passed over.
        key: of the hash that names the series; whoever has it can tell which UID a name stands for.

    Raises:
        InputError: if there is no such path, it is a zip, or no series is in it; the error counts what there is
            instead.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("no such folder or file", where=path, repair="check the path")
    if is_zip(path):
        raise InputError("is a zip", where=path, repair="unpack it, or open it with medswin.io.dicom.unpacked")
    headers: list[Header] = []
    others, damaged = Counter[str](), Counter[Path]()
    with silenced():
        for file, found in read_headers(path):
            if isinstance(found, Header):
                headers.append(found)
            else:
                others[found] += 1
                damaged[file.parent] += found == "damaged"
    parts = volumes(headers)
    series = [part for part in parts if len(part) > 1]
    if len(series) < len(parts):
        others["lone slices"] = len(parts) - len(series)
    if not series:
        raise _nothing(path, others)
    return Tree(tuple(sorted(_named(series, key, damaged), key=lambda one: one.id)), dict(others))


def _nothing(path: Path, others: Counter[str]) -> InputError:
    seen = ", ".join(f"{count} {what}" for what, count in sorted(others.items())) or "no files"
    what = f"no NIfTI file, and no DICOM series of CT, MR, PT or NM: {seen}"
    return InputError(what, where=path, repair="name another folder")


def _named(groups: Sequence[list[Header]], key: bytes, damaged: Counter[Path]) -> list[Series]:
    found = []
    for group in groups:
        first = group[0]
        told = first.series if first.has_uid else sha256(read_bytes(first.path))  # or all such would have one name
        name, study = (_pseudonym(what, uid, key) for what, uid in (("series", told), ("study", first.study)))
        bad = sum(damaged[folder] for folder in {header.path.parent for header in group})
        said = f"{bad} damaged file(s) lie beside its slices: its first or last slice may be missing."
        findings = (Finding("damaged-files", "warn", said, "export the series again"),) if bad else ()
        study = study if first.study else name
        person = _pseudonym("person", first.patient, key) if first.patient else study
        found.append(Series(name, study, first.modality, first.description, tuple(group), findings, person))
    counts, seen = Counter(series.id for series in found), Counter[str]()
    for i, series in enumerate(found):
        if counts[series.id] > 1:
            seen[series.id] += 1
            digits = len(str(counts[series.id]))  # so that the order of the names is that of the times
            found[i] = replace(series, id=f"{series.id}-{seen[series.id]:0{digits}}")
    return found


def _pseudonym(what: str, uid: str, key: bytes) -> str:
    return f"{what}-{hmac.new(key, uid.encode(), 'sha256').hexdigest()[:12]}"
