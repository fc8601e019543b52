"""Keep-alive and lazy capacity provisioning: each replica layer by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lull.replay.policies.keepalive import KeepAlive
from lull.replay.policies.lcp import Lcp
from lull.replay.world import Physics
from replay.policy_looks import a_look, lives

WORLD = Physics()


def sizes_of(rates: list[float], keep_s: float, *, capacity: float = 10.0) -> list[float]:
    keep = KeepAlive(np.array([keep_s]), np.array([capacity]), WORLD)
    looks = [a_look(15.0 * k, rate=rate, ready=9.0, capacity=capacity) for k, rate in enumerate(rates)]
    return [float(size[0]) for size in lives(keep, looks, WORLD)]


@pytest.mark.parametrize(
    ("rates", "keep_s", "sizes"),
    [
        pytest.param([0.0, 25.0, 25.0], 60.0, [0, 3, 3], id="what the rate needs, at once"),
        pytest.param([25.0, 0.0, 0.0, 0.0, 0.0], 60.0, [3, 3, 3, 3, 0], id="gone after a minute, to zero"),
        pytest.param([25.0, 12.0, 0.0, 0.0, 0.0, 0.0], 60.0, [3, 3, 3, 3, 2, 0], id="each layer by its own last use"),
        pytest.param([25.0, 0.0, 0.0, 5.0, 0.0, 0.0], 60.0, [3, 3, 3, 3, 1, 1], id="use of one layer keeps no other"),
        pytest.param([25.0, 0.0], 0.0, [3, 0], id="no time at all"),
        pytest.param([20.0], 60.0, [2], id="exactly full"),
    ],
)
def test_layers_go_after_their_time(rates: list[float], keep_s: float, sizes: list[float]) -> None:
    assert sizes_of(rates, keep_s) == sizes


def test_waiting_requests_keep_what_there_is_and_what_starts() -> None:
    keep = KeepAlive(np.zeros(1), np.ones(1), WORLD)
    waiting = [a_look(15.0 * k, queue=1.0, starting=2.0) for k in range(4)]
    assert np.unique(lives(keep, waiting, WORLD)).tolist() == [2.0]
    assert lives(keep, [a_look(60.0, ready=2.0)], WORLD)[0].tolist() == [0.0]


def test_a_waiting_request_is_need_enough_for_one() -> None:
    assert lives(KeepAlive(np.zeros(1), np.ones(1), WORLD), [a_look(queue=0.5)], WORLD)[0].tolist() == [1.0]


def test_a_queue_is_drained_within_the_time_of_a_start() -> None:
    """10 rps arrive, and 1200 requests wait: over 60 s they are 20 rps more, so 3 replicas of 10 rps are needed."""
    keep = KeepAlive(np.zeros(1), np.array([10.0]), WORLD)
    assert lives(keep, [a_look(rate=10.0, queue=1200.0, ready=1.0, capacity=10.0)], WORLD)[0].tolist() == [3.0]


@pytest.mark.parametrize(
    ("patience", "idle_steps"),
    [
        pytest.param(1.0, 12, id="as published: 60 s to start and 120 s of energy"),
        pytest.param(0.5, 6, id="half"),
        pytest.param(2.0, 24, id="twice"),
    ],
)
def test_lazy_provisioning_drops_a_layer_when_idling_has_cost_a_start(patience: float, idle_steps: int) -> None:
    lcp = Lcp(np.array([patience]), np.ones(1), WORLD)
    sizes = lives(lcp, [a_look(15.0 * k, rate=1.0 if k == 0 else 0.0, ready=1.0) for k in range(30)], WORLD)
    assert [float(size[0]) for size in sizes] == [1.0] * idle_steps + [0.0] * (30 - idle_steps)


def test_dearer_starts_make_it_more_patient() -> None:
    dear = replace(WORLD, cold_start_s=180.0)
    lcp = Lcp(np.ones(1), np.ones(1), dear)
    sizes = lives(lcp, [a_look(15.0 * k, rate=1.0 if k == 0 else 0.0, ready=1.0) for k in range(30)], dear)
    assert sum(float(size[0]) for size in sizes) == 20.0


def layer_by_layer(needs: list[int], keep_steps: int, idle_cost: float, start_cost: float) -> tuple[list[int], float]:
    """Sizes of layers that each keep a clock of their own, and what idling and starting cost them."""
    top = max(needs)
    last: list[int | None] = [None] * top
    is_on, sizes, cost = [False] * top, [], 0.0
    for step, need in enumerate(needs):
        for layer in range(top):
            if layer < need:
                cost += 0.0 if is_on[layer] else start_cost
                is_on[layer], last[layer] = True, step
            elif is_on[layer] and step - (last[layer] or 0) >= keep_steps:
                is_on[layer] = False
            elif is_on[layer]:
                cost += idle_cost
        sizes.append(sum(is_on))
    return sizes, cost


@settings(max_examples=100, deadline=None)
@given(needs=st.lists(st.integers(0, 6), min_size=1, max_size=60), keep_steps=st.integers(1, 20))
def test_sizes_are_those_of_layers_with_clocks_of_their_own(needs: list[int], keep_steps: int) -> None:
    sizes, _ = layer_by_layer(needs, keep_steps, 0.0, 0.0)
    assert sizes_of([10.0 * need for need in needs], 15.0 * keep_steps) == sizes


@settings(max_examples=100, deadline=None)
@given(needs=st.lists(st.integers(0, 5), min_size=1, max_size=80))
def test_lazy_provisioning_pays_at_most_twice_what_known_gaps_cost(needs: list[int]) -> None:
    """A layer's optimum pays for each gap the less of idling through it and of another start."""
    start_steps = 12  # (60 s + 120 s) / 15 s
    sizes, _ = layer_by_layer(needs, start_steps, 1.0, start_steps)
    lcp = Lcp(np.ones(1), np.ones(1), WORLD)
    told = lives(lcp, [a_look(15.0 * k, rate=float(need), ready=9.0) for k, need in enumerate(needs)], WORLD)
    on = np.array([float(size[0]) for size in told])
    assert on.tolist() == sizes
    paid = (on - needs).sum() + start_steps * np.maximum(np.diff(on, prepend=0.0), 0.0).sum()
    assert paid <= 2.0 * optimum(needs, start_steps)


def optimum(needs: list[int], start_steps: int) -> float:
    cost = 0.0
    for layer in range(1, max(needs, default=0) + 1):
        used = np.flatnonzero(np.array(needs) >= layer)
        cost += start_steps + np.minimum(np.diff(used) - 1, start_steps).sum()
    return cost
