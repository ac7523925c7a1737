"""Codes of structures: the model's own, and for what has none a private one, the same for the same name."""

from __future__ import annotations

import re
from typing import Any

from medswin.io.files import sha256
from medswin.labels import Code, Label
from medswin.review.dicom.identity import MAKER, SCHEME
from medswin.review.dicom.text import line

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
VOLUME = Code("118565006", "SCT", "Volume")
MILLILITRE = Code("ml", "UCUM", "milliliter")
ONE = Code("1", "UCUM", "no units")
SIDES = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}
_ABNORMAL = {"tumor", "tumour", "lesion", "lesions", "metastasis", "metastases", "cyst", "nodule", "edema", "oedema",
             "necrosis", "cancer", "infarct", "haemorrhage", "hemorrhage"}  # fmt: skip
_DIGITS = 12


def concept(code: Code) -> Any:
    """A code as highdicom takes it, with what does not fit into its fields cut."""
    from highdicom.sr import CodedConcept

    return CodedConcept(line(code.value), line(code.scheme, 16), line(code.meaning) or line(code.value))


def structure(label: Label) -> Code:
    """What a structure is: its code, or a private one that is made of its name."""
    return label.code or private(label.name)


def private(meaning: str) -> Code:
    """A code in medswin's own scheme: the same for the same meaning, so that no table of them has to be kept."""
    return Code(sha256(meaning.encode("utf-8", errors="replace"))[:_DIGITS], SCHEME, meaning)


def modifiers(label: Label) -> list[Code]:
    """The part of the structure, and the side that its name tells."""
    found = [label.modifier] if label.modifier else []
    return found + [side for side in [side_of(label)] if side and side not in found]


def side_of(label: Label) -> Code | None:
    """Left or right, where the name says one of them."""
    told = [SIDES[word] for word in _words(label) if word in SIDES]
    return told[0] if len(told) == 1 else None


def category(label: Label) -> Code:
    """Whether a structure is anatomy or, by its name, a change of it."""
    return ABNORMAL if _ABNORMAL & set(_words(label)) else ANATOMY


def scheme() -> Any:
    """What says whose the private scheme is."""
    from highdicom.coding_schemes import CodingSchemeIdentificationItem

    return CodingSchemeIdentificationItem(
        designator=SCHEME, name="Names of structures and evaluations in medswin", responsible_organization=MAKER
    )


def _words(label: Label) -> list[str]:
    return re.split(r"[^a-z]+", label.name.lower())
