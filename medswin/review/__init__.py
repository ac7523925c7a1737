"""What a clinician is handed: today one self-contained HTML page over any number of cases.

A page shows, per case, the verdict on the scan in plain words, volumes, findings, the three planes to scroll through
and key images that need no script. It opens from a file without a network and holds no identity beyond the case names
that the predictions carry.
"""

from __future__ import annotations

from medswin.review.case import ReviewCase
from medswin.review.page import write_page
from medswin.review.volumes import VolumeRow, significant, volume_rows
from medswin.review.words import VerdictWords, numbers, verdict_words

__all__ = [
    "ReviewCase",
    "VerdictWords",
    "VolumeRow",
    "numbers",
    "significant",
    "verdict_words",
    "volume_rows",
    "write_page",
]
