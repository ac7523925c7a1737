"""Text as DICOM takes it, and text of others as it may go into an object."""

from __future__ import annotations

import unicodedata

LONGEST = 64
"""Of a value of type LO: characters, of which some readers take no more bytes."""
_CUT = "..."


def line(text: object, most: int = LONGEST) -> str:
    """Text as a value of one line: no control characters, no backslash (it parts values), no double spaces.

    Args:
        text: anything; what cannot be written as UTF-8 becomes a question mark.
        most: bytes of UTF-8; longer text is cut between characters, and ends in dots.
    """
    whole = str(text).encode("utf-8", errors="replace").decode("utf-8").replace("\\", "/")
    plain = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in whole)
    told = " ".join(plain.split())
    content = told.encode("utf-8")
    if len(content) <= most:
        return told
    return content[: most - len(_CUT)].decode("utf-8", errors="ignore").rstrip() + _CUT


def different(texts: list[str], most: int = LONGEST) -> list[str]:
    """The texts as `line` gives them, told apart by a number where cutting made two of them one; empty ones named."""
    given: list[str] = []
    for number, text in enumerate(texts, start=1):
        told = line(text, most) or f"structure {number}"
        if told in given:
            mark = f" ({number})"
            told = line(text, most - len(mark)) + mark
        given.append(told)
    return given
