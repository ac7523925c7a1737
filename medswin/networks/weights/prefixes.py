"""Weights whose names begin with something unknown: they would be passed over in silence."""

from __future__ import annotations

from collections.abc import Container, Mapping

from torch import Tensor

from medswin.errors import WeightsError
from medswin.networks.weights import names


def behind_prefix(name: str) -> tuple[str, str] | None:
    """The unknown prefix of a tensor's name and the canonical name behind it; None where no weight's name is."""
    parts = name.split(".")
    if names.is_weight(names.canonical_name(name)):
        return None
    for i in range(1, len(parts)):
        behind = names.canonical_name(".".join(parts[i:]))
        if names.is_weight(behind):
            known = next(j for j in range(i) if j == i - 1 or parts[j] not in names.PREFIXES)
            return ".".join(parts[known:i]), behind
    return None


def check_prefixes(
    state: Mapping[str, Tensor], where: object, places: Container[str] | None = None, otherwise: str = ""
) -> None:
    """Raise WeightsError if a weight under an unknown prefix is the only one for its place.

    Where the place is filled under a known name, the other is a copy (an average, the other network of a
    pre-training), and may be passed over.

    Args:
        state: tensors by canonical names.
        where: the file, for messages.
        places: canonical names that matter; any where None.
        otherwise: what can be done instead where the weight is none of the encoder's.
    """
    for name in state:
        found = behind_prefix(name)
        if found is None or found[1] in state or (places is not None and found[1] not in places):
            continue
        prefix, behind = found
        repair = f"take {prefix + '.'!r} off the names" + ("" if names.is_encoder(behind) else otherwise)
        raise WeightsError(
            f"{name!r} is the weight {behind!r} behind the prefix {prefix!r}, which is unknown; known are "
            f"{', '.join(sorted(names.PREFIXES))}",
            where=where,
            repair=repair,
        )
