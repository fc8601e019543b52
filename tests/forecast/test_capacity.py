"""Capacity per replica, learned from windows: hand-made ones, and those of replicas simulated request by request."""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.forecast.capacity import PRIOR_WINDOWS, Capacities, Window
from lull.forecast.spare import BUSY, STEP, queue

NAN = math.nan
WINDOW_S = 60.0
LOOK_S = 20.0


def a_window(
    rps: float | np.ndarray = 5.0,
    *,
    backlog: float | np.ndarray = 0.0,
    growth: float | np.ndarray = 0.0,
    service_s: float | np.ndarray = 0.1,
    ready: float | np.ndarray = 1.0,
    is_complete: bool = True,
    width: int = 1,
) -> Window:
    """A look at ``width`` models that are alike, or at as many as an array has."""
    width = max(width, *(np.size(value) for value in (rps, backlog, growth, service_s, ready)))
    columns = (np.broadcast_to(np.float64(value), width) for value in (rps, backlog, growth, service_s, ready))
    return Window(*columns, is_complete=np.full(width, is_complete))


def saturated(rps: float = 5.0, **changes: float) -> Window:
    """A replica that does all it can while a hundred requests wait."""
    return a_window(rps, backlog=100.0, **changes)


class World:
    """Looks, one after the other."""

    def __init__(self, width: int = 1, look_s: float = LOOK_S) -> None:
        self.known = Capacities(width, WINDOW_S)
        self.now_s, self._look_s = 1_000_000.0, look_s

    @property
    def rps(self) -> float:
        return float(self.known.rps[0])

    def look(
        self,
        window: Window,
        *,
        prior: float | np.ndarray = NAN,
        slots: float | np.ndarray = NAN,
        changed: bool = False,
        windows: float = 0.0,
    ) -> World:
        """Shows one look, or the same one for as long as so many windows take."""
        width = len(window.ready)
        for i in range(max(1, round(windows * WINDOW_S / self._look_s))):
            self.known.learn(
                window,
                prior_rps=np.broadcast_to(np.float64(prior), width),
                slots=np.broadcast_to(np.float64(slots), width),
                is_changed=np.full(width, changed and i == 0),
                now_s=self.now_s,
            )
            self.now_s += self._look_s
        return self


class Replica:
    """A replica with so many slots and exponential service, request by request."""

    def __init__(self, slots: int, rps: float, chance: np.random.Generator) -> None:
        self._slots, self._service_s, self._chance = slots, slots / rps, chance
        self._waiting: deque[float] = deque()
        self._ends: list[tuple[float, float]] = []
        self._now_s = 0.0

    def serve(self, rps: float, for_s: float) -> tuple[int, int, float]:
        """Requests completed, requests that wait in the end, and seconds of work on those completed."""
        until_s, done, worked_s = self._now_s + for_s, 0, 0.0
        count = int(self._chance.poisson(rps * for_s))
        arrivals = np.sort(self._chance.uniform(self._now_s, until_s, count)).tolist()
        services = self._chance.exponential(self._service_s, count).tolist()
        for arrival_s, service_s in [*zip(arrivals, services, strict=True), (until_s, None)]:
            while self._ends and self._ends[0][0] <= arrival_s:
                end_s, length_s = heapq.heappop(self._ends)
                done, worked_s = done + 1, worked_s + length_s
                if self._waiting:
                    following_s = self._waiting.popleft()
                    heapq.heappush(self._ends, (end_s + following_s, following_s))
            if service_s is None:
                break
            if len(self._ends) < self._slots:
                heapq.heappush(self._ends, (arrival_s + service_s, service_s))
            else:
                self._waiting.append(service_s)
        self._now_s = until_s
        return done, len(self._waiting), worked_s


class Watched:
    """A simulated replica, looked at as Prometheus does: rates over a window, a backlog of the moment."""

    def __init__(self, slots: int, rps: float, seed: int) -> None:
        self._replica = Replica(slots, rps, np.random.default_rng(seed))
        self._looks: deque[tuple[int, int, float]] = deque(maxlen=round(WINDOW_S / LOOK_S) + 1)

    def look(self, rps: float) -> Window | None:
        """What a look after this load sees; None while there is no whole window."""
        self._looks.append(self._replica.serve(rps, LOOK_S))
        if len(self._looks) <= WINDOW_S / LOOK_S:
            return None
        recent = list(self._looks)[1:]
        done, waiting = sum(look[0] for look in recent), recent[-1][1]
        growth = (waiting - self._looks[0][1]) / WINDOW_S
        service_s = sum(look[2] for look in recent) / done if done else NAN
        return a_window(done / WINDOW_S, backlog=waiting, growth=growth, service_s=service_s)


