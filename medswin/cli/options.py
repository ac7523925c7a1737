"""Values that an option holds as one word: lists of numbers and names, and intensity scales."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from medswin.errors import ConfigError


def key_values(texts: Sequence[str], option: str) -> dict[str, Any]:
    """``normalize=false`` -> ``{"normalize": False}``; values are read as YAML."""
    values = {}
    for text in texts:
        key, sign, value = text.partition("=")
        try:
            values[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"{value!r} is not a YAML value", where=f"{option} {key}") from error
        if not sign or not key.strip():
            raise ConfigError(f"is not KEY=VALUE: {text!r}", where=option, repair="write it as normalize=false")
    return values


def as_words(values: Mapping[str, Any], option: str) -> str:
    """The inverse of `key_values`, quoted for a shell: `` --set normalize=false``, one after the other."""
    texts = {name: yaml.safe_dump(value, default_flow_style=True, width=float("inf")) for name, value in values.items()}
    plain = {name: text.removesuffix("\n").removesuffix("\n...") for name, text in texts.items()}
    return "".join(f" {option} {shlex.quote(f'{name}={text}')}" for name, text in plain.items())


def three(text: str, option: str, kind: Any) -> tuple[Any, Any, Any]:
    """``1.5,1.5,2`` -> three positive finite numbers of a kind (int or float)."""
    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3 or not all(0 < value < float("inf") for value in values):
        what = "three positive whole numbers" if kind is int else "three positive numbers"
        raise ConfigError(f"takes {what} with commas between, got {text!r}", where=option)
    return values


def names(text: str, option: str) -> list[str]:
    """``spleen, liver`` -> different names, none of them empty."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts) or len(set(parts)) != len(parts):
        raise ConfigError(f"takes different names with commas between, got {text!r}", where=option)
    return parts


def intensity(text: str) -> dict[str, Any]:
    """``zscore`` or ``window:LOW:HIGH`` -> an entry of `medswin.transforms.preprocessing.INTENSITIES`."""
    name, *numbers = text.split(":")
    if name == "zscore" and not numbers:
        return {"name": "zscore"}
    try:
        low, high = map(float, numbers)
    except ValueError:
        low = high = float("nan")
    if name != "window" or not -float("inf") < low < high < float("inf"):
        raise ConfigError(f"is zscore or window:LOW:HIGH (LOW below HIGH), got {text!r}", where="--intensity")
    return {"name": "window", "low": low, "high": high}


def channels(text: str, count: int) -> list[str]:
    """Names of the network's channels, as many as it takes; where it takes one, that need not be named."""
    named = names(text, "--channels") if text or count > 1 else ["image"]
    if len(named) != count:
        raise ConfigError(
            f"the network takes {count} channels, {len(named)} are named",
            where="--channels",
            repair="name them in the order in which it was trained",
        )
    return named
