"""Reading ahead and writing behind: two threads beside the network's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Ahead(Generic[T]):
    """Reads one item while the one before it is used.

    Args:
        items: in the order in which they will most likely be taken.
        read: what is done with each, in a thread.
        alone: items that are read only when they are taken, and while which no other is read.
    """

    def __init__(self, items: Sequence[Path], read: Callable[[Path], T], alone: Callable[[Path], bool]) -> None:
        self.read, self.alone = read, alone
        self.next = dict(pairwise(items))
        self.started: dict[Path, Future[T]] = {}
        self.pool = ThreadPoolExecutor(1)

    def take(self, item: Path) -> T:
        """What `read` makes of an item, or its error; the reading of the next one begins."""
        future = self.started.pop(item, None) or self.pool.submit(self.read, item)
        try:
            return future.result()
        finally:
            after = self.next.get(item)
            if after is not None and not (self.alone(item) or self.alone(after)):
                self.started[after] = self.pool.submit(self.read, after)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.pool.shutdown(wait=kind is None, cancel_futures=True)


class Behind(Generic[R]):
    """Does one piece of work while the next one is prepared, in order, and keeps what each gives.

    Args:
        explain: an item and the error of its work -> what is kept in its place; a kept error would keep all that its
            frames hold.
    """

    def __init__(self, explain: Callable[[Path, Exception], R]) -> None:
        self.explain = explain
        self.results: list[Future[R]] = []
        self.pool = ThreadPoolExecutor(1)

    def put(self, item: Path, work: Callable[[], R]) -> None:
        """Wait for the work before, and begin this one."""
        self.wait()
        self.results.append(self.pool.submit(self._attempt, item, work))

    def wait(self) -> None:
        """Until all is done."""
        if self.results:
            self.results[-1].result()

    def _attempt(self, item: Path, work: Callable[[], R]) -> R:
        try:
            return work()
        except Exception as error:
            return self.explain(item, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.pool.shutdown(wait=True)  # what is begun is written, whatever happened
