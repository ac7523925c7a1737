"""Where and in which number format a network runs, and whether a scan fits there."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch

from medswin.errors import ConfigError, InputError
from medswin.io.scan import Scan
from medswin.networks.precision import has_bf16

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
UNKNOWN_MEMORY = 2**34  # bytes that are taken for granted where the system does not tell


def find_device(name: str | torch.device) -> torch.device:
    """The device of that name: ``"cpu"``, or ``"cuda"`` with or without a number.

    Raises:
        ConfigError: for another, or one that is not there.
    """
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError("only cpu, cuda and cuda:N can be used")
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"no device {str(name)!r} here ({reason})", where="device", repair='use "cpu"') from error
    return device


def device_name(device: torch.device) -> str:
    """Its name for people, with the GPU's."""
    return f"{device} ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)


def find_precision(name: str, device: torch.device) -> str:
    """The number format for a device.

    Args:
        name: ``"fp32"``, ``"bf16"``, ``"fp16"`` (GPU only), or ``"auto"``: bf16 where the device computes it
            natively, else fp16 on GPUs and fp32 on CPUs.
        device: where the network runs.

    Raises:
        ConfigError: for another name, or fp16 on a CPU.
    """
    if name == "auto":
        return "bf16" if has_bf16(device) else "fp16" if device.type == "cuda" else "fp32"
    if name not in PRECISIONS:
        raise ConfigError(f"no precision {name!r}", where="precision", repair=f"use auto, {', '.join(PRECISIONS)}")
    if name == "fp16" and device.type == "cpu":
        raise ConfigError("CPUs do not compute in fp16", where="precision", repair="use auto, fp32 or bf16")
    return name


def mixed(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Within it, matrix products and convolutions run in that precision (automatic mixed precision)."""
    return torch.autocast(device.type, PRECISIONS[precision], enabled=precision != "fp32")


def check_fits(scan: Scan, spacing_mm: Sequence[float] | None, memory: int | None = None) -> None:
    """Refuse a scan that on the network's grid is larger than memory, or smaller than a voxel.

    Args:
        scan: as read.
        spacing_mm: of the network's grid per RAS axis; None for the scan's own.
        memory: bytes; those of this machine where None.

    Raises:
        InputError: naming the scan, its size on the network's grid, and the repair.
    """
    where, spacing = scan.path or scan.case, spacing_mm or scan.spacing_mm
    voxels = [max(fov / side, 1e-9) for fov, side in zip(scan.fov_mm, spacing, strict=True)]
    sizes, grid = (" x ".join(f"{value:.3g}" for value in row) for row in (scan.fov_mm, spacing))
    if min(voxels) < 1:
        raise InputError(
            f"a field of view of {sizes} mm is less than a voxel of the model ({grid} mm)",
            where=where,
            repair="check the spacing and its unit in the header",
        )
    needed = 4 * math.prod(voxels) * 2 * len(scan.image)  # the image before and after normalisation, float32
    held = memory if memory is not None else machine_memory()
    if needed > held:
        raise InputError(
            f"a field of view of {sizes} mm at the model's {grid} mm takes {needed / 1e9:.3g} GB of memory, "
            f"this machine has {held / 1e9:.3g} GB",
            where=where,
            repair="cut the region out with --box, or check the spacing in the header",
        )


def machine_memory() -> int:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return UNKNOWN_MEMORY


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out; on CPUs torch says so in a plain RuntimeError."""
    words = ("not enough memory", "can't allocate memory", "out of memory")
    return isinstance(error, MemoryError) or any(text in str(error).lower() for text in words)
