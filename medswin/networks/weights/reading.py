"""Reading a foreign weight file: its tensors, and nothing that runs code."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.serialization import safe_globals

from medswin.errors import WeightsError

WRAPPERS = ("state_dict", "model", "network_weights", "net", "student", "teacher", "model_state_dict")
"""Keys under which files hold their weights, in the order in which they are tried; a wrapper may hold a wrapper."""

# What published checkpoints carry beside their weights: options of the training script, and figures such as the best
# Dice as NumPy numbers, some pickled before NumPy 2 renamed its modules. None of it can do anything on being built.
_SCALAR: Any = np.float64(0).__reduce__()[0]
_NUMBERS = [getattr(np.dtypes, name) for name in np.dtypes.__all__ if re.match("Bool|U?Int|Float", name)]
_SCALARS = [(_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
_HARMLESS = [argparse.Namespace, np.dtype, *_SCALARS, *_NUMBERS]


@dataclass(frozen=True)
class Weights:
    """A state dict as a file holds it.

    Attributes:
        state: its tensors by their names in the file.
        wrapper: the keys that it lay under, joined by dots; empty for a bare state dict.
        where: the file, for messages.
    """

    state: dict[str, Tensor]
    wrapper: str
    where: object


def read_weights(source: str | Path | Mapping[str, Any]) -> Weights:
    """The state dict of a ``.pt``, ``.pth`` or ``.safetensors`` file, or of what such a file held.

    Pickled files are read with ``weights_only=True``: a file that wants to build anything but tensors, plain values,
    NumPy numbers and script options is refused before it can.

    Args:
        source: a file, or a mapping; in both, the state dict may be wrapped, and what is no tensor is passed over.

    Raises:
        WeightsError: if there is no such file, it is cut short, unsafe, or holds no tensors under any known key.
    """
    where = "state dict" if isinstance(source, Mapping) else source
    content = source if isinstance(source, Mapping) else _read(Path(source))
    found = _unwrap(content)
    if found is None:
        known = ", ".join(WRAPPERS)
        raise WeightsError("it holds no state dict", where=where, repair=f"save model.state_dict(), bare or as {known}")
    return Weights(found[0], ".".join(found[1]), where)


def _read(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        what = "no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise WeightsError(what, where=path, repair="check the path") from error
    except SafetensorError as error:
        raise WeightsError("it is damaged", where=path, repair="get the file again") from error
    except Exception as error:  # torch.load raises whatever its parsers meet in a file that is none of its own
        raise _refusal(path, str(error)) from error


def _refusal(path: Path, message: str) -> WeightsError:
    asked = re.search(r"GLOBAL ([\w.]+)", message)
    if asked:
        what = f"it is not read, as it would run code of its own on being read ({asked[1]})"
        repair = "where you trust it, open it there and save the bare state dict: torch.save(model.state_dict(), path)"
        return WeightsError(what, where=path, repair=repair)
    return WeightsError(
        "it is damaged, cut short, or no checkpoint",
        where=path,
        repair="get the file again, or save the bare state dict: torch.save(model.state_dict(), path)",
    )


def _unwrap(content: Any) -> tuple[dict[str, Tensor], list[str]] | None:
    """Tensors and the keys they lay under, by the first wrapper that leads to any; a bare state dict comes last."""
    if not isinstance(content, Mapping):
        return None
    for key in WRAPPERS:
        found = _unwrap(content.get(key))
        if found is not None:
            return found[0], [key, *found[1]]
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    return (tensors, []) if tensors else None
