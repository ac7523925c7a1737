"""MetaImage and NRRD headers, read strictly: what ITK would take as it comes is checked in the text first."""

from __future__ import annotations

import math
import re
from pathlib import Path

from medswin.errors import InputError
from medswin.io.grid import sizes
from medswin.io.header import MAX_VOXELS
from medswin.io.itk_fields import CORRECT, META, Header, counts, fields_of, first, numbers, place

_META_LINE = re.compile(r"\s*(?P<key>[^=:]+?)\s*[=:]\s*(?P<value>.*?)\s*")
_NRRD_LINE = re.compile(r"(?P<key>[^:]+):(?P<value>=?.*?)\s*")
_SPACES = re.compile(r"[lr][ap]s|(left|right)-(anterior|posterior)-superior")
_NO_NUMBER = re.compile("color|complex|matrix|quaternion")


def header_of(block: bytes, path: Path) -> Header:
    """What the text at the begin of a file says, checked; the ending of its name says which format it is of.

    Args:
        block: the first bytes of the file, the whole header at least.
        path: of the file.

    Raises:
        InputError: for a header that is damaged, that asks for more than `MAX_VOXELS`, or that states no spacing.
    """
    header = (_meta if path.suffix.lower() in META else _nrrd)(block, path)
    _check_text(header, path)
    return header


def _meta(block: bytes, path: Path) -> Header:
    """A MetaImage's header ends with the line that says where the voxels are."""
    fields, end = fields_of(block, _META_LINE, "elementdatafile", path)
    if "ndims" not in fields or "elementdatafile" not in fields:
        raise InputError("is not a MetaImage file", where=path, repair="export the scan again, or as .nii.gz")
    placed = {"transformmatrix", "rotation", "orientation"} & set(fields)
    slope, inter = (fields.get(f"elementtointensityfunction{key}") for key in ("slope", "offset"))
    zipped = fields.get("compresseddata", "false").lower() == "true"
    data = place(fields["elementdatafile"], path)
    begins = end if data == path else 0
    return Header(
        counts(f"{fields.get('dimsize', '')} {fields.get('elementnumberofchannels', '')}", path),
        numbers(fields.get("elementspacing", fields.get("elementsize")), path),
        bool(placed) or fields.get("anatomicalorientation", "").upper() == "RAI",
        True,
        (first(slope, 1.0, path), first(inter, 0.0, path)),
        data,
        begins if fields.get("headersize", "0") == "0" else None,
        "zlib" if zipped else "raw" if fields.get("binarydata", "true").lower() == "true" else "text",
    )


def _nrrd(block: bytes, path: Path) -> Header:
    """An NRRD's header ends with an empty line, or with its file where the voxels lie in another."""
    magic, _, rest = block.partition(b"\n")
    if not magic.startswith(b"NRRD000"):
        raise InputError("is not an NRRD file", where=path, repair="export the scan again, or as .nii.gz")
    fields, end = fields_of(rest, _NRRD_LINE, "", path)
    if _NO_NUMBER.search(fields.get("kinds", "").lower()):
        raise InputError("its voxels are colours or tensors, a scan has real numbers", where=path, repair="convert it")
    units = re.findall(r'"([^"]*)"', fields.get("spaceunits", fields.get("units", "")))
    spacing = numbers(fields.get("spacings"), path)
    data = place(fields.get("datafile", "LOCAL"), path)
    skips = any(fields.get(key, "0") != "0" for key in ("byteskip", "lineskip"))
    begins = len(magic) + 1 + end if data == path else 0
    return Header(
        counts(fields.get("sizes", ""), path),
        () if spacing is None and "spacedirections" in fields else spacing,
        _SPACES.fullmatch(fields.get("space", "").lower()) is not None,
        set(units) <= {"mm", "", "???"},
        (1.0, 0.0),
        data,
        None if skips else begins,
        fields.get("encoding", "unknown").lower(),
    )


def _check_text(header: Header, path: Path) -> None:
    """What ITK would pass over, or ask too much memory for."""
    if math.prod(header.shape) > MAX_VOXELS:
        raise InputError(
            f"its header declares {sizes(header.shape)} voxels, at most {MAX_VOXELS} can be used",
            where=path,
            repair="crop the scan, or repair the header",
        )
    if header.spacing is None:
        raise InputError("its header states no voxel spacing", where=path, repair=CORRECT)
    if any(not side > 0 or math.isinf(side) for side in header.spacing):
        text = sizes(f"{side:g}" for side in header.spacing)
        raise InputError(
            f"its header states a voxel spacing ({text}), each side must be above 0 mm", where=path, repair=CORRECT
        )
