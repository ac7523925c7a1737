"""Series: the slices of one volume, in their order along the normal, whatever their names and numbers say."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from medswin.errors import InputError
from medswin.findings import Finding
from medswin.io.dicom.grouping import SAME_MM, along, halves, volumes
from medswin.io.dicom.header import EMPTY, Header, read_headers
from medswin.io.dicom.silence import silenced
from medswin.io.dicom.zipped import is_zip
from medswin.io.files import read_bytes, sha256
from medswin.io.grid import Triple, sizes

PLANES = ("sagittal", "coronal", "axial")
_PARTS = {
    "between": Finding(
        "torn",
        "refuse",
        "its slices lie evenly between others of the series, of another time, pixel spacing or direction",
        "export the series again, as one volume",
    ),
    "behind": Finding(
        "goes-on",
        "warn",
        "Other slices of the series go on where it ends, of another time, pixel spacing or direction.",
        "see whether they are one volume; if so, export the series again",
    ),
}
"""What is said of parts of a series that may be one volume, see `halves`."""
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
        lone: slices that are no volume.
        broken: what is wrong in folders whose files, or some of which, cannot be read.
    """

    series: tuple[Series, ...]
    passed_over: dict[str, int]
    lone: tuple[Series, ...] = ()
    broken: dict[Path, str] = field(default_factory=dict)


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
    tree = search(path, key)
    if not tree.series:
        raise nothing(path, tree.passed_over)
    return tree


def search(path: Path | str, key: bytes) -> Tree:
    """As `find_series`, but that there is no series is no error."""
    path = Path(path)
    if not path.exists():
        raise InputError("no such folder or file", where=path, repair="check the path")
    if is_zip(path):
        raise InputError("is a zip", where=path, repair="unpack it, or open it with medswin.io.dicom.unpacked")
    headers: list[Header] = []
    others, broken = Counter[str](), dict[Path, str]()
    damaged, empty = Counter[Path](), list[Path]()
    with silenced():
        for file, found in read_headers(path):
            if isinstance(found, Header):
                headers.append(found)
            elif isinstance(found, OSError):
                broken[file] = f"it cannot be opened ({found.strerror})"
            elif found == EMPTY:
                empty.append(file)
            else:
                others[found] += 1
                damaged[file.parent] += found == "damaged"
    endings = {(header.path.parent, header.path.suffix) for header in headers}
    for file in empty:  # what is named like the slices beside it was one
        was_slice = (file.parent, file.suffix) in endings
        others["damaged" if was_slice else "not DICOM"] += 1
        damaged[file.parent] += was_slice
    for folder, count in damaged.items():
        if count:
            broken[folder] = f"{count} DICOM file(s) in it are damaged, slices or whole series may be missing"
    parts = volumes(headers)
    series, lone = ([part for part in parts if (len(part) > 1) is several] for several in (True, False))
    if lone:
        others["lone slices"] = len(lone)
    named = sorted(_named(series, key, damaged), key=lambda one: one.id)
    slices = tuple(replace(one, id=one.id.replace("series", "slice", 1)) for one in _named(lone, key, damaged))
    return Tree(tuple(named), dict(others), slices, broken)


def nothing(path: Path | str, others: Mapping[str, int]) -> InputError:
    """That no series is in a tree, and what is instead."""
    seen = ", ".join(f"{count} {what}" for what, count in sorted(others.items())) or "no files"
    what = f"no NIfTI file, and no DICOM series of CT, MR, PT or NM: {seen}"
    return InputError(what, where=path, repair="name another folder")


def _named(groups: Sequence[list[Header]], key: bytes, damaged: Counter[Path]) -> list[Series]:
    found, parts = [], dict[str, list[list[Header]]]()
    for group in groups:
        parts.setdefault(group[0].series, []).append(group)
    for group in groups:
        first = group[0]
        told = first.series if first.has_uid else sha256(read_bytes(first.path))  # or all such would have one name
        name, study = (pseudonym(what, uid, key) for what, uid in (("series", told), ("study", first.study)))
        bad = sum(damaged[folder] for folder in {header.path.parent for header in group})
        how = {halves(group, other) for other in parts[first.series] if other is not group}
        study = study if first.study else name
        person = pseudonym("person", first.patient, key) if first.patient else study
        findings = (*_beside(bad), *_spaces(group), *(_PARTS[one] for one in ("between", "behind") if one in how))
        found.append(Series(name, study, first.modality, first.description, tuple(group), findings, person))
    return numbered(found)


def numbered(found: Sequence[Series]) -> list[Series]:
    """The same, those of one name with a number behind it."""
    counts, seen = Counter(series.id for series in found), Counter[str]()
    named = list(found)
    for i, series in enumerate(found):
        if counts[series.id] > 1:
            seen[series.id] += 1
            digits = len(str(counts[series.id]))  # so that the order of the names is that of the times
            named[i] = replace(series, id=f"{series.id}-{seen[series.id]:0{digits}}")
    return named


def _beside(damaged: int) -> tuple[Finding, ...]:
    said = f"{damaged} damaged file(s) lie beside its slices: its first or last slice may be missing."
    return (Finding("damaged-files", "warn", said, "export the series again"),) if damaged else ()


def _spaces(group: Sequence[Header]) -> tuple[Finding, ...]:
    count = len({header.space for header in group})
    said = f"Its slices name {count} frames of reference: their positions may not be of one coordinate system."
    return (Finding("frames-of-reference", "warn", said, "export the series again"),) if count > 1 else ()


def pseudonym(what: str, uid: str, key: bytes) -> str:
    """A name that tells nothing of what it stands for, to nobody without the key."""
    return f"{what}-{hmac.new(key, uid.encode(), 'sha256').hexdigest()[:12]}"
