"""Capacity per replica, learned from looks: hand-made ones, and those of fleets simulated request by request."""

from __future__ import annotations

import heapq
import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.forecast.capacity import LEAST_S, STEP, Capacities, queue
from lull.model.window import Window

NAN = math.nan
WINDOW_S = 60.0
TICK_S = 10.0


def a_window(
    rps: float = 5.0,
    *,
    prior: float = 10.0,
    limit: float | None = None,
    backlog: float = 0.0,
    growth: float = 0.0,
    ready: float = 1.0,
    service_s: float = 0.1,
    revision: str = "a",
    stated: str | None = None,
    is_complete: bool = True,
    has_wait: bool = False,
) -> Window:
    """A look at one model whose replicas do one request at a time, and are given up to 64 % of the prior."""
    one = {"nominal_rps": prior, "limit_rps": 0.64 * prior if limit is None else limit, "slots": 1.0}
    one |= {"completions_rps": rps, "backlog": backlog, "growth_rps": growth, "service_s": service_s, "ready": ready}
    return Window(
        stated=np.array([f"{prior:g}" if stated is None else stated], dtype=object),
        is_prior=np.array([stated != "nothing"]),
        revision=np.array([revision], dtype=object),
        has_wait=np.array([has_wait]),
        is_complete=np.array([is_complete]),
        span_s=WINDOW_S,
        **{name: np.array([value], dtype=np.float64) for name, value in one.items()},
    )


def overloaded(rps: float = 2.0, **changes: Any) -> Window:
    return a_window(rps, **{"backlog": 100.0, "growth": 1.0} | changes)


@dataclass
class World:
    """One model, look by look."""

    known: Capacities = field(default_factory=lambda: Capacities(1))
    now_s: float = 1_000_000.0

    def look(self, window: Window, for_s: float = TICK_S) -> World:
        for _ in range(max(1, round(for_s / TICK_S))):
            self.known.learn(np.array([0]), window, self.now_s)
            self.now_s += TICK_S
        return self

    @property
    def factor(self) -> float:
        return float(self.known.factor[0])

    @property
    def windows(self) -> float:
        return float(self.known.windows[0])


class Replica:
    """So many slots and exponential service, request by request; it counts who waited longer than a second."""

    def __init__(self, slots: int, rps: float, chance: np.random.Generator, now_s: float) -> None:
        self._slots, self._service_s, self._chance, self._now_s = slots, slots / rps, chance, now_s
        self._waiting: deque[tuple[float, float]] = deque()
        self._ends: list[tuple[float, float]] = []
        self.late = self.served = 0

    def serve(self, rps: float, until_s: float) -> tuple[int, int, float]:
        """Requests completed, requests that wait in the end, and seconds of work on those completed."""
        count, done, worked_s = int(self._chance.poisson(rps * (until_s - self._now_s))), 0, 0.0
        comings = np.sort(self._chance.uniform(self._now_s, until_s, count)).tolist()
        works = self._chance.exponential(self._service_s, count).tolist()
        for at_s, work_s in [*zip(comings, works, strict=True), (until_s, None)]:
            while self._ends and self._ends[0][0] <= at_s:
                end_s, length_s = heapq.heappop(self._ends)
                done, worked_s = done + 1, worked_s + length_s
                if self._waiting:
                    came_s, next_s = self._waiting.popleft()
                    self.late += end_s - came_s > 1.0
                    heapq.heappush(self._ends, (end_s + next_s, next_s))
            if work_s is None:
                break
            if len(self._ends) < self._slots:
                heapq.heappush(self._ends, (at_s + work_s, work_s))
            else:
                self._waiting.append((at_s, work_s))
        self._now_s, self.served = until_s, self.served + done
        return done, len(self._waiting), worked_s


