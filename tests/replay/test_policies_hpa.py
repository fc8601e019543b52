"""The HPA's arithmetic by hand, its rules one by one, and all of it against a plain retelling for one workload."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.replay.policies.behaviour import Behaviour, by_average_value, by_utilisation
from lull.replay.policies.hpa import Hpa
from lull.replay.world import Physics, Seen
from replay.policy_looks import a_look, lives, random_looks

WORLD = Physics()


@pytest.mark.parametrize(
    ("ready", "starting", "percent_used", "target", "wanted"),
    [
        pytest.param(4, 0, 90, 60, 6, id="4 at 90 % for 60 % make 6"),
        pytest.param(4, 0, 30, 60, 2, id="4 at 30 % for 60 % make 2"),
        pytest.param(4, 0, 66, 60, 4, id="1.1 of the target is tolerated"),
        pytest.param(10, 0, 67, 60, 12, id="beyond the tolerance it is rounded up"),
        pytest.param(4, 0, 54, 60, 4, id="0.9 of the target is tolerated"),
        pytest.param(10, 0, 53, 60, 9, id="below the tolerance"),
        pytest.param(5, 0, 0, 60, 0, id="nothing to do"),
        pytest.param(4, 0, 100, 95, 4, id="saturation is within the tolerance of 95 %"),
        pytest.param(4, 2, 90, 60, 6, id="2 that start count as idle, so 6 are exactly right"),
        pytest.param(4, 1, 90, 60, 6, id="1 that starts: 72 % of 5 pods for 60 %"),
        pytest.param(4, 4, 90, 60, 8, id="4 that start turn it to 45 %, which may not shrink"),
        pytest.param(4, 2, 30, 60, 2, id="those that start do not count on the way down"),
        pytest.param(4, 2, 60, 60, 6, id="on target with some starting keeps all"),
    ],
)
def test_replicas_by_utilisation(ready: int, starting: int, percent_used: int, target: int, wanted: int) -> None:
    look = a_look(ready=ready, starting=starting, served=ready * percent_used / 100)
    assert by_utilisation(look, np.ones(1), np.array([float(target)])).tolist() == [wanted]


def test_utilisation_is_told_in_whole_percent() -> None:
    """66.9 % is 66 % for the controller, and 66 / 60 is tolerated."""
    assert by_utilisation(a_look(ready=10, served=6.69), np.ones(1), np.array([60.0])).tolist() == [10.0]


def test_without_a_ready_pod_there_is_no_metric() -> None:
    assert np.isnan(by_utilisation(a_look(ready=0, starting=3), np.ones(1), np.array([60.0]))).all()


@pytest.mark.parametrize(
    ("total", "replicas", "wanted"),
    [
        pytest.param(12.0, 3, 6, id="12 at 2 each make 6"),
        pytest.param(6.5, 3, 3, id="within the tolerance"),
        pytest.param(6.7, 3, 4, id="beyond it"),
        pytest.param(0.0, 3, 0, id="nothing"),
    ],
)
def test_replicas_by_average_value(total: float, replicas: float, wanted: float) -> None:
    assert by_average_value(np.array([total]), np.array([2.0]), np.array([replicas])).tolist() == [wanted]


def test_at_zero_replicas_an_average_value_is_not_asked_for() -> None:
    assert np.isnan(by_average_value(np.array([9.0]), np.array([2.0]), np.array([0.0]))).all()


def sizes_of(behaviour: Behaviour, recommended: list[float], start: float) -> list[float]:
    """Sizes when the fleet follows at once."""
    sizes, current = [], start
    for each in recommended:
        current = float(behaviour.limit(np.array([each]), np.array([current]))[0])
        sizes.append(current)
    return sizes


def test_a_size_is_kept_until_no_recommendation_of_five_minutes_asks_for_it() -> None:
    sizes = sizes_of(Behaviour(1, 15.0), [9.0] + [2.0] * 21, start=9.0)
    assert sizes == [9.0] * 20 + [2.0] * 2


def test_the_window_keeps_the_largest_recommendation_and_not_the_size() -> None:
    sizes = sizes_of(Behaviour(1, 15.0), [9.0] + [5.0] + [2.0] * 20, start=9.0)
    assert sizes[19:] == [9.0, 5.0, 2.0]


def test_a_controller_that_starts_keeps_what_it_finds() -> None:
    sizes = sizes_of(Behaviour(1, 15.0), [1.0] * 21, start=7.0)
    assert sizes == [7.0] * 20 + [1.0]


@pytest.mark.parametrize(
    ("start", "sizes"),
    [
        pytest.param(1.0, [5.0, 10.0, 20.0, 40.0], id="four pods, then twice as many"),
        pytest.param(10.0, [20.0, 40.0, 80.0, 100.0], id="twice as many, up to what is wanted"),
    ],
)
def test_growth_is_four_pods_or_twofold_each_sync(start: float, sizes: list[float]) -> None:
    assert sizes_of(Behaviour(1, 15.0), [100.0] * 4, start=start) == sizes


def test_with_a_period_of_a_minute_growth_waits_for_the_minute() -> None:
    sizes = sizes_of(Behaviour(1, 15.0, up_period_s=60.0), [100.0] * 9, start=1.0)
    assert sizes == [5.0] * 4 + [10.0] * 4 + [20.0]


def test_without_a_metric_nothing_is_changed_and_nothing_is_remembered() -> None:
    behaviour = Behaviour(1, 15.0)
    assert sizes_of(behaviour, [2.0] + [np.nan] * 18 + [1.0] * 2, start=2.0) == [2.0] * 20 + [1.0]
    assert sizes_of(behaviour, [np.nan], start=50.0) == [50.0]


def test_an_hpa_never_goes_to_zero() -> None:
    hpa = Hpa(np.array([0.6]), np.ones(1), WORLD)
    sizes = lives(hpa, [a_look(15.0 * k, ready=1) for k in range(60)], WORLD)
    assert np.unique(sizes).tolist() == [1.0]


def test_an_hpa_raises_a_fleet_that_it_finds_at_zero() -> None:
    assert Hpa(np.array([0.6]), np.ones(1), WORLD).desire(a_look()).tolist() == [1.0]


class PlainHpa:
    """One workload, pod by pod, and history by timestamps: how the controller's source tells it."""

    def __init__(self, target_percent: int, capacity: int) -> None:
        self.target, self.capacity = target_percent, capacity
        self.recommendations: list[tuple[float, float]] = []
        self.events: list[tuple[float, float]] = []

    def wanted(self, ready: int, starting: int, served: int) -> float | None:
        if not ready:
            return None
        used = [Fraction(served, ready * self.capacity)] * ready
        ratio = self.ratio(used)
        if not (starting and ratio > 1):
            return ready + starting if self.is_tolerated(ratio) else math.ceil(ratio * ready)
        used += [Fraction(0)] * starting
        again = self.ratio(used)
        if self.is_tolerated(again) or again < 1 or math.ceil(again * len(used)) < ready + starting:
            return ready + starting
        return math.ceil(again * len(used))

    def ratio(self, used: list[Fraction]) -> float:
        return math.floor(100 * sum(used) / len(used)) / self.target

    def is_tolerated(self, ratio: float) -> bool:
        return 0.9 <= ratio <= 1.1

    def desire(self, now_s: float, ready: int, starting: int, served: int) -> float:
        current = float(ready + starting)
        if not self.recommendations:
            self.recommendations.append((now_s, current))
        wanted = self.wanted(ready, starting, served)
        if wanted is None:
            return max(current, 1.0)
        window = [size for at_s, size in self.recommendations if at_s > now_s - 300.0]
        stable = max(current, wanted)
        stable = min(stable, max([wanted, *window]))
        self.recommendations.append((now_s, wanted))
        start = current - sum(change for at_s, change in self.events if at_s > now_s - 15.0)
        size = max(min(stable, max(start + 4, 2 * start, current)), 1.0)
        self.events.append((now_s, size - current))
        return size


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), targets=st.lists(st.integers(10, 95), min_size=1, max_size=4))
def test_columns_are_what_a_plain_hpa_decides_for_each_workload(seed: int, targets: list[int]) -> None:
    capacity = np.arange(1.0, len(targets) + 1.0)
    looks = random_looks(seed, len(targets), 60, WORLD, capacity=capacity)
    sizes = lives(Hpa(np.array(targets) / 100.0, capacity, WORLD), looks, WORLD)
    for column, target in enumerate(targets):
        plain = PlainHpa(target, column + 1)
        expected = [plain.desire(look.now_s, *whole(look, column)) for look in looks]
        assert [size[column] for size in sizes] == expected


def whole(look: Seen, column: int) -> tuple[int, int, int]:
    return int(look.ready[column]), int(look.starting[column]), int(look.served_rps[column])
