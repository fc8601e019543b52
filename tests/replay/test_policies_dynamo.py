"""Dynamo's planner: its filter against the matrices of the textbook, its floor and its reactive loop by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.replay.policies.dynamo import Dynamo, LocalTrend
from lull.replay.policies.training import Training
from lull.replay.world import Physics, Seen
from replay.policy_looks import a_look, lives

WORLD = Physics()


class TextbookFilter:
    """``filterpy``'s algebra for one series, with the planner's numbers."""

    def __init__(self, first: float) -> None:
        self.x, self.p = np.array([first, 0.0]), np.eye(2) * 1000.0
        self.f, self.q = np.array([[1.0, 1.0], [0.0, 1.0]]), np.diag([1.0, 0.1])

    def observe(self, count: float) -> None:
        x, p = self.f @ self.x, self.f @ self.p @ self.f.T + self.q
        gain = p[:, 0] / (p[0, 0] + 10.0)
        self.x = x + gain * (count - x[0])
        self.p = p - np.outer(gain, p[0])

    def predict(self) -> float:
        return float((self.f @ self.x)[0])


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.lists(st.integers(0, 500), min_size=2, max_size=2), min_size=1, max_size=40))
def test_each_column_is_a_textbook_filter_that_begins_with_traffic(counts: list[list[int]]) -> None:
    trend = LocalTrend(2)
    plain: list[TextbookFilter | None] = [None, None]
    for row in counts:
        trend.observe(np.array(row, dtype=np.float64))
        for column, count in enumerate(row):
            known = plain[column]
            if known is not None:
                known.observe(count)
            elif count:
                plain[column] = TextbookFilter(count)
        expected = [0.0 if each is None else each.predict() for each in plain]
        assert trend.predict() == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_zeros_after_a_warm_up_are_skipped_until_traffic_comes() -> None:
    trend = LocalTrend(1)
    trend.observe(np.array([50.0]))
    trend.forget_zeros()
    trend.observe(np.zeros(1))
    assert trend.predict().tolist() == [50.0]
    trend.observe(np.array([60.0]))
    trend.observe(np.zeros(1))
    assert trend.predict()[0] < 50.0


def a_planner(
    *, rated: float = 1.0, capacity: float = 10.0, physics: Physics = WORLD, is_constant: bool = True
) -> Dynamo:
    return Dynamo(np.array([rated]), np.array([capacity]), physics, is_constant=is_constant)


def size_for(look: Seen, *, rated: float = 1.0) -> float:
    planner = a_planner(rated=rated)
    planner.watch(look)
    return float(planner.desire(look)[0])


@pytest.mark.parametrize(
    ("rate", "queue", "ready", "size"),
    [
        pytest.param(40.0, 51.0, 5, 6, id="51 queued at 50 rps wait longer than a second: one more"),
        pytest.param(40.0, 50.0, 5, 5, id="exactly a second is within the objective"),
        pytest.param(40.0, 500.0, 5, 6, id="however late, one more at a time"),
        pytest.param(31.9, 0.0, 5, 4, id="3.19 engines' work on 4 engines is below 0.8 of what they are rated for"),
        pytest.param(32.0, 0.0, 5, 5, id="exactly 0.8 is too much"),
        pytest.param(20.0, 1.1, 5, 4, id="2.0 at work and 1.1 queued: 3.1 on 4 engines"),
        pytest.param(20.0, 1.3, 5, 5, id="2.0 at work and 1.3 queued: 3.3 on 4 engines"),
        pytest.param(0.0, 0.0, 5, 4, id="idle: one fewer at a time"),
        pytest.param(0.0, 0.0, 1, 1, id="never below one"),
        pytest.param(0.0, 9.0, 0, 1, id="nothing there: one"),
    ],
)
def test_the_reactive_loop(rate: float, queue: float, ready: float, size: float) -> None:
    assert size_for(a_look(15.0, rate=rate, queue=queue, ready=ready, capacity=10.0)) == size


@pytest.mark.parametrize(
    ("rate", "size"),
    [
        pytest.param(31.0, 6, id="3.1 engines' work on 5 engines rated at 0.6 is too slow"),
        pytest.param(30.0, 5, id="exactly what they are rated for"),
        pytest.param(19.0, 4, id="1.9 on 4 engines is below 0.8 * 0.6 each"),
        pytest.param(19.3, 5, id="1.93 is not"),
    ],
)
def test_engines_are_late_beyond_the_rate_they_are_rated_for(rate: float, size: float) -> None:
    assert size_for(a_look(15.0, rate=rate, ready=5, capacity=10.0), rated=0.6) == size


def test_a_long_wait_of_the_survivors_forbids_to_go() -> None:
    """3 queued on engines of 1 rps wait 3 s on 1 of 2 engines; with an objective of 4 s that is within 0.8 of it."""
    for slo_wait_s, size in ((3.5, 20.0), (4.0, 19.0)):
        physics = Physics(slo_wait_s=slo_wait_s)
        planner = Dynamo(np.ones(1), np.array([0.1]), physics, is_constant=True)
        # 6 queued for 19 engines of 0.1 rps: 3.16 s.
        look = a_look(15.0, rate=0.0, queue=6.0, ready=20.0, capacity=0.1)
        assert planner.desire(look).tolist() == [size]


def test_while_engines_start_nothing_changes() -> None:
    assert size_for(a_look(15.0, rate=10.0, queue=900.0, ready=1.0, starting=2.0, capacity=10.0)) == 3.0


def looks_at(rate: float, until_s: float, *, ready: float, starting: float = 0.0) -> list[Seen]:
    steps = int(until_s / 15.0) + 1
    return [a_look(15.0 * k, rate=rate, ready=ready, starting=starting, capacity=10.0) for k in range(steps)]


def test_the_forecast_is_a_floor_from_the_end_of_the_first_interval() -> None:
    """45 rps for engines rated at 10 rps make 5; they idle here, so the reactive loop alone would shed one a tick."""
    planner = a_planner()
    looks = looks_at(45.0, 180.0, ready=7.0)
    sizes = [float(size[0]) for size in lives(planner, looks, WORLD)]
    assert sizes == [6.0] * 13
    idle = [a_look(195.0 + 15.0 * k, ready=5.0, capacity=10.0) for k in range(3)]
    assert [float(size[0]) for size in lives(planner, idle, WORLD)] == [5.0] * 3


def test_the_floor_lifts_by_as_much_as_is_lacking() -> None:
    planner = a_planner(rated=0.5)
    assert lives(planner, looks_at(45.0, 180.0, ready=9.0), WORLD)[-1].tolist() == [9.0]
    assert planner.desire(a_look(195.0, rate=0.0, ready=2.0, capacity=10.0)).tolist() == [9.0]


def test_the_floor_waits_while_engines_start() -> None:
    planner = a_planner()
    assert lives(planner, looks_at(45.0, 180.0, ready=1.0, starting=1.0), WORLD)[-1].tolist() == [2.0]


def test_the_filter_carries_growth_on_and_the_constant_does_not() -> None:
    """Rates of 10, 20, ..., 60 rps in six intervals: one is ahead of the last, the other stays there."""
    floors = []
    for is_constant in (False, True):
        planner = a_planner(is_constant=is_constant)
        for k in range(6 * 12 + 1):
            planner.watch(a_look(15.0 * k, rate=10.0 * ((k - 1) // 12 + 1), ready=9.0, capacity=10.0))
        floors.append(float(planner.desire(a_look(2000.0, ready=1.0, capacity=10.0))[0]))
    assert floors == [7.0, 6.0]


@pytest.mark.parametrize("bin_s", [60.0, 180.0, 600.0])
def test_the_training_warms_the_predictor_up(bin_s: float) -> None:
    """A first interval without traffic is skipped as idle, and the floor is what the training had."""
    training = Training(np.full((200, 1), 25.0), bin_s, np.zeros(1, dtype=np.int64))
    planner = Dynamo(np.ones(1), np.array([10.0]), WORLD, training=training)
    assert lives(planner, looks_at(0.0, 180.0, ready=1.0), WORLD)[-1].tolist() == [3.0]
    cold = Dynamo(np.ones(1), np.array([10.0]), WORLD)
    assert lives(cold, looks_at(0.0, 180.0, ready=1.0), WORLD)[-1].tolist() == [1.0]
