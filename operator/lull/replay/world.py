"""The world that every policy is tried in: queues, start-ups and energy, in fixed steps.

Columns are independent models: a series of a trace, once for each headroom that a policy is swept over. Per column a
FIFO fluid queue is served by the ready replicas. Chance (start-up times, the spread of rare requests) comes from one
seed, so that a run can be repeated to the last digit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from lull.model.arrays import F32, F64, I64
from lull.replay.outcome import Outcome as Outcome
from lull.replay.physics import Physics as Physics

DRAWN_BELOW: Final = 10.0
"""Requests per step below which a bin's requests are drawn one by one; above, spreading them evenly differs little."""

_ROUNDING: Final = 1e-9
"""Steps by which a quotient may exceed a whole number and still count as it."""

_LONGEST_START: Final = 4.0
"""Start-ups are cut at this many times the median, so that one draw cannot outlast the trace."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a policy sees at a tick, per column, (N,). Only the past."""

    now_s: float
    """Seconds since the start of the trace."""
    arrivals_rps: F64
    """Rate of arrivals in the step that just ended."""
    served_rps: F64
    """Rate of completions in that step."""
    in_flight: F64
    """Requests waiting or being worked on at its end."""
    queue: F64
    """Requests waiting at its end."""
    ready: F64
    starting: F64

    @property
    def replicas(self) -> F64:
        """Replicas that were asked for: ready and starting."""
        return self.ready + self.starting


class Policy(Protocol):
    """Decides sizes. Its state is its own; the world calls it in the order of time."""

    tick_s: float
    """Seconds between two decisions; the world rounds it up to its steps: ``ticks_every``."""

    def desire(self, seen: Seen) -> F64:
        """Replicas wanted per column, whole numbers of at least 0, (N,)."""
        ...

    def watch(self, seen: Seen) -> None:
        """Called at each step, those without a decision included, before ``desire``."""
        ...


def ticks_every(tick_s: float, physics: Physics) -> int:
    """Steps from one decision to the next: rounded up, and at least one."""
    return max(1, int(np.ceil(tick_s / physics.step_s - _ROUNDING)))


def spread(requests: F64 | F32, steps: int, seed: int) -> F32:
    """Requests per step, (T * steps, N), of requests per bin, (T, N).

    Evenly, or drawn step by step where a bin has fewer than ``DRAWN_BELOW`` a step: rare requests come whole.
    """
    rng = np.random.default_rng(seed)
    even = np.repeat(requests / steps, steps, axis=0).astype(np.float32)
    bins, columns = np.nonzero((requests > 0) & (requests < DRAWN_BELOW * steps))
    # Whole requests are drawn; where a trace has fractions, chance rounds them so that the mean stays.
    counts = np.floor(requests[bins, columns] + rng.random(len(bins))).astype(np.int64)
    for step in range(steps):
        left = steps - step
        here = rng.binomial(counts, 1.0 / left)
        even[bins * steps + step, columns] = here
        counts -= here
    return even


def run(
    policy: Policy,
    arrivals: F32,
    capacity_rps: F64,
    physics: Physics,
    *,
    of_series: I64,
    seed: int,
    score_from: int = 0,
    at_start: F64 | None = None,
    progress: Callable[[int], None] | None = None,
) -> Outcome:
    """Lets a policy live through a trace.

    Args:
        policy: who decides.
        arrivals: requests per step and series, (S, M).
        capacity_rps: requests per second of one replica, per column, (N,).
        physics: the world's constants.
        of_series: which series a column sees, (N,).
        seed: of start-up times.
        score_from: first step that counts.
        at_start: replicas ready at the first step, (N,); none = what serves it.
        progress: called now and then with the steps done.
    """

    def tell(step: int, _: Seen) -> None:
        if progress is not None and step % 512 == 0:
            progress(step)

    parts = run_in_parts(
        policy,
        arrivals,
        capacity_rps,
        physics,
        of_series=of_series,
        seed=seed,
        cuts=(score_from,),
        at_start=at_start,
        watch=tell,
    )
    return parts[-1]


def run_in_parts(
    policy: Policy,
    arrivals: F32,
    capacity_rps: F64,
    physics: Physics,
    *,
    of_series: I64,
    seed: int,
    cuts: Sequence[int],
    at_start: F64 | None = None,
    watch: Callable[[int, Seen], None] | None = None,
) -> list[Outcome]:
    """As `run`, with sums for every part of the life: up to the first cut, from it to the next, and so on.

    Args:
        policy: who decides.
        arrivals: requests per step and series, (S, M).
        capacity_rps: requests per second of one replica, per column, (N,).
        physics: the world's constants.
        of_series: which series a column sees, (N,).
        seed: of start-up times.
        cuts: first steps of the parts but the first, rising.
        at_start: replicas ready at the first step, (N,); none = what serves it.
        watch: called after each step with its number and what is seen then.
    """
    fleet = _Fleet(capacity_rps, physics, seed)
    first = arrivals[0, of_series] / physics.step_s
    fleet.ready = np.ceil(first / capacity_rps) if at_start is None else at_start.astype(np.float64)
    every = ticks_every(policy.tick_s, physics)
    seen = Seen(0.0, first, np.minimum(first, fleet.ready * capacity_rps), first * 0, first * 0, fleet.ready, first * 0)
    parts: list[Outcome] = []
    fleet.begin_part()
    for step in range(len(arrivals)):
        if step in cuts:
            parts.append(fleet.outcome())
            fleet.begin_part()
        policy.watch(seen)
        if step % every == 0:
            fleet.resize(policy.desire(seen), step)
        seen = fleet.live(arrivals[step, of_series].astype(np.float64), step)
        if watch is not None:
            watch(step, seen)
    return [*parts, fleet.outcome()]