class Fleet:
    """Replicas that get as many as 64 % of what is believed of each asks for, a minute after that is known."""

    def __init__(self, truth_rps: float, prior_rps: float, *, slots: int = 1, most: int = 40, seed: int = 3) -> None:
        self.world, self._prior_rps, self._most = World(now_s=0.0), prior_rps, most
        self._truth_rps, self._slots, self._chance = truth_rps, slots, np.random.default_rng(seed)
        self._replicas: list[Replica] = []
        self._coming: list[float] = []
        self._looks: deque[tuple[int, int, float]] = deque(maxlen=7)
        self.late_ratio = 0.0

    @property
    def capacity_rps(self) -> float:
        return self._prior_rps * self.world.factor

    @property
    def size(self) -> int:
        return len(self._replicas)

    def lives(self, load_rps: float, for_s: float) -> Fleet:
        """Goes on under this load; ``late_ratio`` tells of this stretch alone."""
        for replica in self._replicas:
            replica.late = replica.served = 0
        late = served = 0
        for _ in range(round(for_s / TICK_S)):
            gone = self._resize(load_rps)
            late, served = late + sum(r.late for r in gone), served + sum(r.served for r in gone)
            self._tick(load_rps)
        late, served = late + sum(r.late for r in self._replicas), served + sum(r.served for r in self._replicas)
        self.late_ratio = late / served
        return self

    def _resize(self, load_rps: float) -> list[Replica]:
        now_s = self.world.now_s
        wanted = min(self._most, math.ceil(1.05 * load_rps / (0.64 * self.capacity_rps)))
        if not self._replicas:
            self._replicas = [self._new() for _ in range(wanted)]
        ready = [at_s for at_s in self._coming if at_s <= now_s]
        self._coming = [at_s for at_s in self._coming if at_s > now_s]
        self._replicas += [self._new() for _ in ready]
        self._coming += [now_s + 60.0] * (wanted - len(self._replicas) - len(self._coming))
        kept, gone = self._replicas[:wanted], self._replicas[wanted:]
        self._replicas = kept
        return gone

    def _new(self) -> Replica:
        return Replica(self._slots, self._truth_rps, self._chance, self.world.now_s)

    def _tick(self, load_rps: float) -> None:
        until_s = self.world.now_s + TICK_S
        each = [replica.serve(load_rps / self.size, until_s) for replica in self._replicas]
        self._looks.append((sum(e[0] for e in each), sum(e[1] for e in each), sum(e[2] for e in each)))
        recent = list(self._looks)[1:]
        done = sum(look[0] for look in recent)
        if len(recent) < 6 or not done:
            self.world.now_s = until_s
            return
        window = a_window(
            done / WINDOW_S,
            prior=self._prior_rps,
            limit=0.64 * self.capacity_rps,
            backlog=recent[-1][1],
            growth=(recent[-1][1] - self._looks[0][1]) / WINDOW_S,
            ready=self.size,
            service_s=sum(look[2] for look in recent) / done,
        )
        slots = np.array([max(1.0, self.capacity_rps * self._slots / self._truth_rps)])
        self.world.look(replace(window, slots=slots))


# Fleets simulated request by request.


@pytest.mark.parametrize("slots", [1, 4])
def test_a_capacity_above_the_prior_is_found_within_hours_and_next_to_nobody_waits(slots: int) -> None:
    fleet = Fleet(truth_rps=8.0, prior_rps=2.0, slots=slots).lives(20.0, for_s=5 * 3600.0)
    assert 0.6 * 8.0 <= fleet.capacity_rps <= 1.05 * 8.0
    assert fleet.size <= 7
    assert fleet.late_ratio < 0.02


def test_a_prior_ten_times_too_high_is_mended_within_minutes_of_overload() -> None:
    fleet = Fleet(truth_rps=2.0, prior_rps=20.0).lives(12.0, for_s=900.0)
    assert 0.75 * 2.0 <= fleet.capacity_rps <= 1.6 * 2.0
    fleet.lives(12.0, for_s=3600.0)
    assert 0.75 * 2.0 <= fleet.capacity_rps <= 1.6 * 2.0


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_true_prior_is_left_about_where_it_is(seed: int) -> None:
    fleet = Fleet(truth_rps=8.0, prior_rps=8.0, seed=seed)
    told = [fleet.lives(20.0, for_s=1800.0).capacity_rps for _ in range(16)]
    assert np.median(told) == pytest.approx(8.0, rel=0.01)
    assert min(told) > 0.75 * 8.0
    assert max(told) <= STEP**2 * 8.0 * 1.001


# What looks teach.


