"""Number formats: which ones a device computes natively."""

from __future__ import annotations

import torch


def has_bf16(device: str | torch.device) -> bool:
    """Whether bfloat16 is computed natively there (AVX512-BF16 or AMX on CPUs), not emulated."""
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