class _Fleet:
    """Replicas and queues of all columns, and what happened to them so far."""

    def __init__(self, capacity_rps: F64, physics: Physics, seed: int) -> None:
        self._capacity_rps = capacity_rps
        self._physics = physics
        self._rng = np.random.default_rng(seed)
        columns = len(capacity_rps)
        self._slots = int(np.ceil(_LONGEST_START * physics.cold_start_s / physics.step_s)) + 2
        self._due: F64 = np.zeros((self._slots, columns))
        self.ready: F64 = np.zeros(columns)
        self._starting: F64 = np.zeros(columns)
        self._queue: F64 = np.zeros(columns)
        self._sums: dict[str, F64] = {}
        self._new: F64 = np.zeros(columns)

    def begin_part(self) -> None:
        """Sums begin anew, with a whole start for each replica that stands."""
        names = ("requests", "missed", "cold", "uncovered", "on_s", "ready_s", "busy_s", "starts")
        self._sums = {name: np.zeros_like(self.ready) for name in names}
        self._sums["starts"] += self.ready + self._starting
        self._sums["on_s"] += (self.ready + self._starting) * self._physics.cold_start_s

    def resize(self, desired: F64, step: int) -> None:
        """Starts what is lacking, and stops what is too much: those still starting first, as Kubernetes does."""
        change = desired - self.ready - self._starting
        if (change > 0).any():
            self._start(np.maximum(change, 0.0), step)
        if (change < 0).any():
            self._stop(np.maximum(-change, 0.0), step)

    def live(self, arriving: F64, step: int) -> Seen:
        """One step: start-ups end, requests come, wait and are served."""
        step_s = self._physics.step_s
        due = self._due[step % self._slots]
        if due.any():
            self.ready = self.ready + due
            self._starting = self._starting - due
            self._due[step % self._slots] = 0.0
        room = self.ready * self._capacity_rps * step_s
        before = self._queue
        served = np.minimum(before + arriving, room)
        self._queue = np.minimum(before + arriving - served, self._most_waiting(arriving, room))
        self._count(arriving, before, served, room)
        busy = served / (self._capacity_rps * step_s)
        return Seen(
            now_s=(step + 1) * step_s,
            arrivals_rps=arriving / step_s,
            served_rps=served / step_s,
            in_flight=self._queue + busy,
            queue=self._queue,
            ready=self.ready,
            starting=self._starting,
        )

    def _most_waiting(self, arriving: F64, room: F64) -> F64:
        """Requests that have the patience to wait, (N,); where nothing serves, those that came lately."""
        steps = self._physics.patience_s / self._physics.step_s
        return np.full_like(room, np.inf) if np.isinf(steps) else steps * np.maximum(room, arriving)

    def outcome(self) -> Outcome:
        """The sums of this part."""
        return Outcome(**self._sums, capacity_rps=self._capacity_rps, physics=self._physics)

    def _count(self, arriving: F64, before: F64, served: F64, room: F64) -> None:
        step_s, sums = self._physics.step_s, self._sums
        nothing = self.ready == 0.0
        late = np.where(nothing, arriving, arriving * self._late_ratio(arriving, before, room))
        sums["requests"] += arriving
        sums["missed"] += late
        sums["cold"] += np.where(nothing, arriving, 0.0)
        sums["uncovered"] += np.maximum(arriving - room, 0.0)
        sums["on_s"] += (self.ready + self._starting) * step_s
        sums["ready_s"] += self.ready * step_s
        sums["busy_s"] += served / self._capacity_rps
        sums["starts"] += self._new
        self._new = np.zeros_like(self._new)

    def _late_ratio(self, arriving: F64, before: F64, room: F64) -> F64:
        """Share of a step's requests that find more work ahead of them than the objective allows, (N,).

        The work that a request finds changes linearly from the first one of the step to the last one; a single
        request finds what was there before it, and never itself.
        """
        allowed = self._physics.slo_wait_s * room / self._physics.step_s
        with np.errstate(divide="ignore", invalid="ignore"):
            last = before + np.maximum(arriving - 1.0, 0.0) * (1.0 - room / arriving)
            last = np.where(arriving > 0.0, last, before)
            share = np.clip((np.maximum(before, last) - allowed) / np.abs(last - before), 0.0, 1.0)
        return np.where(last == before, (before > allowed).astype(np.float64), share)

    def _start(self, number: F64, step: int) -> None:
        columns = np.repeat(np.arange(len(number)), number.astype(np.int64))
        drawn = np.exp(self._physics.cold_start_sigma * self._rng.standard_normal(len(columns)))
        took_s = self._physics.cold_start_s * np.minimum(drawn, _LONGEST_START)
        steps = np.maximum(np.rint(took_s / self._physics.step_s).astype(np.int64), 1)
        np.add.at(self._due, ((step + steps) % self._slots, columns), 1.0)
        self._starting = self._starting + number
        self._new = self._new + number

    def _stop(self, number: F64, step: int) -> None:
        cancelled = np.minimum(number, self._starting)
        self.ready = np.maximum(self.ready - (number - cancelled), 0.0)
        self._starting = self._starting - cancelled
        for ahead in range(self._slots - 1, -1, -1):  # what is due in this very step has not become ready yet
            if not cancelled.any():
                return
            slot = self._due[(step + ahead) % self._slots]
            taken = np.minimum(slot, cancelled)
            slot -= taken
            cancelled = cancelled - taken
