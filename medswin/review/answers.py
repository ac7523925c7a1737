"""What a reviewer said of a case: ``review.json``, as the review page saves it."""

from __future__ import annotations

REVIEW_VERSION = 1
ANSWERS = ("accept", "edit", "reject")
REASONS = {
    "": "no reason",
    "boundary": "the boundary is off",
    "leak": "it leaks into something else",
    "missed": "a part is missing",
    "wrong-structure": "it is another structure",
    "wrong-side": "it is the other side's",
    "image-quality": "the image is too poor",
    "anatomy": "unusual anatomy or surgery",
    "other": "other, see the remark",
}