def side_by_side(window: Window, width: int) -> Window:
    """The same look for several models."""
    return Window(*(np.repeat(getattr(window, name), width) for name in Window.__slots__))


# Replicas simulated request by request.


@pytest.mark.parametrize("slots", [1, 2, 4, 8])
@pytest.mark.parametrize("rps", [2.0, 5.0])
def test_a_day_of_several_loads_tells_what_a_replica_can_do(slots: int, rps: float) -> None:
    """Whatever is stated: nothing, half of it, twice, the truth, or its slots. Loads change every ten minutes."""
    priors = np.array([NAN, rps / 2.0, rps * 2.0, rps, NAN])
    stated = np.array([NAN, NAN, NAN, NAN, slots])
    loads = np.random.default_rng(slots).uniform(0.3, 1.1, 144) * rps
    watched, world = Watched(slots, rps, seed=slots), World(len(priors))
    for load in np.repeat(loads, round(600 / LOOK_S)):
        window = watched.look(load)
        if window is not None:
            world.look(side_by_side(window, len(priors)), prior=priors, slots=stated)
    np.testing.assert_allclose(world.known.rps, rps, rtol=0.1)


def given_a_share(share: float, slots: int, hours: float, prior: float = NAN) -> World:
    """A replica of 4 requests a second that is always given a share of what it is believed to do, as a fleet would."""
    watched, world, load = Watched(slots, 4.0, seed=11), World(), share * 4.0 / slots
    for _ in range(round(hours * 3600 / LOOK_S)):
        window = watched.look(load)
        if window is not None:
            world.look(window, prior=prior)
            load = share * world.rps
    return world


@pytest.mark.parametrize("slots", [2, 4, 8])
def test_a_replica_that_is_given_less_than_it_could_do_is_found_out(slots: int) -> None:
    """Sized for one request at a time it never gets more than a part of that; its empty queue says what it could do."""
    assert given_a_share(0.64, slots, hours=0.2).rps == pytest.approx(4.0 / slots, rel=0.35), "one at a time at first"
    assert 0.5 * 4.0 <= given_a_share(0.8, slots, hours=12).rps <= 1.1 * 4.0


def test_a_replica_that_does_one_at_a_time_is_not_taken_for_more() -> None:
    world = given_a_share(0.64, 1, hours=24)
    assert 0.9 * 4.0 <= world.rps <= 1.25 * 4.0


def test_a_stated_capacity_is_not_explored() -> None:
    assert given_a_share(0.64, 4, hours=6, prior=2.0).rps == 2.0


# Where it starts.


@pytest.mark.parametrize(
    ("window", "stated", "rps"),
    [
        pytest.param(a_window(service_s=0.2), {}, 5.0, id="one request at a time"),
        pytest.param(a_window(service_s=0.2), {"slots": 4.0}, 20.0, id="four at a time"),
        pytest.param(a_window(service_s=0.2), {"prior": 7.0}, 7.0, id="as stated"),
        pytest.param(a_window(service_s=NAN), {"prior": 7.0}, 7.0, id="as stated, service unknown"),
        pytest.param(a_window(service_s=NAN), {}, NAN, id="unknown"),
        pytest.param(a_window(service_s=NAN), {"slots": 4.0}, NAN, id="slots alone tell nothing"),
        pytest.param(a_window(service_s=0.2, is_complete=False), {}, NAN, id="incomplete"),
    ],
)
def test_what_is_believed_at_first(window: Window, stated: dict[str, float], rps: float) -> None:
    world = World().look(window, **stated)
    np.testing.assert_equal(world.rps, rps)
    assert not world.known.is_learned[0]


def test_a_guess_follows_the_measured_service_time() -> None:
    """The first requests of a server are slow, and say little."""
    world = World().look(a_window(0.1, service_s=5.0)).look(a_window(0.1, service_s=0.2), windows=60)
    assert world.rps == pytest.approx(5.0, rel=0.01)


