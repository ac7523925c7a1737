"""Reading ahead and writing behind: two threads beside the network's."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import Generic, Self, TypeVar

I = TypeVar("I", bound=Hashable)  # noqa: E741
T = TypeVar("T")
R = TypeVar("R")


class Ahead(Generic[I, T]):
    """Reads one item while the one before it is used.

    Args:
        items: in the order in which they will most likely be taken.
        read: what is done with each, in a thread.
        alone: items that are read only when they are taken, and while which no other is read.
    """

    def __init__(self, items: Sequence[I], read: Callable[[I], T], alone: Callable[[I], bool]) -> None:
        self.read, self.alone = read, alone
        self.next = dict(pairwise(items))
        self.started: dict[I, Future[T]] = {}
        self.pool = ThreadPoolExecutor(1)

    def take(self, item: I) -> T:
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


class Behind(Generic[I, R]):
    """Does one piece of work while the next one is prepared, in order, and gives what comes of each.

    Args:
        explain: an item and the error of its work -> what is kept in its place; a kept error would keep all that its
            frames hold.
    """

    def __init__(self, explain: Callable[[I, Exception], R]) -> None:
        self.explain = explain
        self.begun: list[Future[R]] = []
        self.pool = ThreadPoolExecutor(1)

    def put(self, item: I, work: Callable[[], R]) -> None:
        """Wait for the work before, and begin this one."""
        self.wait()
        self.begun.append(self.pool.submit(self._attempt, item, work))

    def wait(self) -> None:
        """Until all is done."""
        if self.begun:
            self.begun[-1].result()

    def ended(self) -> Iterator[R]:
        """What is done and was not given yet, in order."""
        while self.begun and self.begun[0].done():
            yield self.begun.pop(0).result()

    def _attempt(self, item: I, work: Callable[[], R]) -> R:
        try:
            return work()
        except Exception as error:
            return self.explain(item, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.pool.shutdown(wait=True)  # what is begun is written, whatever happened
