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
    Batches,
    Limits,
    erlang_c,
    limits,
    utilisation_limit,
)
from lull.decide.tokens import Decoding
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


# The other laws: each where what it takes is known.


def a_token_spec(*objectives: tuple[str, str, str], capacity: dict[str, object] | None = None) -> Spec:
    listed = [{"metric": metric, "percentile": p, "threshold": t} for metric, p, t in objectives]
    server = {"runtime": "vllm", "modelName": "chat"}
    return a_model(server=server, capacity=capacity or {"concurrency": 64}, slo={"objectives": listed}).spec


def a_decoding(count: int = 1, **changes: float) -> Decoding:
    known = {
        "fixed_s": 0.02,
        "each_s": 0.0004,
        "generated": 100.0,
        "prompt": 300.0,
        "prefill_s": 0.05,
        "kv_tokens": 100_000.0,
        "max_running": 64.0,
        "pace_tail": math.nan,
        "answer_tail": math.nan,
    } | changes
    return Decoding(**{name: np.full(count, value) for name, value in known.items()})


UNKNOWN = Decoding(**{name: one(math.nan) for name in Decoding.__slots__})
FIRST, INTER = ("TimeToFirstToken", "95", "500ms"), ("InterTokenLatency", "95", "30ms")


def test_tokens_replace_slots_where_they_are_known() -> None:
    spec = a_token_spec(("Latency", "95", "8s"))
    by_slots, by_tokens = limits([spec], one(2.6)), limits([spec], one(2.6), decoding=a_decoding())
    assert by_tokens.rps[0] != by_slots.rps[0]
    assert limits([spec], one(2.6), decoding=UNKNOWN).rps[0] == by_slots.rps[0]


def test_the_hardest_of_objectives_of_several_kinds_decides() -> None:
    latency = ("Latency", "95", "8s")
    alone = [limits([a_token_spec(o)], one(2.6), decoding=a_decoding()).rps[0] for o in (FIRST, INTER, latency)]
    together = limits([a_token_spec(FIRST, INTER, latency)], one(2.6), decoding=a_decoding())
    assert together.rps[0] == min(alone)
    assert len({round(rps, 6) for rps in alone}) == 3


@pytest.mark.parametrize("objective", [FIRST, INTER])
@pytest.mark.parametrize(
    ("capacity", "service_s", "rps"),
    [
        ({"requestsPerSecond": 5}, math.nan, UNREACHABLE_UTILISATION * 5),
        ({"concurrency": 8}, 2.0, UNREACHABLE_UTILISATION * 8 / 2.0),
        ({"concurrency": 8}, math.nan, math.nan),
    ],
)
def test_until_tokens_are_known_the_capacity_is_planned_with_short_queues(
    objective: tuple[str, str, str], capacity: dict[str, object], service_s: float, rps: float
) -> None:
    found = limits([a_token_spec(objective, capacity=capacity)], one(service_s), decoding=UNKNOWN)
    np.testing.assert_allclose([found.rps[0], found.safe_rps[0]], [rps, rps])
    assert not found.is_unreachable[0]


def test_a_first_token_cannot_be_computed_without_the_time_of_a_prompt() -> None:
    spec = a_token_spec(FIRST, capacity={"requestsPerSecond": 5})
    found = limits([spec], one(math.nan), decoding=a_decoding(prefill_s=math.nan))
    assert found.rps[0] == pytest.approx(UNREACHABLE_UTILISATION * 5)


@pytest.mark.parametrize(
    ("objective", "hopeless"),
    [(("InterTokenLatency", "95", "15ms"), True), (INTER, False), (("TimeToFirstToken", "95", "40ms"), True)],
)
def test_objectives_of_tokens_may_be_unreachable_too(objective: tuple[str, str, str], hopeless: bool) -> None:
    found = limits([a_token_spec(objective)], one(2.0), decoding=a_decoding())
    assert bool(found.is_unreachable[0]) == hopeless


def test_batches_replace_slots_where_they_are_known() -> None:
    spec = a_spec_of({"concurrency": 32}, ("95", "100ms"))
    of = Batches(one(0.008), one(0.0018), one(32.0))
    by_slots, by_batches = limits([spec], one(0.03)), limits([spec], one(0.03), batches=of)
    assert by_batches.rps[0] != by_slots.rps[0]
    for unknown in ("fixed_s", "each_s", "max_batch"):
        parts = {name: getattr(of, name) for name in Batches.__slots__} | {unknown: one(math.nan)}
        assert limits([spec], one(0.03), batches=Batches(**parts)).rps[0] == by_slots.rps[0]


@pytest.mark.parametrize(("threshold", "hopeless"), [("9ms", True), ("11ms", False)])
def test_a_lone_batch_that_is_too_slow_is_hopeless(threshold: str, hopeless: bool) -> None:
    of = Batches(one(0.008), one(0.0018), one(32.0))
    found = limits([a_spec_of({"concurrency": 32}, ("95", threshold))], one(0.03), batches=of)
    assert bool(found.is_unreachable[0]) == hopeless


def test_bursts_leave_less() -> None:
    specs = [a_spec_of({"concurrency": 4})] * 3
    found = limits(specs, np.full(3, 0.2), variability=np.array([math.nan, 1.0, 9.0]))
    assert found.rps[0] == found.rps[1] == limits(specs[:1], one(0.2)).rps[0]
    assert found.rps[2] < 0.8 * found.rps[0]


@given(
    st.sampled_from([FIRST, INTER, ("Latency", "90", "5s"), ("InterTokenLatency", "99", "21ms")]),
    st.floats(0.001, 0.1),
    st.floats(0.0, 0.01),
    st.floats(1.0, 128.0),
)
def test_the_margin_of_scale_in_never_allows_more_tokens(
    objective: tuple[str, str, str], fixed_s: float, each_s: float, slots: float
) -> None:
    of = a_decoding(fixed_s=fixed_s, each_s=each_s, max_running=slots)
    found = limits([a_token_spec(objective)], one(2.0), decoding=of)
    assert 0.0 < found.safe_rps[0] <= found.rps[0]


def test_a_fleet_of_all_kinds_is_each_by_itself() -> None:
    specs = [a_spec_of({"requestsPerSecond": 10}), a_spec_of({"concurrency": 32}), a_token_spec(FIRST, INTER)]
    service_s = np.array([math.nan, 0.03, 2.0])
    nan, mine = np.full(3, math.nan), np.array([math.nan, 0.008, math.nan])
    batches = Batches(mine, mine / 4.0, np.array([math.nan, 32.0, math.nan]))
    token = a_decoding(3)
    of = Decoding(**{name: np.where([False, False, True], getattr(token, name), nan) for name in Decoding.__slots__})
    together = limits(specs, service_s, batches=batches, decoding=of)
    alone = [
        limits(specs[:1], service_s[:1]),
        limits(specs[1:2], service_s[1:2], batches=Batches(one(0.008), one(0.002), one(32.0))),
        limits(specs[2:], service_s[2:], decoding=a_decoding()),
    ]
    np.testing.assert_allclose(together.rps, [found.rps[0] for found in alone])
    np.testing.assert_allclose(together.safe_rps, [found.safe_rps[0] for found in alone])
