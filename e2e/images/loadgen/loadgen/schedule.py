"""When to send: every arrival of the run, drawn before the first one. Pure; the seed is its only chance."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from loadgen.plan import Plan


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    due_s: float
    """Seconds after the start of the run."""
    target: int
    """Index into the plan's targets."""


def draw(plan: Plan) -> list[Arrival]:
    """All arrivals of all targets in order of time.

    Each target has its own stream, so adding one leaves the arrivals of the others as they were.
    """
    streams = (_arrivals(plan, index) for index in range(len(plan.targets)))
    return list(heapq.merge(*streams))


def _arrivals(plan: Plan, index: int) -> Iterator[Arrival]:
    target = plan.targets[index]
    chance = random.Random(f"{plan.seed}/{target.name}")  # noqa: S311 - load, not secrets
    return (Arrival(due_s, index) for due_s in poisson_times_s(target.rates_rps, plan.step_s, chance))


def poisson_times_s(rates_rps: Sequence[float], step_s: float, chance: random.Random) -> Iterator[float]:
    """Arrival times of a Poisson process whose rate is constant within each step.

    One unit-rate process stretched by the rate: the gap left over at a step's end goes on in the next step,
    which is exact, also for rates so small that a gap spans many steps.
    """
    left = chance.expovariate(1.0)
    for step, rate_rps in enumerate(rates_rps):
        at_s, end_s = step * step_s, (step + 1) * step_s
        while rate_rps > 0.0 and at_s + left / rate_rps < end_s:
            at_s += left / rate_rps
            yield at_s
            left = chance.expovariate(1.0)
        left -= (end_s - at_s) * rate_rps
