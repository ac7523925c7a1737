"""Which window a block's bias table is of: its index buffer tells that exactly, its length only for a cube."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor

from medswin.networks.blocks.position import RelativeBias
from medswin.networks.contract import Triple
from medswin.networks.partition import relative_index
from medswin.networks.segmenter import Segmenter


def index_name(table: str) -> str:
    """MONAI's name of the index buffer beside a bias table."""
    return table.replace("relative_position_bias_table", "relative_position_index")


def own_windows(segmenter: Segmenter, names: Mapping[str, str]) -> dict[str, Triple]:
    """MONAI's name of the index buffer of every block -> the window of our block.

    Args:
        names: our tensor names -> MONAI's.
    """
    biases = [(name, module) for name, module in segmenter.named_modules() if isinstance(module, RelativeBias)]
    return {index_name(names[f"{name}.table"]): module.window for name, module in biases}


def is_of(index: Tensor, window: Triple) -> bool:
    """Whether an index buffer, of any number type, is that of blocks with this window."""
    own = relative_index(window, window)
    return index.shape == own.shape and torch.equal(index.cpu(), own.to(index.dtype))


def window_of(index: Tensor) -> Triple | None:
    """The window whose (N, N) index buffer this is; None where it is of none."""
    sides = index.shape[0] if index.ndim == 2 else 0
    return next((window for window in _windows(sides) if _corner(index, window) and is_of(index, window)), None)


def told_window(known: Mapping[str, Tensor], table: str) -> Triple | None:
    """The window of a block by canonical names: by its index buffer, else as the cube whose table is as long.

    Args:
        known: tensors, among them the bias table ``table``.
    """
    index = known.get(index_name(table))
    if index is not None:
        return window_of(index)
    rows = known[table].shape[0]
    return next(((n, n, n) for n in range(1, 65) if (2 * n - 1) ** 3 == rows), None)


def _windows(tokens: int) -> list[Triple]:
    """Every window of this many tokens."""
    return [
        (d, h, tokens // (d * h))
        for d in range(1, tokens + 1)
        if tokens % d == 0
        for h in range(1, tokens // d + 1)
        if tokens // d % h == 0
    ]


def _corner(index: Tensor, window: Triple) -> bool:
    """Whether the pair of the last and the first token reads the table's last row: seen without the whole index."""
    last = torch.tensor(prod(2 * n - 1 for n in window) - 1).to(index.dtype)
    return bool(index[-1, 0].cpu() == last)
