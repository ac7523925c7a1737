"""Which files and frames are set aside, as they are no slice of a volume of CT, MR, PET or NM."""

from __future__ import annotations

from medswin.io.dicom.values import Tags, listed

MODALITIES = ("CT", "MR", "PT", "NM")
FRAMES = "PerFrameFunctionalGroupsSequence"
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and what begins with it

_STORAGE = "1.2.840.10008.5.1.4.1.1."
IMAGES = tuple(_STORAGE + n for n in ("2", "4", "20", "128"))  # single slices of CT, MR, NM, PET
MULTI_FRAME = tuple(_STORAGE + n for n in ("2.1", "2.2", "4.1", "4.3", "4.4", "130", "128.1"))  # and frames of them


def set_aside(file: Tags, frame: Tags | None = None) -> str:
    """What a file is, or a frame of it, where it is no slice of a volume; empty where it is one.

    Args:
        file: its header.
        frame: of which frame the kind counts; the file's own kind where None.
    """
    stored = str(file.get("SOPClassUID") or "")
    said = {stored, str(file.get("MediaStorageSOPClassUID") or "")} - {""}
    kinds = {str(kind).upper() for kind in listed(frame or file, "ImageType")}
    if not file.get("Rows") or not file.get("Columns"):
        return "damaged" if not said or said & {*IMAGES, *MULTI_FRAME} else "no image"
    if file.get("Modality") not in MODALITIES:
        return "of another modality"
    if stored.startswith(SECONDARY_CAPTURE) or "SECONDARY CAPTURE" in kinds:
        return "secondary capture"
    if str(file.get("PhotometricInterpretation") or "MONOCHROME2") not in ("MONOCHROME1", "MONOCHROME2"):
        return "colour"
    if int(file.get("SamplesPerPixel") or 1) != 1:
        return "colour"
    if "MOSAIC" in kinds:  # all slices of a volume in one picture, as Siemens keeps functional MR
        return "mosaic"
    return _multi_frame(file, stored) or ("localiser" if {"LOCALIZER", "SCOUT"} & kinds else "")


def _multi_frame(file: Tags, stored: str) -> str:
    """What a file is where its frames do not each say where they lie, or not as many of them as it holds."""
    count, frames = int(file.get("NumberOfFrames") or 1), file.get(FRAMES)
    if frames is None:
        return "multi-frame" if count != 1 else "damaged" if stored in MULTI_FRAME else ""
    if stored and stored not in MULTI_FRAME:
        return "multi-frame"
    return "" if len(frames) == count else "damaged"