# What a window teaches.


def test_a_replica_that_does_more_is_believed_to() -> None:
    world = World().look(a_window(20.0), prior=10.0, windows=3)
    assert 11.0 < world.rps < 20.0
    world.look(a_window(20.0), prior=10.0, windows=60)
    assert 19.0 < world.rps <= 20.0
    assert world.known.is_learned[0]


def test_all_replicas_together_tell_sooner_than_one() -> None:
    """As a count, what few requests come varies much; the bound is low then."""
    one, many = World(), World()
    one.look(a_window(0.3), prior=0.2, windows=8)
    many.look(a_window(30.0, ready=100.0), prior=0.2, windows=8)
    assert 0.2 <= one.rps < many.rps <= 0.3


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(saturated(20.0), id="a queue stands"),
        pytest.param(a_window(20.0, backlog=5.0, growth=2.0), id="a queue grows"),
        pytest.param(a_window(20.0, backlog=NAN), id="nobody knows whether a queue stands"),
        pytest.param(a_window(20.0, is_complete=False), id="pods are missing in the numbers"),
        pytest.param(a_window(20.0, ready=0.0), id="no replica is Ready"),
        pytest.param(a_window(20.0, ready=NAN), id="nobody knows how many are Ready"),
        pytest.param(a_window(NAN), id="nobody counts"),
        pytest.param(a_window(1e-310, backlog=1.0), id="rounding counts"),
    ],
)
def test_doing_more_teaches_nothing_when(window: Window) -> None:
    assert World().look(window, prior=10.0, windows=20).rps == 10.0


def test_a_window_that_shows_a_little_more_never_lowers_the_bound() -> None:
    world = World().look(a_window(10.6), prior=10.0)
    told = [world.look(a_window(10.6), prior=10.0).rps for _ in range(30)]
    assert told == sorted(told)
    assert 10.0 == told[0] < told[-1]


def test_one_window_with_few_requests_is_mostly_chance() -> None:
    world = World()
    for _ in range(10):
        world.look(a_window(0.1), prior=0.2, windows=4).look(a_window(0.5), prior=0.2, windows=1)
    assert world.rps == 0.2


def test_a_queue_that_is_gone_at_every_third_look_is_not_short() -> None:
    world = World()
    for _ in range(30):
        world.look(saturated(20.0), prior=10.0).look(saturated(20.0), prior=10.0).look(a_window(20.0), prior=10.0)
    assert world.rps == 10.0


def test_what_was_done_in_overload_is_not_credited_afterwards() -> None:
    world = World().look(a_window(20.0, backlog=5.0, growth=2.0), prior=10.0, windows=10)
    assert world.look(a_window(6.0), prior=10.0, windows=10).rps == 10.0


def test_replicas_that_went_long_ago_have_no_share_in_what_the_others_do() -> None:
    world = World().look(a_window(50.0, ready=10.0), prior=10.0, windows=5)
    assert world.look(a_window(40.0, ready=2.0), prior=10.0, windows=30).rps > 15.0


def test_an_unknown_growth_leaves_the_backlog_to_judge() -> None:
    assert World().look(a_window(20.0, growth=NAN), prior=10.0, windows=20).rps > 15.0
    assert World().look(saturated(5.0, growth=NAN), prior=10.0, windows=20).rps < 7.0


def test_a_saturated_replica_is_believed_to_do_what_it_does() -> None:
    world = World().look(saturated(5.0), prior=10.0, windows=6)
    assert 5.0 <= world.rps < 7.0
    assert 5.0 <= world.look(saturated(5.0), prior=10.0, windows=20).rps < 5.6


def test_a_burst_after_silence_is_no_saturation() -> None:
    """A window that was idle but for its end counts few completions and many that wait."""
    world = World().look(a_window(0.2), prior=10.0, windows=5)
    assert world.look(saturated(0.5), prior=10.0).look(saturated(2.0), prior=10.0).rps == 10.0


def test_a_burst_between_two_looks_far_apart_is_no_saturation() -> None:
    world = World(look_s=3.0 * WINDOW_S).look(saturated(2.0), prior=10.0)
    for _ in range(10):
        assert world.look(saturated(2.0), prior=10.0).rps == 10.0


