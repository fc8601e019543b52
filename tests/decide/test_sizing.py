"""How much a replica may be given: against textbook sums, against a simulated queue, and by what must hold."""

from __future__ import annotations

import heapq
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_model
from lull.decide.sizing import (
    UNREACHABLE_UTILISATION,
    UTILISATION_CAP,
    Limits,
    erlang_c,
    limits,
    utilisation_limit,
)
from lull.model.spec import Spec

SLOTS = st.integers(1, 64)
WAITS = st.floats(0.0, 50.0)
MISSES = st.floats(1e-5, 0.5)


def one(value: float) -> np.ndarray:
    return np.array([value], dtype=np.float64)


def textbook_erlang_c(slots: int, utilisation: Fraction) -> Fraction:
    offered = slots * utilisation
    full = offered**slots / math.factorial(slots) / (1 - utilisation)
    return full / (sum(offered**k / Fraction(math.factorial(k)) for k in range(slots)) + full)


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 8, 20, 50])
@pytest.mark.parametrize("percent", [0, 1, 25, 50, 75, 90, 99])
def test_erlang_c_is_the_textbooks_sum(slots: int, percent: int) -> None:
    expected = float(textbook_erlang_c(slots, Fraction(percent, 100)))
    assert erlang_c(one(slots), one(percent / 100))[0] == pytest.approx(expected, rel=1e-12)


def test_erlang_c_of_one_slot_is_its_utilisation() -> None:
    utilisation = np.linspace(0.0, 0.99, 12)
    assert erlang_c(np.ones(12), utilisation) == pytest.approx(utilisation)


