"""Jobs in processes of their own, with word of how far they all are."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.sharedctypes import Synchronized
from typing import Final, Self

from lull.errors import LullError
from lull.replay.jobs import Job, T, Tell

_LOOK_EVERY_S: Final = 0.2

_done: Synchronized[float] | None = None
"""In a worker: the share of the work that all of them have done."""


class Processes:
    """Does jobs in a fixed number of processes, those that take longest first.

    Workers are started afresh and not forked: a fork would copy locks that other threads hold.
    """

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._total: Synchronized[float] = context.Value("d", 0.0)
        self._told = 0.0
        self._pool = ProcessPoolExecutor(count, context, _begin, (self._total,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, jobs: Sequence[Job[T]], tell: Tell) -> list[T]:
        """Results in the order of the jobs.

        Raises:
            LullError: when a process was killed; else whatever the first job that failed raises.
        """
        try:
            return self._results(jobs, tell)
        except BrokenProcessPool as error:
            raise LullError("a process was killed, most likely for want of memory; try a wider --bin") from error

    def _results(self, jobs: Sequence[Job[T]], tell: Tell) -> list[T]:
        longest_first = sorted(range(len(jobs)), key=lambda place: -jobs[place].share)
        futures = {place: self._pool.submit(_run, jobs[place]) for place in longest_first}
        open_ = set(futures.values())
        while open_:
            done, open_ = wait(open_, timeout=_LOOK_EVERY_S)
            for future in done:
                future.result()  # a failure need not wait for the others
            self._pass_on(tell)
        return [futures[place].result() for place in range(len(jobs))]

    def _pass_on(self, tell: Tell) -> None:
        total = self._total.value
        tell(total - self._told)
        self._told = total


def _begin(total: Synchronized[float]) -> None:
    global _done
    _done = total


def _run(job: Job[T]) -> T:
    return job.run(_tell)


def _tell(part: float) -> None:
    assert _done is not None  # noqa: S101 - set by `_begin`
    with _done.get_lock():
        _done.value += part
