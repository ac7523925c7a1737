"""Memory of the process: what one tensor gives back, the next one takes."""

from __future__ import annotations

import ctypes
import sys

# glibc's names and numbers (malloc.h). By default it returns every large block to the system and asks for it again,
# zeroed page by page, for the next tensor of the same size: a fifth of the time of a network on two CPU cores.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT_BYTES = 2**31 - 1  # free at the end of the heap before it is returned
MAPPED_BYTES = 2**28  # a larger block, such as a large scan, comes from the system and goes back to it


def keep_freed() -> bool:
    """Have this process use freed memory again, where its C library is glibc; whether it is."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES) and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))
    except (OSError, AttributeError):
        return False
