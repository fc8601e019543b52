"""Knative's autoscaler: windows, panic and the way to zero by hand, and all of it against a plain retelling."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.replay.policies.knative import Knative
from lull.replay.world import Physics, Seen
from replay.policy_looks import a_look, lives, random_looks

WORLD = Physics()
FINE = Physics(step_s=1.0)


def sizes_at(
    in_flight_at: Callable[[float], float], until_s: float, *, start: float, target: float = 0.7, total: float = 1.0
) -> list[float]:
    """Sizes every 15 s on concurrency, when the fleet follows at once; ``total`` scales what the activator compares."""
    policy = Knative(np.array([target]), np.ones(1), WORLD, metric="concurrency")
    sizes, current = [], start
    for now_s in np.arange(0.0, until_s + 1.0, 15.0):
        look = a_look(now_s, queue=in_flight_at(now_s) * total, ready=current)
        policy.watch(look)
        current = float(policy.desire(look)[0])
        sizes.append(current)
    return sizes


def test_pods_are_the_mean_of_a_minute_over_the_target() -> None:
    """14 in flight at 0.7 each need 20 pods, from 14 pods without panic."""
    assert sizes_at(lambda _: 14.0, 300.0, start=14.0)[-1] == 20.0


def test_the_mean_divides_by_the_buckets_there_are() -> None:
    """3 held from the first moment are 3 on average, not 3 in four buckets."""
    assert sizes_at(lambda _: 3.0, 0.0, start=1.0) == [5.0]


def test_an_autoscaler_that_finds_several_pods_keeps_them_for_a_minute_and_then_halves() -> None:
    assert sizes_at(lambda _: 0.5, 120.0, start=20.0) == [20.0] * 4 + [10.0, 5.0, 2.0, 1.0, 1.0]


def test_panic_begins_at_twice_the_ready_pods_and_never_lowers() -> None:
    """At 120 s the short window has 4.2 / 0.7 = 6 pods for 3; a minute after the last breach the halving begins."""
    sizes = sizes_at(lambda now_s: 4.2 if now_s == 120.0 else 1.5, 225.0, start=3.0)
    assert sizes[8:] == [6.0, 6.0, 6.0, 6.0, 3.0, 3.0, 3.0, 3.0]


def test_below_twice_the_ready_pods_there_is_no_panic() -> None:
    """9.5 in flight at 0.5 each make 19 pods for 10, and 9.6 make 20; the minute alone asks for 13."""
    for burst, size in ((9.5, 13.0), (9.6, 20.0)):
        assert (
            sizes_at(lambda now_s, burst=burst: burst if now_s == 120.0 else 5.0, 120.0, start=10.0, target=0.5)[-1]
            == size
        )


def test_each_breach_prolongs_panic() -> None:
    """The fleet stays at 3 ready, so each look at 4.2 is a breach; the last one is at 150 s."""
    policy = Knative(np.array([0.7]), np.ones(1), WORLD, metric="concurrency")
    looks = [a_look(15.0 * k, queue=4.2 if 8 <= k <= 10 else 1.5, ready=3.0) for k in range(16)]
    sizes = [float(size[0]) for size in lives(policy, looks, WORLD)]
    assert sizes[8:] == [6.0] * 6 + [3.0, 3.0]


def test_growth_is_bounded_only_by_a_thousandfold() -> None:
    assert sizes_at(lambda _: 1e6, 0.0, start=2.0) == [2000.0]


def test_the_last_pod_goes_when_a_minute_was_silent() -> None:
    """With little room the activator was in the path all the time, so the grace period is over already."""
    sizes = sizes_at(lambda now_s: 0.5 if now_s <= 300.0 else 0.0, 420.0, start=1.0)
    assert sizes[20:] == [1.0] * 5 + [0.0] * 4  # 360 s: the minute is silent, the pod inactive; gone a tick later


def test_the_grace_period_runs_where_the_activator_was_not_in_the_path() -> None:
    """A pod of 1000 rps leaves more room than the burst capacity, so the activator comes in at 360 s only."""
    policy = Knative(np.array([0.7]), np.array([1000.0]), WORLD)
    looks = [a_look(15.0 * k, rate=5.0 if k <= 20 else 0.0, ready=1.0, capacity=1000.0) for k in range(29)]
    sizes = [float(size[0]) for size in lives(policy, looks, WORLD)]
    assert sizes[20:] == [1.0] * 6 + [0.0] * 3


def test_traffic_in_the_grace_period_keeps_the_pod() -> None:
    sizes = sizes_at(lambda now_s: 0.5 if now_s <= 300.0 or now_s == 375.0 else 0.0, 420.0, start=1.0)
    assert min(sizes) == 1.0


def test_a_pod_that_became_active_stays_for_a_stable_window() -> None:
    """It is ready at 90 s, when the minute is silent already: it may go at 150 s, and is gone a tick later."""
    policy = Knative(np.array([0.7]), np.ones(1), WORLD)
    looks = [a_look(0.0), a_look(15.0, rate=0.1, queue=1.0)]
    looks += [a_look(15.0 * k, queue=1.0, starting=1.0) for k in range(2, 6)]
    looks += [a_look(15.0 * k, ready=1.0) for k in range(6, 13)]
    sizes = [float(size[0]) for size in lives(policy, looks, WORLD)]
    assert sizes == [0.0] + [1.0] * 10 + [0.0] * 2


def test_while_it_becomes_active_nothing_changes() -> None:
    """The rate of the request is forgotten after a minute, but what was started for it goes on starting."""
    policy = Knative(np.array([0.7]), np.ones(1), WORLD)
    looks = [a_look(0.0, rate=2.0, queue=30.0)] + [a_look(15.0 * k, queue=30.0, starting=3.0) for k in range(1, 40)]
    assert {float(size[0]) for size in lives(policy, looks, WORLD)} == {3.0}


@pytest.mark.parametrize(
    ("held", "pods"),
    [pytest.param(1.0, 2.0, id="one"), pytest.param(3.0, 5.0, id="three"), pytest.param(0.0, 0.0, id="none")],
)
def test_held_requests_wake_at_once_and_undiluted(held: float, pods: float) -> None:
    """After a silent hour the window begins anew: requests that came a moment ago are all there is of it."""
    sizes = sizes_at(lambda now_s: held if now_s >= 3600.0 else 0.0, 3600.0, start=0.0)
    assert (set(sizes[:-1]), sizes[-1]) == ({0.0}, pods)


def test_on_rate_a_pod_is_asked_for_each_share_of_its_capacity() -> None:
    policy = Knative(np.array([0.5]), np.array([10.0]), WORLD)
    looks = [a_look(15.0 * k, rate=20.0, ready=3.0, queue=500.0, capacity=10.0) for k in range(10)]
    assert lives(policy, looks, WORLD)[-1].tolist() == [4.0]


class PlainKnative:
    """One revision, with its samples in a list and the status of its PodAutoscaler in words."""

    def __init__(self, target: float, total: float, stable: int, panic: int) -> None:
        self.target, self.total, self.windows = target * total, total, (stable, panic)
        self.samples: list[float] = []
        self.first: int | None = None
        self.last: int | None = None
        self.panic_s: float | None = None
        self.most = 0.0
        self.status, self.since_s = "", 0.0
        self.proxied_s: float | None = None

    def watch(self, value: float, is_sampled: bool) -> None:
        step = len(self.samples)
        self.samples.append(value if is_sampled else 0.0)
        if is_sampled:
            if self.last is None or step - self.last > self.windows[0]:
                self.first = step
            self.last = step

    def mean(self, window: int) -> float:
        assert self.first is not None
        return math.fsum(self.samples[-window:]) / min(window, len(self.samples) - self.first)

    def desire(self, now_s: float, ready: float, starting: float) -> float:
        pods = ready + starting
        if not self.status:
            self.status = "inactive" if pods == 0 else "activating"
            self.since_s = now_s
            if ready > 1:
                self.panic_s, self.most = now_s, ready
        is_known = self.last is not None and len(self.samples) - 1 - self.last < self.windows[0]
        want, short = self.scale(now_s, max(ready, 1.0)) if is_known else (self.without_data(now_s, pods), 0.0)
        want, size = self.to_zero(now_s, want, ready, pods)
        room = math.floor(ready * self.total - 211.0 - short)
        self.proxied_s = (now_s if self.proxied_s is None else self.proxied_s) if want == 0 or room < 0 else None
        return size

    def without_data(self, now_s: float, pods: float) -> float:
        if self.panic_s is not None and now_s - self.panic_s >= 60.0:
            self.panic_s, self.most = None, 0.0
        return pods

    def scale(self, now_s: float, ready: float) -> tuple[float, float]:
        stable, short = (self.mean(window) for window in self.windows)
        wants = [math.ceil(round(x / self.target, 9)) for x in (stable, short)]
        if wants[1] / ready >= 2.0:
            self.panic_s = now_s
        elif self.panic_s is not None and now_s - self.panic_s >= 60.0:
            self.panic_s, self.most = None, 0.0
        calm, hasty = (min(max(want, ready // 2), 1000 * ready) for want in wants)
        if self.panic_s is None:
            return calm, short
        self.most = max(self.most, calm, hasty)
        return self.most, short

    def to_zero(self, now_s: float, want: float, ready: float, pods: float) -> tuple[float, float]:
        """What is wanted after the rules for zero, and the size that is set."""
        if pods == 0 and self.status != "inactive":
            self.turn("inactive", math.inf)
        size = want
        if want == 0 and self.status == "inactive":
            proxied_s = math.inf if self.proxied_s is None else self.proxied_s
            size = 0.0 if max(now_s - self.since_s, now_s - proxied_s) >= 30.0 else pods
        elif want == 0 and ready == 0:
            want = size = pods
        elif want == 0:
            is_rested = self.status == "active" and now_s - self.since_s >= 60.0
            want, size = (0.0, pods) if is_rested else (1.0, 1.0)
        if want == 0:
            self.turn("inactive", now_s)
        else:
            self.turn("active" if ready > 0 else "activating", now_s)
        return want, size

    def turn(self, status: str, now_s: float) -> None:
        if status != self.status:
            self.status, self.since_s = status, now_s
        self.since_s = min(self.since_s, now_s)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    targets=st.lists(st.sampled_from([0.5, 0.625, 1.0]), min_size=1, max_size=4),
    metric=st.sampled_from(["rps", "concurrency"]),
    physics=st.sampled_from([WORLD, FINE]),
    scale=st.sampled_from([1.0, 4.0, 100.0]),
)
def test_columns_are_what_a_plain_autoscaler_decides(
    seed: int, targets: list[float], metric: str, physics: Physics, scale: float
) -> None:
    capacity = scale * 2.0 ** np.arange(len(targets))
    looks = random_looks(seed, len(targets), 200, physics, capacity=capacity)
    policy = Knative(np.array(targets), capacity, physics, metric=metric)  # type: ignore[arg-type]
    sizes = lives(policy, looks, physics)
    every = max(1, round(2.0 / physics.step_s))
    windows = (60, 6) if physics is FINE else (4, 1)
    for column, target in enumerate(targets):
        plain = PlainKnative(target, capacity[column] if metric == "rps" else 1.0, *windows)
        expected = []
        for step, look in enumerate(looks):
            plain.watch(*sample(look, column, metric))
            if step % every == 0:
                expected.append(plain.desire(look.now_s, look.ready[column], look.starting[column]))
        assert [size[column] for size in sizes] == expected


def sample(look: Seen, column: int, metric: str) -> tuple[float, bool]:
    value = look.arrivals_rps[column] if metric == "rps" else look.in_flight[column]
    return float(value), bool(look.ready[column] > 0 or look.in_flight[column] > 0)
