"""What became of a case in review, as far as the reviewer's file lies in its folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from medswin.errors import InputError
from medswin.review.answers import ANSWERS, read_review
from medswin.review.saved import last_of_each

OPEN = "open"


def state_of(folder: Path, case: str, labels_sha256: str) -> str:
    """``"open"``, ``"2 accept, 1 edit"``, or what is wrong with the file.

    Args:
        folder: of the case's packet, into which the reviewer moved what the page saved; the last of several counts.
        case: its name.
        labels_sha256: of the label map that the page shows; an answer to another one counts for nothing.
    """
    files, _ = last_of_each(sorted(folder.glob("*review*.json")))
    if not files:
        return OPEN
    try:
        review = next(found for file in reversed(files) if (found := read_review(file)).case == case)
    except StopIteration:
        return OPEN
    except InputError as error:
        return f"unreadable review: {error.what}"
    if review.labels_sha256 != labels_sha256:
        return "reviewed before it was segmented anew"
    count = Counter(one.answer for one in review.answers)
    return ", ".join(f"{count[answer]} {answer}" for answer in ANSWERS if count[answer]) or OPEN
