"""Memory that a tensor gave back is there for the next one."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

COUNT = """
import resource
import torch
from medswin.cli.memory import keep_freed
assert {keep} is False or keep_freed()
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(25_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is told to keep memory")
def test_the_next_tensor_gets_the_pages_of_the_last_one() -> None:
    """100 MB are 24 thousand pages of 4 kB; without it the system zeroes all of them for each tensor."""

    def faults(keep: bool) -> int:
        run = [sys.executable, "-c", COUNT.format(keep=keep)]
        return int(subprocess.run(run, capture_output=True, text=True, check=True).stdout)

    assert faults(keep=True) < 0.1 * faults(keep=False)