def test_idle_nights_teach_nothing() -> None:
    world = World().look(a_window(1.0), for_s=12 * 3600.0)
    assert (world.factor, world.windows) == (1.0, 0.0)


def test_an_empty_queue_at_a_busy_replica_says_that_it_does_more() -> None:
    assert World().look(a_window(6.0), for_s=LEAST_S).factor == 1.0, "not before its time"
    assert World().look(a_window(6.0), for_s=2.0 * 3600.0).factor > STEP


def test_the_queue_that_the_law_expects_changes_nothing() -> None:
    expected = float(queue(np.array([0.6]), np.ones(1))[0])
    assert World().look(a_window(6.0, backlog=expected), for_s=24 * 3600.0).factor == 1.0


def test_work_that_takes_ever_longer_is_no_sign_of_more() -> None:
    world = World().look(a_window(1.0, service_s=0.05), for_s=600.0)
    assert world.look(a_window(6.0, service_s=0.5), for_s=3 * 3600.0).factor == 1.0


def test_what_was_carried_with_an_empty_queue_is_believed_after_a_whole_window() -> None:
    world = World().look(a_window(150.0, ready=10.0), for_s=60.0)
    assert world.factor == 1.0
    assert 1.4 < world.look(a_window(150.0, ready=10.0)).factor < 1.5, "a bound from below"


@pytest.mark.parametrize(
    "changes",
    [
        {"is_complete": False},
        {"backlog": NAN},
        {"rps": NAN},
        {"ready": NAN},
        {"ready": 0.0},
        {"prior": NAN, "stated": "x", "limit": 6.0},
        {"revision": ""},
    ],
    ids=str,
)
@pytest.mark.parametrize("load", [6.0, 20.0])
def test_what_is_missing_stale_or_mixed_teaches_nothing(load: float, changes: dict[str, Any]) -> None:
    world = World().look(a_window(1.0, stated="x"))
    world.look(a_window(**{"rps": load, "stated": "x"} | changes), for_s=3 * 3600.0)
    world.look(a_window(**{"rps": 2.0, "stated": "x", "backlog": 100.0} | changes), for_s=3600.0)
    assert (world.factor, world.windows) == (1.0, 0.0)


def test_overload_with_gaps_is_no_overload() -> None:
    world = World()
    for _ in range(100):
        world.look(overloaded(), for_s=50.0).look(overloaded(is_complete=False))
    assert world.factor == 1.0


def test_looks_far_apart_teach_nothing() -> None:
    world = World()
    for _ in range(100):
        world.look(overloaded())
        world.now_s += 2.0 * WINDOW_S
    assert world.factor == 1.0


def test_a_burst_shorter_than_a_window_lowers_nothing() -> None:
    world = World().look(a_window(5.0, backlog=1.0), for_s=600.0)
    assert world.look(overloaded(), for_s=WINDOW_S).factor == 1.0
    assert world.look(overloaded()).factor < 1.0


def test_overload_lowers_to_what_was_done_and_no_further() -> None:
    world = World().look(overloaded(20.0, ready=10.0), for_s=1200.0)
    assert 0.18 <= world.factor < 0.24
    assert World().look(overloaded(99.0, ready=10.0), for_s=1200.0).factor == pytest.approx(1.0, abs=0.03)


def test_a_backlog_that_shrinks_lowers_nothing() -> None:
    """It stands at the pods that were there before the others came."""
    assert World().look(overloaded(growth=-0.1), for_s=1200.0).factor == 1.0


@given(st.floats(0.01, 100.0), st.floats(2.0, 1e4), st.floats(0.0, 100.0), st.integers(1, 9))
@settings(max_examples=40)
def test_overload_never_raises(rps: float, waiting: float, growth: float, ready: int) -> None:
    world = World()
    for _ in range(30):
        before = world.factor
        world.look(overloaded(rps, backlog=waiting * ready, growth=growth, ready=ready))
        assert world.factor <= before


def test_an_incident_is_not_believed_for_ever() -> None:
    world = World().look(overloaded(), for_s=1200.0)
    after = world.factor
    for _ in range(24):
        world.look(a_window(6.0 * world.factor, limit=6.4 * world.factor), for_s=3600.0)
    assert world.factor > 2.0 * after


