"""Who does which case when: one after the other in this process, or several processes side by side.

A schedule takes cases and gives outcomes, each case's once, in any order. Nothing else in medswin knows how the work is
spread, so that another engine is another function of this form.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, TypeAlias

import torch

from medswin.errors import MedswinError, explain
from medswin.inference.outcome import Failed, Outcome
from medswin.inference.overlap import Ahead, Behind
from medswin.inference.work import Predicts, Work, failed, is_large
from medswin.io.sources import Source

Schedule: TypeAlias = Callable[[Sequence[Source], Work], Iterator[Outcome]]

TRIES = 2
"""How often a case is begun whose worker dies."""

_BEGUN = "begun"  # what a worker answers when it has its model and a case
_AWAKE_S = 3600.0  # after which the parent looks again, as no wait may be endless
_END_S = 5.0  # in which a killed process ends, unless it waits for a disk that does not answer


def in_turn(predictor: Predicts, elsewhere: Schedule | None = None) -> Schedule:
    """In this process: while the network runs on a case, the next one is read and the one before is written.

    Large cases (`medswin.inference.work.LARGE_BYTES`) are alone in memory. Those that never ended in an earlier run
    come last, since one of them may end this process too, unless they are done elsewhere.

    Args:
        predictor: the model.
        elsewhere: does the cases that never ended; they are done here, each alone, where None.
    """

    def run(sources: Sequence[Source], work: Work) -> Iterator[Outcome]:
        doubtful = [source for source in sources if source.case in work.begun.before]
        yield from here([source for source in sources if source not in doubtful], work)
        if doubtful:
            yield from (elsewhere or here)(doubtful, work)

    def here(sources: Sequence[Source], work: Work) -> Iterator[Outcome]:
        behind: Behind[Source, Outcome] = Behind(failed)

        def alone(source: Source) -> bool:
            return is_large(source) or source.case in work.begun.before

        def read(source: Source) -> Any:
            work.begun.begin(source.case)
            return work.read(predictor, source)

        with Ahead(sources, read, alone) as ahead, behind:
            for source in sources:
                if alone(source):
                    behind.wait()
                    yield from behind.ended()  # noted as ended before this one is begun
                behind.put(source, work.segmented(predictor, source, lambda source=source: ahead.take(source)))  # type: ignore[misc]
                if alone(source):
                    behind.wait()
                yield from behind.ended()
            behind.wait()
            yield from behind.ended()

    return run


def in_processes(load: Callable[[], Predicts], workers: int, timeout_s: float | None = None) -> Schedule:
    """In several processes on this machine, which share its cores; the largest cases first.

    A worker that dies, of too little memory for example, is replaced, and its case begun again, `TRIES` times in all.
    One that takes too long is killed and replaced too, and its case has failed.

    Args:
        load: makes a worker's predictor; it is handed to another process.
        workers: how many.
        timeout_s: how long a case may take, from when a worker with its model loaded has it; as long as it will where
            None.
    """

    def run(sources: Sequence[Source], work: Work) -> Iterator[Outcome]:
        waiting = deque(sorted(sources, key=lambda source: -source.voxels))
        tries: dict[str, int] = {}
        pool = [_Worker(load, work, workers) for _ in range(min(workers, len(waiting)))]
        try:
            while waiting or any(worker.source for worker in pool):
                for worker in pool:
                    if worker.source is None and waiting:
                        worker.give(waiting.popleft())
                for worker in _ready([worker for worker in pool if worker.source], timeout_s):
                    late = worker.left_s(timeout_s) <= 0 and not worker.end.poll()
                    source, outcome = worker.take(late=late)
                    if source is None:
                        continue
                    if outcome is not None:
                        yield outcome
                        continue
                    worker.stop()
                    pool.remove(worker)
                    tries[source.case] = tries.get(source.case, 0) + 1
                    again = not late and tries[source.case] < TRIES
                    waiting.extend([source] if again else [])
                    if waiting:
                        pool.append(_Worker(load, work, workers))
                    if not again:
                        why = _too_long(source, timeout_s) if late else _died(source)
                        yield Failed(source.case, source.where, why)
        finally:
            for worker in pool:
                worker.stop()

    return run


def _died(source: Source) -> str:
    return (
        f"{source.where}: the process that worked on it was killed {TRIES} times, most likely for lack of memory. "
        "Repair: use --memory-limit or fewer --workers, or cut the region out with --box"
    )


def _too_long(source: Source, timeout_s: float | None) -> str:
    return (
        f"{source.where}: it took longer than {(timeout_s or 0) / 60:.3g} min (--case-timeout), its process was "
        "killed. Repair: allow more, cut the region out with --box, or see whether its disk answers"
    )


@dataclass(eq=False)
class _Worker:
    """A process that does one case at a time."""

    load: Callable[[], Predicts]
    work: Work
    of: int
    source: Source | None = None
    since: float | None = None
    end: Connection[Any, Any] = field(init=False)
    process: Any = field(init=False)

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
        self.end, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, self.load, self.work, self.of), daemon=True)
        self.process.start()
        other.close()  # so that the pipe ends with the process

    def give(self, source: Source) -> None:
        self.source, self.since = source, None
        with suppress(OSError):  # it died: `take` says so
            self.end.send(source)

    def left_s(self, timeout_s: float | None) -> float:
        """How long it may still take for the case that it has begun."""
        if timeout_s is None or self.since is None:
            return math.inf
        return timeout_s - (time.monotonic() - self.since)

    def take(self, *, late: bool) -> tuple[Source | None, Outcome | None]:
        """The case that it was given, None where it has only begun it; and what became of it, None where that is none.

        Nothing became of it where the process died, or is late.
        """
        outcome: Any = None
        if not late:
            with suppress(EOFError, OSError):
                outcome = self.end.recv()
        if outcome == _BEGUN:
            self.since = time.monotonic()
            return None, None
        source, self.source = self.source, None
        if isinstance(outcome, MedswinError):
            raise outcome
        return source, outcome

    def stop(self) -> None:
        """End the process, at once if it does not end with the pipe."""
        self.end.close()
        self.process.join(timeout=1)
        self.process.kill()
        self.process.join(timeout=_END_S)


def _ready(workers: Sequence[_Worker], timeout_s: float | None) -> list[_Worker]:
    """Those that said something, died, or are late."""
    left = min(worker.left_s(timeout_s) for worker in workers)
    ends = wait([worker.end for worker in workers], min(max(left, 0.0), _AWAKE_S))
    return [worker for worker in workers if worker.end in ends or worker.left_s(timeout_s) <= 0]


def _serve(end: Connection[Any, Any], load: Callable[[], Predicts], work: Work, workers: int) -> None:
    """A worker's life: load the model once, then case after case until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    threading.Thread(target=_follow_parent, daemon=True).start()
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))
    try:
        predictor = load()
    except Exception as error:
        end.send(error if isinstance(error, MedswinError) else MedswinError(explain(error)))
        return
    while True:
        try:
            source = end.recv()
        except EOFError:
            return
        end.send(_BEGUN)
        end.send(work.whole(predictor, source))


def _follow_parent() -> None:
    """End with the parent, however that ends: with it the folder's lock is free, and others may write there."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
