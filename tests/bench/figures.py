"""What a benchmark says, and how it is measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

MODELS = 10_000


@dataclass(frozen=True)
class Figure:
    """One measured figure; ``bar`` None means there is none."""

    name: str
    value: float
    unit: str
    bar: float | None = None

    @property
    def holds(self) -> bool | None:
        return None if self.bar is None else self.value <= self.bar


def median_s(times: int, work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    """Median seconds of several runs, of the processor unless another clock is given: others use the machine too."""
    found = []
    for _ in range(times):
        started_s = clock()
        work()
        found.append(clock() - started_s)
    return median(found)