def test_a_lone_request_that_waits_is_no_overload() -> None:
    assert World().look(a_window(0.02, backlog=0.9, growth=0.01), prior=10.0, windows=30).rps == 10.0


def test_replicas_that_came_within_the_window_do_not_halve_what_one_did() -> None:
    world = World().look(saturated(10.0), prior=10.0, windows=5)
    for ready in (2.0, 3.0, 4.0):
        world.look(saturated(10.0, ready=ready), prior=10.0)
    assert world.rps > 9.9


def test_replicas_that_went_within_the_window_do_not_double_what_one_did() -> None:
    world = World().look(a_window(40.0, ready=8.0), prior=10.0, windows=5)
    for ready in (4.0, 2.0):
        world.look(a_window(40.0, ready=ready), prior=10.0)
    assert world.rps == 10.0


def test_an_incident_is_not_believed_for_ever() -> None:
    """A dependency hangs for ten minutes; afterwards a fleet sized for slow replicas gives each only a little."""
    world = World().look(a_window(6.0), prior=10.0, windows=5).look(saturated(2.0), prior=10.0, windows=10)
    slowed = world.rps
    assert slowed < 4.0
    for _ in range(100):
        world.look(a_window(0.64 * world.rps), prior=10.0, windows=5)
    assert world.rps > 2.0 * slowed


def test_a_replica_that_became_slower_for_good_is_believed_in_the_end() -> None:
    world, tried = World().look(a_window(6.0), prior=10.0, windows=5), []
    for _ in range(40):
        world.look(saturated(5.0), prior=10.0, windows=3)
        world.look(a_window(0.64 * world.rps), prior=10.0, windows=60)
        tried.append(world.rps)
    assert tried[-1] < 6.0


@pytest.mark.parametrize("prior", [NAN, 10.0])
def test_looks_more_often_teach_no_more(prior: float) -> None:
    often, seldom = World(look_s=5.0), World(look_s=60.0)
    for world in (often, seldom):
        world.look(a_window(20.0), prior=prior, windows=8)
    assert often.rps == pytest.approx(seldom.rps, rel=0.15)


# Changes.


def test_another_template_starts_anew_from_what_was_known() -> None:
    world = World().look(a_window(20.0), prior=10.0, windows=60)
    before = world.rps
    world.look(a_window(20.0), prior=10.0, changed=True)
    assert world.rps == before
    assert not world.known.is_learned[0]
    assert 30.0 < world.look(a_window(40.0), prior=10.0, windows=3 * PRIOR_WINDOWS).rps <= 40.0


def test_looks_at_the_old_template_say_nothing_of_the_new_one() -> None:
    world = World().look(saturated(5.0), prior=10.0, windows=1)
    world.look(saturated(5.0), prior=10.0, changed=True).look(saturated(5.0), prior=10.0)
    assert world.rps == 10.0


def test_another_template_before_anything_was_learned_is_guessed_anew() -> None:
    world = World().look(a_window(0.1, service_s=0.1), windows=3)
    world.look(a_window(0.1, service_s=NAN), changed=True)
    assert world.rps == pytest.approx(10.0), "until its service time is known"
    assert world.look(a_window(0.1, service_s=0.5)).rps == 2.0


@pytest.mark.parametrize(
    ("stated", "rps"),
    [
        pytest.param({"prior": 3.0}, 3.0, id="another capacity"),
        pytest.param({"slots": 2.0}, 20.0, id="requests at a time instead"),
    ],
)
def test_what_is_stated_anew_counts(stated: dict[str, float], rps: float) -> None:
    world = World().look(a_window(40.0), prior=10.0, windows=30)
    assert world.look(a_window(1.0), **stated).rps == pytest.approx(rps)
    assert not world.known.is_learned[0]
    assert world.look(a_window(1.0), prior=10.0).rps == 10.0


def test_what_is_not_stated_this_time_stays() -> None:
    world = World().look(a_window(40.0), prior=10.0, windows=30)
    before = world.rps
    world.look(a_window(NAN, is_complete=False)).look(a_window(40.0), prior=10.0)
    assert world.rps == pytest.approx(before, rel=0.05)
    assert world.known.is_learned[0]


