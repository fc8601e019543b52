"""Batches: against published figures, simulated servers, and by what must hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.decide.batching import FULL_SHARE, batch_limit, bounded, latency_bound_s, mean_batch, tail
from simulated import batched_latencies

SECONDS, SIZES, MISSES = st.floats(1e-4, 0.1), st.integers(1, 128), st.floats(1e-3, 0.4)


def one(value: float) -> np.ndarray:
    return np.array([value], dtype=np.float64)


def simulated(rps: float, fixed_s: float, each_s: float, max_batch: int = 10**9, count: int = 150_000) -> np.ndarray:
    latencies, _ = batched_latencies(np.random.default_rng(7).exponential(1.0 / rps, count), fixed_s, each_s, max_batch)
    return latencies


@pytest.mark.parametrize(
    ("rps", "bound_s", "mean_s"),
    [pytest.param(200.0, 0.0212, 0.0210, id="at 36 %"), pytest.param(400.0, 0.0479, 0.0480, id="at 72 %")],
)
def test_published_bound_and_mean_of_a_server_of_8_and_1_8_ms(rps: float, bound_s: float, mean_s: float) -> None:
    assert latency_bound_s(one(rps), one(0.008), one(0.0018))[0] == pytest.approx(bound_s, abs=5e-5)
    latencies = simulated(rps, 0.008, 0.0018, count=400_000)
    assert latencies.mean() == pytest.approx(mean_s, rel=0.02)
    assert 1.5 < np.quantile(latencies, 0.99) / latencies.mean() < 2.0


@pytest.mark.parametrize("load", [0.1, 0.4, 0.7, 0.85])
@pytest.mark.parametrize("fixed_s", [0.002, 0.02, 0.1])
def test_the_mean_lies_below_the_bound_and_near_it_under_load(load: float, fixed_s: float) -> None:
    rps, each_s = load / 0.004, 0.004
    latencies, sizes = batched_latencies(np.random.default_rng(7).exponential(1.0 / rps, 200_000), fixed_s, each_s)
    bound_s = latency_bound_s(one(rps), one(fixed_s), one(each_s))[0]
    assert latencies.mean() <= 1.02 * bound_s
    assert latencies.mean() >= 0.75 * bound_s
    expected = mean_batch(one(rps), one(fixed_s), one(each_s))[0]
    if expected > 4.0:
        assert sizes.mean() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("per_each", [0.0, 0.2, 1.0, 4.4, 20.0])
@pytest.mark.parametrize("max_batch", [1, 2, 8, 64])
@pytest.mark.parametrize(("times", "miss"), [(2.5, 0.1), (4.0, 0.01), (8.0, 0.05), (15.0, 0.001)])
def test_a_simulated_server_meets_its_objective_at_the_limit(
    per_each: float, max_batch: int, times: float, miss: float
) -> None:
    """Whether batching pays or not, the batch is large or small, and the objective is tight or loose."""
    each_s = 0.004
    fixed_s = per_each * each_s
    threshold_s = times * (fixed_s + each_s)
    rps = batch_limit(one(fixed_s), one(each_s), one(max_batch), one(threshold_s), one(miss))[0]
    assert np.mean(simulated(rps, fixed_s, each_s, max_batch, count=80_000) > threshold_s) <= 1.1 * miss


def test_the_limit_is_not_wastefully_low() -> None:
    """A fifth more load would miss the objective, where the objective and not the cap binds."""
    fixed_s, each_s, threshold_s, miss = 0.008, 0.0018, 0.06, 0.01
    rps = batch_limit(one(fixed_s), one(each_s), one(64), one(threshold_s), one(miss))[0]
    assert rps < 0.8 * FULL_SHARE * 64 / (fixed_s + 64 * each_s)
    assert np.mean(simulated(1.25 * rps, fixed_s, each_s, 64) > threshold_s) > miss


def test_batches_allow_far_more_than_one_at_a_time() -> None:
    one_by_one, batched = (batch_limit(one(0.008), one(0.0018), one(size), one(0.1), one(0.01))[0] for size in (1, 64))
    assert batched > 3.0 * one_by_one


def test_the_bound_is_twice_over_for_the_99th_percentile_where_batching_pays() -> None:
    fixed_s, each_s, threshold_s = one(0.02), one(0.001), one(0.1)
    assert tail(fixed_s, each_s, one(0.01))[0] == pytest.approx(2.0)
    rps = bounded(fixed_s, each_s, one(10_000), threshold_s, one(0.01))
    assert 2.0 * latency_bound_s(rps, fixed_s, each_s)[0] == pytest.approx(0.1, rel=1e-6)


@given(SECONDS, SECONDS, SIZES, st.floats(1.0, 50.0), MISSES, st.floats(1.0, 3.0))
def test_more_time_allows_more_load(
    fixed_s: float, each_s: float, size: int, times: float, miss: float, more: float
) -> None:
    """From where a single request takes half of the threshold; below that the objective gives way on a ramp."""
    threshold_s = 2.0 * times * (fixed_s + each_s)
    less, much = (
        batch_limit(one(fixed_s), one(each_s), one(size), one(limit_s), one(miss))[0]
        for limit_s in (threshold_s, more * threshold_s)
    )
    assert 0.0 < less <= much * (1.0 + 1e-9)


@given(SECONDS, SECONDS, SIZES, st.floats(0.1, 50.0), MISSES)
def test_what_is_planned_is_never_nothing_and_never_full(
    fixed_s: float, each_s: float, size: int, times: float, miss: float
) -> None:
    rps = batch_limit(one(fixed_s), one(each_s), one(size), one(times * (fixed_s + each_s)), one(miss))[0]
    assert 0.0 < rps <= 0.9 * size / (fixed_s + size * each_s) * (1.0 + 1e-9)


@given(SECONDS, SECONDS, MISSES, st.floats(1.0, 3.0))
def test_a_rarer_miss_lies_further_out(fixed_s: float, each_s: float, miss: float, times: float) -> None:
    near, far = (tail(one(fixed_s), one(each_s), one(m))[0] for m in (miss, miss / times))
    assert near <= far


def test_beyond_what_any_batch_can_do_latency_has_no_bound() -> None:
    assert np.isinf(latency_bound_s(np.array([250.0, 251.0]), np.full(2, 0.01), np.full(2, 0.004))).all()