def waits_of_a_queue(slots: int, utilisation: float, count: int, seed: int) -> np.ndarray:
    """Waits of ``count`` requests, in service times, in a simulated M/M/c queue."""
    chance = np.random.default_rng(seed)
    arrivals = np.cumsum(chance.exponential(1.0 / (slots * utilisation), count))
    services = chance.exponential(1.0, count)
    free_at = [0.0] * slots
    waits = np.empty(count)
    for i in range(count):
        start = max(float(arrivals[i]), free_at[0])
        waits[i] = start - arrivals[i]
        heapq.heapreplace(free_at, start + services[i])
    return waits[count // 10 :]


@pytest.mark.parametrize(
    ("slots", "utilisation", "wait"),
    [
        pytest.param(1, 0.7, 0.0, id="one slot, any wait"),
        pytest.param(1, 0.7, 3.0, id="one slot, long waits"),
        pytest.param(4, 0.8, 0.5, id="four slots"),
        pytest.param(16, 0.9, 0.25, id="sixteen slots"),
    ],
)
def test_the_share_of_late_requests_is_that_of_a_simulated_queue(slots: int, utilisation: float, wait: float) -> None:
    late = waits_of_a_queue(slots, utilisation, count=100_000, seed=11) > wait
    batches = late.reshape(30, -1).mean(axis=1)  # waits of neighbours are alike, means of batches are not
    error = batches.std(ddof=1) / math.sqrt(len(batches))
    expected = erlang_c(one(slots), one(utilisation))[0] * math.exp(-slots * (1.0 - utilisation) * wait)
    assert abs(batches.mean() - expected) < 4.0 * error
    assert error < 0.2 * expected, "the simulation is too short to tell anything"


def late_share(slots: int, utilisation: float, wait: float) -> float:
    return float(erlang_c(one(slots), one(utilisation))[0] * math.exp(-slots * (1.0 - utilisation) * wait))


def limit_of(slots: int, wait: float, miss: float) -> float:
    return float(utilisation_limit(one(slots), one(wait), one(miss))[0])


@given(SLOTS, WAITS, MISSES)
def test_the_limit_meets_the_objective_and_a_little_more_does_not(slots: int, wait: float, miss: float) -> None:
    limit = limit_of(slots, wait, miss)
    assert 0.0 < limit <= UTILISATION_CAP
    assert late_share(slots, limit, wait) <= miss
    if limit < UTILISATION_CAP - 1e-9:
        assert late_share(slots, limit + 1e-9, wait) > miss


@given(SLOTS, WAITS, MISSES, st.floats(0.0, 10.0))
def test_more_allowed_wait_allows_more_load(slots: int, wait: float, miss: float, more: float) -> None:
    assert limit_of(slots, wait + more, miss) >= limit_of(slots, wait, miss) - 1e-9


@given(SLOTS, WAITS, MISSES, st.integers(0, 64))
def test_more_slots_allow_more_load_on_each(slots: int, wait: float, miss: float, more: int) -> None:
    assert limit_of(slots + more, wait, miss) >= limit_of(slots, wait, miss) - 1e-9


@given(SLOTS, WAITS, MISSES, st.floats(1.0, 100.0))
def test_a_larger_share_that_may_miss_allows_more_load(slots: int, wait: float, miss: float, times: float) -> None:
    assert limit_of(slots, wait, min(miss * times, 0.5)) >= limit_of(slots, wait, miss) - 1e-9


def a_spec_of(capacity: dict[str, object], *objectives: tuple[str, str]) -> Spec:
    listed = [{"metric": "Latency", "percentile": p, "threshold": t} for p, t in objectives or (("95", "800ms"),)]
    return a_model(capacity=capacity, slo={"objectives": listed}).spec


def limits_of(spec: Spec, measured_s: float = math.nan) -> Limits:
    return limits([spec], one(measured_s))


def test_a_rate_is_one_slot_of_one_over_the_rate() -> None:
    found = limits_of(a_spec_of({"requestsPerSecond": 10}))
    utilisation = limit_of(1, (0.8 - 0.1) / 0.1, 0.05)
    assert found.rps[0] == pytest.approx(10 * utilisation)
    assert not found.is_unreachable[0]


def test_a_rate_does_not_ask_for_the_measured_service_time() -> None:
    spec = a_spec_of({"requestsPerSecond": 10})
    assert limits_of(spec, 0.7).rps[0] == limits_of(spec).rps[0]


def test_a_concurrency_takes_the_measured_service_time() -> None:
    found = limits_of(a_spec_of({"concurrency": 8}), 0.2)
    assert found.rps[0] == pytest.approx(8 / 0.2 * limit_of(8, (0.8 - 0.2) / 0.2, 0.05))


def test_a_concurrency_without_a_service_time_is_unknown() -> None:
    found = limits_of(a_spec_of({"concurrency": 8}))
    assert np.isnan(found.rps[0])
    assert np.isnan(found.safe_rps[0])
    assert not found.is_unreachable[0]


def test_the_hardest_objective_decides() -> None:
    easy, hard = ("50", "2s"), ("99", "500ms")
    together = limits_of(a_spec_of({"requestsPerSecond": 10}, easy, hard))
    alone = limits_of(a_spec_of({"requestsPerSecond": 10}, hard))
    assert together.rps[0] == alone.rps[0]
    assert together.safe_rps[0] == alone.safe_rps[0]
    assert alone.rps[0] < limits_of(a_spec_of({"requestsPerSecond": 10}, easy)).rps[0]


def test_one_unreachable_objective_makes_the_model_unreachable() -> None:
    assert limits_of(a_spec_of({"requestsPerSecond": 10}, ("50", "2s"), ("95", "90ms"))).is_unreachable[0]


@pytest.mark.parametrize("service_s", [0.8, 0.9, 5.0])
def test_an_unreachable_objective_is_planned_with_short_queues(service_s: float) -> None:
    found = limits_of(a_spec_of({"concurrency": 2}), service_s)
    assert found.is_unreachable[0]
    assert found.rps[0] == pytest.approx(UNREACHABLE_UTILISATION * 2 / service_s)


@given(st.integers(1, 64), st.floats(0.001, 10.0), st.sampled_from(["50", "90", "95", "99.9"]))
def test_the_margin_of_scale_in_never_allows_more(slots: int, service_s: float, percentile: str) -> None:
    """Or what scale-in leaves would be scaled out again in the next round, for ever."""
    found = limits_of(a_spec_of({"concurrency": slots}, (percentile, "800ms")), service_s)
    assert 0.0 < found.safe_rps[0] <= found.rps[0]


@pytest.mark.parametrize("slots", [1, 2, 16])
def test_a_slightly_other_service_time_gives_a_slightly_other_size(slots: int) -> None:
    """Measured times waver: around the threshold, too, the fleet must not swing between two sizes."""
    service_s = np.geomspace(0.01, 4.0, 1200)
    found = limits([a_spec_of({"concurrency": slots})] * len(service_s), service_s)
    for rps in (found.rps, found.safe_rps):
        assert np.max(np.abs(np.diff(np.log(rps)))) < 0.1


@given(
    st.lists(
        st.tuples(
            st.sampled_from([{"requestsPerSecond": 3}, {"concurrency": 1}, {"concurrency": 40}]),
            st.one_of(st.just(math.nan), st.floats(0.001, 5.0)),
            st.sampled_from([(("95", "800ms"),), (("50", "100ms"), ("99.9", "3s"))]),
        ),
        max_size=6,
    )
)
def test_all_at_once_is_each_by_itself(
    models: list[tuple[dict[str, object], float, tuple[tuple[str, str], ...]]],
) -> None:
    specs = [a_spec_of(capacity, *objectives) for capacity, _, objectives in models]
    together = limits(specs, np.array([measured for _, measured, _ in models], dtype=np.float64))
    for i, (spec, (_, measured, _)) in enumerate(zip(specs, models, strict=True)):
        alone = limits_of(spec, measured)
        np.testing.assert_allclose(together.rps[i], alone.rps[0], rtol=1e-9)
        np.testing.assert_allclose(together.safe_rps[i], alone.safe_rps[0], rtol=1e-9)
        assert together.is_unreachable[i] == alone.is_unreachable[0]
