"""Work that may be done in any order and anywhere, with word of how far it is. Pure.

Jobs and their results can be pickled. What they do depends on what is in them alone, so the number of processes changes
no digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeAlias, TypeVar

T = TypeVar("T")

Tell: TypeAlias = Callable[[float], None]
"""Told which share of the work was done since the last call; all together are 1."""


@dataclass(frozen=True, slots=True)
class Job(Generic[T]):
    """A piece of work."""

    work: Callable[[Tell], T]
    share: float
    """Of all the work, roughly."""

    def run(self, tell: Tell) -> T:
        """Does it."""
        return self.work(lambda part: tell(part * self.share))


class Runner(Protocol):
    """Whoever does jobs; results come in their order."""

    def __call__(self, jobs: Sequence[Job[T]], tell: Tell) -> list[T]:
        """Does them all."""
        ...


def in_turn(jobs: Sequence[Job[T]], tell: Tell) -> list[T]:
    """One after the other, here."""
    return [job.run(tell) for job in jobs]