def test_another_template_starts_anew_and_is_not_trusted_with_more() -> None:
    high = World().look(a_window(150.0, ready=10.0), for_s=600.0)
    assert high.factor > 1.4
    high.look(a_window(5.0, revision="b"))
    assert (high.factor, high.windows) == (1.0, 0.0)
    low = World().look(overloaded(), for_s=1200.0)
    before = low.factor
    assert low.look(a_window(1.0, revision="b")).factor == before, "nor with what the old pods could not do"
    assert low.windows == 0.0


def test_a_rollout_teaches_nothing_while_pods_of_two_templates_serve() -> None:
    world = World().look(a_window(5.0))
    assert world.look(overloaded(revision=""), for_s=3600.0).factor == 1.0


def test_another_statement_starts_anew_from_it() -> None:
    world = World().look(overloaded(), for_s=1200.0).look(a_window(1.0, prior=3.0))
    assert (world.factor, world.windows) == (1.0, 0.0)


def test_the_time_of_work_is_the_least_of_late_where_it_contains_the_wait() -> None:
    world = World()
    for service_s in (0.3, 0.1, 0.9, 0.9):
        world.look(a_window(1.0, service_s=service_s, has_wait=True))
    at = np.zeros(1, dtype=np.int64)
    assert world.known.work_s(at, np.array([True]))[0] == pytest.approx(0.1, rel=0.01)
    assert world.known.work_s(at, np.array([False]))[0] > 0.25
    assert np.isnan(world.known.work_s(at - 1, np.array([True]))[0])


# Many at once.

WINDOWS = st.builds(
    a_window,
    st.one_of(st.just(NAN), st.floats(0.0, 60.0)),
    backlog=st.sampled_from([NAN, 0.0, 0.5, 3.0, 200.0]),
    growth=st.sampled_from([NAN, -1.0, 0.0, 2.0]),
    ready=st.sampled_from([NAN, 0.0, 1.0, 3.0]),
    service_s=st.sampled_from([NAN, 0.05, 0.5]),
    revision=st.sampled_from(["", "a", "a", "b"]),
    stated=st.sampled_from(["10", "10", "nothing"]),
    is_complete=st.booleans(),
)
LIVES = st.lists(st.tuples(WINDOWS, st.sampled_from([1, 7, 100])), min_size=1, max_size=5)


def joined(windows: list[Window]) -> Window:
    names = [name for name in Window.__slots__ if name != "span_s"]
    return Window(**{n: np.concatenate([getattr(w, n) for w in windows]) for n in names}, span_s=WINDOW_S)


@given(st.lists(LIVES, min_size=2, max_size=4))
@settings(max_examples=40)
def test_many_models_at_once_fare_as_each_alone(lives: list[list[tuple[Window, int]]]) -> None:
    rounds = [[look for look, times in life for _ in range(times)] for life in lives]
    length = min(len(looks) for looks in rounds)
    together, at = Capacities(9), np.arange(len(lives))[::-1] * 2
    alone = [World(now_s=0.0) for _ in lives]
    for i in range(length):
        together.learn(at, joined([looks[i] for looks in rounds]), i * TICK_S)
        for world, looks in zip(alone, rounds, strict=True):
            world.look(looks[i])
    np.testing.assert_allclose(together.factor[at], [world.factor for world in alone], rtol=1e-12)
    np.testing.assert_allclose(together.windows[at], [world.windows for world in alone], rtol=1e-12)
    assert np.all(together.factor > 0.0)
    assert together.factor[1] == 1.0


def test_columns_come_and_go() -> None:
    world = World().look(overloaded(), for_s=1200.0)
    before = world.factor
    world.known.resize(3)
    assert world.known.factor.tolist() == [before, 1.0, 1.0]
    assert world.look(overloaded(), for_s=60.0).factor <= before
    world.known.forget(np.array([0]))
    assert (world.factor, world.windows) == (1.0, 0.0)


def test_no_models_have_no_capacity() -> None:
    known = Capacities(0)
    known.learn(np.zeros(0, dtype=np.int64), Window.unseen(0, WINDOW_S), 0.0)
    assert known.factors(np.array([-1])).tolist() == [1.0]