# Exploring.


def test_an_empty_queue_allows_step_after_step_as_far_as_replicas_follow() -> None:
    world = World().look(a_window(7.0))
    for _ in range(40):
        world.look(a_window(0.7 * world.rps), windows=5)
    assert world.rps > 2.0 * 10.0
    stuck = World().look(a_window(7.0), windows=300)
    assert 10.0 < stuck.rps <= 7.0 / BUSY * STEP


def test_a_queue_takes_a_step_back_and_overload_all_and_for_long() -> None:
    def explored() -> World:
        return World().look(a_window(9.0), windows=60)

    before = explored().rps
    assert before > 12.0
    queued = explored().look(a_window(9.0, backlog=4.0), windows=3)
    assert queued.rps == pytest.approx(before / STEP)
    overloaded = explored().look(saturated(11.0), windows=3)
    assert overloaded.rps == pytest.approx(10.0)
    assert overloaded.look(a_window(9.0), windows=60).rps == pytest.approx(10.0), "an hour later"
    assert overloaded.look(a_window(9.0), windows=600).rps > 12.0, "ten hours later"


def test_requests_that_slow_each_other_down_are_not_piled_up() -> None:
    """A server without a queue takes all at once: nothing waits, and everything takes longer."""
    alone = World().look(a_window(1.0, service_s=0.1), windows=5)
    alone.look(a_window(8.0, service_s=0.5), windows=60)
    assert alone.rps <= 10.0


def test_the_expected_queue_is_that_of_the_single_server_and_falls_with_slots() -> None:
    rho = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(queue(rho, np.ones(3)), rho**2 / (1.0 - rho))
    # M/M/4 at 0.9: Erlang C 0.788 times 9 waiting
    np.testing.assert_allclose(queue(np.array([0.9]), np.array([4.0])), 7.09, rtol=0.03)


# What holds whatever is seen.

RATES = st.one_of(st.just(NAN), st.just(0.0), st.floats(0.01, 100.0))
WINDOWS = st.builds(
    a_window,
    RATES,
    backlog=st.one_of(st.just(NAN), st.just(0.0), st.floats(0.0, 500.0)),
    growth=st.one_of(st.just(NAN), st.just(0.0), st.floats(-5.0, 5.0)),
    service_s=st.one_of(st.just(NAN), st.floats(0.005, 2.0)),
    ready=st.sampled_from([NAN, 0.0, 1.0, 2.0, 5.0]),
    is_complete=st.booleans(),
)
HISTORIES = st.lists(st.tuples(WINDOWS, st.sampled_from([0.5, 1.0, 3.0, 10.0])), max_size=12)
PRIORS = st.sampled_from([NAN, 1.0, 10.0])


@settings(max_examples=150)
@given(HISTORIES, PRIORS)
def test_no_replica_is_believed_to_do_what_none_was_seen_to_do(
    history: Sequence[tuple[Window, float]], prior: float
) -> None:
    """Not more than stated or seen; without a statement not more than twice what was guessed or seen."""
    world, seen = World(), [0.0 if math.isnan(prior) else prior]
    for window, windows in history:
        world.look(window, prior=prior, windows=windows)
        if window.is_complete[0] and window.ready[0] > 0.0:
            seen.append(float(np.nan_to_num(window.completions_rps[0] / window.ready[0])))
        if window.is_complete[0] and math.isnan(prior):
            seen.append(float(np.nan_to_num(1.0 / window.service_s[0])))
        allowed = max(seen) if not math.isnan(prior) else max(seen) / BUSY * STEP
        assert math.isnan(world.rps) or 0.0 < world.rps <= allowed * (1.0 + 1e-9)


@given(HISTORIES, PRIORS, st.floats(0.0, 0.49), st.floats(0.01, 0.99))
def test_idle_windows_change_nothing(
    history: Sequence[tuple[Window, float]], prior: float, load: float, waiting: float
) -> None:
    world = World()
    for window, windows in history:
        world.look(window, prior=prior, windows=windows)
    world.look(a_window(0.0), prior=prior, windows=3)  # whatever was going on is over
    before = copies(world.known)
    # a guess rests on the service time, and that is as before
    service_s = float(np.nan_to_num(world.known._service_s[0], nan=0.1))
    world.look(a_window(load * world.rps, backlog=waiting, service_s=service_s), prior=prior, windows=30)
    np.testing.assert_array_equal(world.known.weight, before["weight"])
    np.testing.assert_allclose(world.known.rps, before["rps"], rtol=1e-12)


