"""Names for parts: a registry builds what a config or a model package names, and nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast, get_args, get_type_hints

from medswin.errors import ConfigError

T = TypeVar("T")


class Registry(Mapping[str, Callable[..., T]], Generic[T]):
    """Maps names to constructors of one kind of part.

    Args:
        kind: what the parts are, in a word ("encoder"), for error messages.
        parts: name -> constructor. Inside medswin, adding a part is adding one line here; from outside, see `add`.
    """

    def __init__(self, kind: str, parts: Mapping[str, Callable[..., T]]) -> None:
        self.kind = kind
        self._parts = dict(parts)
        self._added: set[str] = set()

    def __getitem__(self, name: str) -> Callable[..., T]:
        if name not in self._parts:
            raise ConfigError(
                f"no {self.kind} is registered as {name!r}",
                repair=f"use one of: {', '.join(sorted(self._parts))}; or import the code that adds it first",
            )
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def add(self, name: str, constructor: Callable[..., T]) -> None:
        """Register a part of one's own, for this process: configs and model packages can name it from now on.

        A process that loads a package with such a part has to add it before, under the same name.

        Raises:
            ConfigError: for a name that is taken or empty, or a constructor that cannot be called.
        """
        if name in self._parts:
            again = f"remove({name!r}) it first, or " if name in self._added else ""
            raise ConfigError(f"{self.kind} {name!r} is registered already", repair=f"{again}use another name")
        if not name:
            raise ConfigError(f"a {self.kind} cannot be called {name!r}", repair="give it a name")
        if not callable(constructor):
            raise ConfigError(f"{self.kind} {name!r} cannot be called", repair="give its class, or a function")
        self._parts[name] = constructor
        self._added.add(name)

    def remove(self, name: str) -> None:
        """Take back what `add` registered. medswin's own parts stay.

        Raises:
            ConfigError: for a name that was not added.
        """
        if name not in self._added:
            raise ConfigError(
                f"no {self.kind} was added as {name!r}", repair=f"use one of: {', '.join(sorted(self._added)) or '-'}"
            )
        self._added.remove(name)
        del self._parts[name]

    def check(self, name: str, params: Mapping[str, Any], given: Mapping[str, Any] | None = None) -> None:
        """Raise ConfigError unless ``name`` is registered and its constructor takes exactly ``params`` and ``given``.

        Args:
            name: of the part.
            params: what a user sets.
            given: what the caller sets itself, and no user may.
        """
        given = given or {}
        signature = inspect.signature(self[name])
        taken = [n for p in signature.parameters.values() for n in _names(p, self[name]) if n not in given]
        reserved = sorted(set(params) & set(given))
        if reserved:
            raise ConfigError(
                f"{', '.join(map(repr, reserved))} of {self.kind} {name!r} is set by the run itself",
                repair="take it out",
            )
        unknown = sorted(set(params) - set(taken))
        if unknown:
            raise ConfigError(
                f"{self.kind} {name!r} has no parameter {', '.join(map(repr, unknown))}",
                repair=f"use some of: {', '.join(taken)}" if taken else "it takes none",
            )
        try:
            signature.bind(**params, **given)
        except TypeError as error:
            raise ConfigError(f"{self.kind} {name!r}: {error}", repair="add the missing parameter") from error

    def build(self, name: str, /, **params: Any) -> T:
        """Build the part registered as ``name``.

        Raises:
            ConfigError: if the name or a parameter is unknown, or a required parameter is missing.
        """
        self.check(name, params)
        return self[name](**params)


def _names(parameter: inspect.Parameter, constructor: Callable[..., Any]) -> list[str]:
    """The arguments that a parameter stands for: itself, or the keys of the typed dictionary that it unpacks."""
    if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
        return [parameter.name]
    function = cast(Any, constructor).__init__ if isinstance(constructor, type) else constructor
    unpacked = get_args(get_type_hints(function).get(parameter.name))
    return [key for keys in unpacked for key in keys.__annotations__]
