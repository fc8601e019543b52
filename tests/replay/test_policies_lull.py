"""Lull among the policies: columns of one series share what is forecast for it, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from lull.model.arrays import F64, I64
from lull.replay.outcome import Outcome
from lull.replay.physics import Physics
from lull.replay.policies.lull import Lull
from lull.replay.world import run

PHYSICS = Physics(cold_start_s=60.0)
STEPS = 3 * 5760 // 4
CAPACITY_RPS = np.array([4.0, 0.5])


@pytest.fixture(scope="module")
def arrivals() -> F64:
    """Two series in the world's steps: waves with noise and a spike an hour, and rare requests."""
    draw = np.random.default_rng(7)
    at = np.arange(STEPS)
    waves = 10.0 + 8.0 * np.sin(at * 2.0 * np.pi / 1440.0) + np.where(at % 240 < 12, 15.0, 0.0)
    rates = np.stack([waves, np.full(STEPS, 0.02)], axis=1)
    return draw.poisson(rates * PHYSICS.step_s).astype(np.float32)


def lived(
    arrivals: F64, knob: list[float], of_series: I64, *, is_one_price: bool, cold_ratio: float | None = None
) -> Outcome:
    capacity = CAPACITY_RPS[of_series]
    policy = Lull(
        np.array(knob),
        capacity,
        of_series,
        0.005,
        PHYSICS,
        step_s=60.0,
        is_one_price=is_one_price,
        cold_ratio=cold_ratio,
    )
    still = Physics(cold_start_s=60.0, cold_start_sigma=0.0)  # chance must not tell columns apart
    return run(policy, arrivals, capacity, still, of_series=of_series, seed=1)


@pytest.mark.parametrize("is_one_price", [True, False])
def test_a_knob_comes_to_the_same_beside_others_as_alone(arrivals: F64, is_one_price: bool) -> None:
    knobs, both = [0.3, 3.0, 30.0], np.arange(2)
    together = lived(arrivals, [k for knob in knobs for k in (knob, knob)], np.tile(both, 3), is_one_price=is_one_price)
    for place, knob in enumerate(knobs):
        alone = lived(arrivals, [knob, knob], both, is_one_price=is_one_price)
        part = slice(2 * place, 2 * place + 2)
        assert together.starts[part].tolist() == alone.starts.tolist()
        assert together.missed[part] == pytest.approx(alone.missed)
        assert together.on_s[part] == pytest.approx(alone.on_s)


def test_a_dearer_miss_misses_less_and_holds_more(arrivals: F64) -> None:
    outcome = lived(arrivals, [0.3, 0.3, 30.0, 30.0], np.array([0, 1, 0, 1]), is_one_price=False)
    assert outcome.missed[2] < 0.5 * outcome.missed[0]
    assert outcome.on_s[2] > outcome.on_s[0]


@pytest.fixture(scope="module")
def rare() -> F64:
    """One series that is called every quarter of an hour in the mean."""
    draw = np.random.default_rng(3)
    return draw.poisson(np.full((STEPS, 1), 1.0 / 60.0)).astype(np.float32)


@pytest.mark.parametrize("is_one_price", [True, False])
def test_the_more_may_wait_for_a_wake_the_more_do_and_the_less_it_costs(rare: F64, is_one_price: bool) -> None:
    only = np.zeros(1, dtype=np.int64)
    few, many = (lived(rare, [np.nan], only, is_one_price=is_one_price, cold_ratio=share) for share in (0.02, 0.5))
    assert few.cold[0] < 0.5 * many.cold[0]
    assert few.provisioning_s[0] > 1.5 * many.provisioning_s[0]


def test_cold_hits_that_are_counted_apart_leave_the_price_of_misses_alone(rare: F64) -> None:
    """As misses they would make every replica dear; what has a share of its own has a price of its own."""
    only, prices = np.zeros(1, dtype=np.int64), []
    for cold_ratio in (None, 0.05):
        policy = Lull(
            np.array([np.nan]),
            CAPACITY_RPS[:1],
            only,
            0.005,
            PHYSICS,
            step_s=60.0,
            is_one_price=False,
            cold_ratio=cold_ratio,
        )
        run(policy, rare, CAPACITY_RPS[:1], PHYSICS, of_series=only, seed=1)
        prices.append((policy.price_factor[0], policy.cold_price_factor[0]))
    together, apart = prices
    assert together[0] > 1.0
    assert apart[0] < 1.0 < apart[1]