@given(HISTORIES, PRIORS, st.floats(0.1, 1000.0), st.floats(50.0, 1e5), st.floats(0.1, 5.0))
def test_overload_never_raises(
    history: Sequence[tuple[Window, float]], prior: float, rps: float, backlog: float, growth: float
) -> None:
    world = World()
    for window, windows in history:
        world.look(window, prior=prior, windows=windows)
    world.look(a_window(0.0), prior=prior, windows=3)
    for _ in range(30):
        before = world.rps
        overloaded = a_window(rps, backlog=backlog, growth=growth * rps, service_s=NAN)
        assert not world.look(overloaded, prior=prior).rps > before
        backlog += growth * rps * LOOK_S


def copies(known: Capacities) -> dict[str, np.ndarray]:
    return {"weight": known.weight.copy(), "rps": known.rps.copy()}


@given(st.lists(HISTORIES, min_size=3, max_size=3), st.permutations(range(3)))
def test_which_column_a_model_has_says_nothing(
    histories: list[list[tuple[Window, float]]], order: Sequence[int]
) -> None:
    steps = min(len(history) for history in histories)
    priors = np.array([NAN, 1.0, 10.0])
    plain, moved = World(3), World(3)
    for step in range(steps):
        looks = [history[step][0] for history in histories]
        plain.look(joined(looks), prior=priors, windows=histories[0][step][1])
        moved.look(joined([looks[i] for i in order]), prior=priors[list(order)], windows=histories[0][step][1])
    np.testing.assert_array_equal(moved.known.rps, plain.known.rps[list(order)])
    np.testing.assert_array_equal(moved.known.weight, plain.known.weight[list(order)])


def joined(windows: Sequence[Window]) -> Window:
    return Window(*(np.concatenate([getattr(w, name) for w in windows]) for name in Window.__slots__))


# Columns.


def test_new_columns_are_unknown_and_old_ones_stay() -> None:
    world = World().look(a_window(20.0), prior=10.0, windows=20)
    before = world.rps
    world.known.resize(3)
    np.testing.assert_array_equal(world.known.rps, [before, NAN, NAN])
    world.look(joined([a_window(20.0), a_window(20.0), a_window(1.0)]), prior=np.array([10.0, 10.0, NAN]), windows=20)
    assert world.known.is_learned.tolist() == [True, True, False]
    assert world.known.rps[2] == pytest.approx(10.0)


def test_a_forgotten_column_is_as_new() -> None:
    width_two = joined([a_window(20.0), a_window(7.0)])
    world = World(2).look(width_two, windows=40)
    kept = world.known.rps[1]
    world.known.forget(np.array([0]))
    np.testing.assert_array_equal(world.known.rps, [NAN, kept])
    assert world.known.weight[0] == 0.0
    fresh, again = World().look(a_window(3.0), windows=5), world.look(joined([a_window(3.0), a_window(7.0)]), windows=5)
    assert again.known.rps[0] == fresh.known.rps[0]


def test_the_evidence_names_what_is_known() -> None:
    world = World().look(a_window(20.0), prior=10.0, windows=20)
    said = world.known.evidence(0)
    assert (said["capacity_rps"], said["capacity_prior_rps"]) == (world.rps, 10.0)
    assert said["capacity_windows"] > 5.0
    assert World().look(a_window(NAN, service_s=NAN)).known.evidence(0) == {"capacity_windows": 0.0}


def test_a_window_that_saw_nothing_teaches_nothing() -> None:
    world = World(2)
    for _ in range(5):
        world.look(Window.unknown(2))
    assert np.isnan(world.known.rps).all()
    half = replace(Window.unknown(2), service_s=np.array([NAN, 0.1]), is_complete=np.array([False, True]))
    np.testing.assert_array_equal(world.look(half).known.rps, [NAN, 10.0])


def test_no_models_have_no_capacity() -> None:
    assert World(0).look(Window.unknown(0)).known.rps.shape == (0,)
