"""YAML and ``--set`` to a checked config, with errors that people can act on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from medswin.config.schema import Config, PretrainConfig
from medswin.errors import ConfigError

C = TypeVar("C", bound=BaseModel)


def load(path: Path | str, overrides: Sequence[str] = ()) -> Config:
    """A training run's config, see `load_as`."""
    return load_as(Config, path, overrides)


def load_any(path: Path | str, overrides: Sequence[str] = ()) -> Config | PretrainConfig:
    """The config of a training run or, where it has ``tasks``, of a pre-training run, see `load_as`."""
    values = _read(Path(path), overrides)
    if "tasks" in values:
        return _checked(PretrainConfig, values, Path(path))
    return _checked(Config, values, Path(path))


def load_as(kind: type[C], path: Path | str, overrides: Sequence[str] = ()) -> C:
    """Read a config and change it by ``a.b=value`` overrides, whose values are read as YAML.

    Raises:
        ConfigError: for a file that cannot be read, an unknown key, an unregistered name, a value of the wrong kind.
    """
    return _checked(kind, _read(Path(path), overrides), Path(path))


def _read(path: Path, overrides: Sequence[str]) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror})", where=path, repair="check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not YAML ({_first_line(error)})", where=path, repair="mend that line") from error
    if not isinstance(values, dict):
        raise ConfigError("holds no keys", where=path, repair="start from a shipped config: medswin config show NAME")
    for override in overrides:
        _override(values, override)
    return values


def _checked(kind: type[C], values: dict[str, Any], path: Path) -> C:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(row, kind) for row in error.errors()), where=path) from error
    except ConfigError as error:
        raise ConfigError(str(error), where=path) from error


def _override(values: dict[str, Any], override: str) -> None:
    key, sign, text = override.partition("=")
    *parents, last = key.strip().split(".")
    if not sign or not last or not all(parents):
        raise ConfigError(f"is not KEY=VALUE: {override!r}", where="--set", repair="write it as training.max_steps=20")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{text!r} is not a YAML value", where=f"--set {key}") from error
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ConfigError(f"{parent!r} holds no keys", where=f"--set {key}", repair="see medswin config show")
    values[last] = value


def _explain(row: Any, kind: type[BaseModel]) -> str:
    place = ".".join(str(part) for part in row["loc"])
    if row["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"{place} is not a key; known there: {', '.join(_keys(row['loc'][:-1], kind))}"
    if row["type"] in ("missing", "missing_argument"):
        return f"{place} is missing"
    reason = str(row["msg"]).removeprefix("Value error, ")
    return f"{place}: {reason}" + (f", got {row['input']!r}" if row["type"] != "value_error" else "")


def _keys(place: Sequence[Any], kind: type[BaseModel]) -> list[str]:
    section: Any = kind
    for part in place:
        if isinstance(part, str):
            section = section.model_fields[part].annotation
            section = next((kind for kind in _kinds(section) if hasattr(kind, "model_fields")), section)
    if isinstance(section, type) and issubclass(section, BaseModel):
        return list(section.model_fields)
    return [field.name for field in fields(section)] if is_dataclass(section) else []


def _kinds(annotation: Any) -> list[Any]:
    """The types that an annotation is made of: of ``list[Structure] | None`` they are Structure and None."""
    return [kind for part in get_args(annotation) for kind in (_kinds(part) or [part])]


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())
