"""Identifiers of a scan: valid as they are, or made up on request, the same ones each time."""

from __future__ import annotations

import hmac
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medswin.errors import InputError
from medswin.io.files import read_bytes, sha256

CLASSES = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "NM": "1.2.840.10008.5.1.4.1.1.20",
}
"""The storage class of a slice of each modality, for files that do not say."""
_REPAIR = (
    "export the series again from the archive that has it; or add --repair-uids, which makes identifiers up (the same "
    "in each export) that no archive knows"
)


@dataclass(frozen=True)
class Identifiers:
    """Of a scan; its ``repr`` must go into no log.

    Attributes:
        study, series, frame: of the study, the series and the frame of reference.
        instances: storage class and identifier of each file.
        notes: what was made up, in words.
    """

    study: str
    series: str
    frame: str
    instances: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()


def identifiers(files: Sequence[Path], headers: Sequence[Any], case: str, key: bytes | None) -> Identifiers:
    """The identifiers that files have in common, and those of each.

    Args:
        files: of one series.
        headers: of the files, by pydicom.
        case: names the scan in errors.
        key: of what is made up; None to make nothing up.

    Raises:
        InputError: without a key, for what is missing or invalid; for files of several studies, series or frames of
            reference.
    """
    faults = _faults(headers)
    if faults and key is None:
        raise InputError(f"its files have no valid {', '.join(faults)}", where=case, repair=_REPAIR)
    instances, notes = _instances(files, headers, key or b"")
    made = [] if key is None else [uid for _, uid in instances]
    first, told = headers[0], dict[str, str]()
    for name, tag in (("series", "SeriesInstanceUID"), ("study", "StudyInstanceUID"), ("frame", "FrameOfReferenceUID")):
        found = _shared(headers, tag, case)
        if not found and key is not None:
            found = made_up(key, name, *_known_of(name, first, told, made))
            notes.append(f"{tag} was made up")
        told[name] = found
    return Identifiers(told["study"], told["series"], told["frame"], tuple(instances), tuple(notes))


def made_up(key: bytes, *of: str) -> str:
    """An identifier that tells nothing of what it is made of, and is the same each time for one key."""
    digest = hmac.new(key, "\0".join(of).encode(errors="replace"), "sha256").digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"


def valid(uid: object) -> str:
    """The identifier if it is one, else an empty text."""
    from pydicom.uid import UID

    text = str(uid or "")
    return text if text and UID(text).is_valid else ""


def _faults(headers: Sequence[Any]) -> list[str]:
    """Which identifiers are missing, invalid or, of instances, there twice."""
    tags = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    faults = [tag for tag in tags if not all(valid(header.get(tag)) for header in headers)]
    own = Counter(str(header.get("SOPInstanceUID")) for header in headers)
    if "SOPInstanceUID" not in faults and len(own) < len(headers):
        faults.append("SOPInstanceUID of its own in each file")
    return faults


def _instances(files: Sequence[Path], headers: Sequence[Any], key: bytes) -> tuple[list[tuple[str, str]], list[str]]:
    """Class and identifier of each file: its own, else what its file header says, else made up of its content."""
    own = [valid(header.get("SOPInstanceUID")) for header in headers]
    kept = [valid(header.file_meta.get("MediaStorageSOPInstanceUID")) for header in headers]
    counts, kept_counts = Counter(own), Counter(kept)
    found, recovered, invented = [], 0, 0
    for path, header, uid, meta in zip(files, headers, own, kept, strict=True):
        if not uid or counts[uid] > 1:
            good = bool(meta) and kept_counts[meta] == 1
            uid = meta if good else made_up(key, "instance", sha256(read_bytes(path)))
            recovered, invented = recovered + good, invented + (not good)
        found.append((_storage(header), uid))
    notes = [f"{recovered} SOPInstanceUID were taken from the header of the file"] if recovered else []
    notes += [f"{invented} SOPInstanceUID were made up"] if invented else []
    return found, notes


def _storage(header: Any) -> str:
    told = valid(header.get("SOPClassUID")) or valid(header.file_meta.get("MediaStorageSOPClassUID"))
    return told or CLASSES.get(str(header.get("Modality")), CLASSES["CT"])


def _shared(headers: Sequence[Any], tag: str, case: str) -> str:
    """The identifier that all have; empty where one has none that is valid."""
    found = {valid(header.get(tag)) for header in headers}
    if len(found - {""}) > 1:
        raise InputError(
            f"its slices have {len(found)} different {tag}", where=case, repair="export one series at a time"
        )
    return found.pop() if len(found) == 1 else ""


def _known_of(name: str, first: Any, told: dict[str, str], instances: Sequence[str]) -> list[str]:
    """What an identifier is made of: the same for all that shares it, and never that of two people."""
    if name == "series":
        return list(instances)
    if name == "frame":
        return [told["series"]]
    person = [str(first.get(tag) or "") for tag in ("PatientID", "PatientName")]
    day = [str(first.get(tag) or "") for tag in ("StudyDate", "StudyTime", "StudyID", "AccessionNumber")]
    return [*person, *day] if any(person) else [told["series"]]
