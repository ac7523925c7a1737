"""Names for parts: a registry builds what a config or a model package names, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from medswin.errors import ConfigError

T = TypeVar("T")


class Registry(Mapping[str, Callable[..., T]], Generic[T]):
    """Maps names to constructors of one kind of part.

    Args:
        kind: what the parts are, in a word ("encoder"), for error messages.
        parts: name -> constructor. Adding a part is adding one line here.
    """

    def __init__(self, kind: str, parts: Mapping[str, Callable[..., T]]) -> None:
        self.kind = kind
        self._parts = dict(parts)

    def __getitem__(self, name: str) -> Callable[..., T]:
        if name not in self._parts:
            raise ConfigError(
                f"no {self.kind} is registered as {name!r}", repair=f"use one of: {', '.join(sorted(self._parts))}"
            )
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def check(self, name: str, params: Mapping[str, Any]) -> None:
        """Raise ConfigError unless ``name`` is registered and its constructor takes exactly ``params``."""
        signature = inspect.signature(self[name])
        taken = [p.name for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        unknown = sorted(set(params) - set(taken))
        if unknown:
            raise ConfigError(
                f"{self.kind} {name!r} has no parameter {', '.join(map(repr, unknown))}",
                repair=f"use some of: {', '.join(taken)}",
            )
        try:
            signature.bind(**params)
        except TypeError as error:
            raise ConfigError(f"{self.kind} {name!r}: {error}", repair="add the missing parameter") from error

    def build(self, name: str, /, **params: Any) -> T:
        """Build the part registered as ``name``.

        Raises:
            ConfigError: if the name or a parameter is unknown, or a required parameter is missing.
        """
        self.check(name, params)
        return self[name](**params)
