"""Tokens for many at once: against simulated servers, a closed form, and by what must hold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import a_model
from lull.decide.erlang import UTILISATION_CAP
from lull.decide.objectives import Objectives
from lull.decide.tokens import Decoding, is_hopeless, paced, token_limit
from simulated import Decoded, decoded

FIRST, INTER, LATENCY = "TimeToFirstToken", "InterTokenLatency", "Latency"

# A request alone gets a token every 20.4 ms, each other one adds 0.4 ms; answers have 100 tokens on average.
STEP_S, EACH_S, TOKENS = 0.02, 0.0004, 100.0


def one(value: float) -> np.ndarray:
    return np.array([value], dtype=np.float64)


def a_server(**changes: float) -> Decoding:
    """One server with room for 256 requests, of which no more is known than must be."""
    known = {
        "fixed_s": STEP_S + EACH_S,
        "each_s": EACH_S,
        "generated": TOKENS,
        "prompt": 300.0,
        "prefill_s": math.nan,
        "kv_tokens": math.nan,
        "max_running": 256.0,
        "pace_tail": math.nan,
        "answer_tail": math.nan,
    }
    return Decoding(**{name: one(value) for name, value in (known | changes).items()})


def asking(metric: str, percentile: str, threshold: str) -> Objectives:
    objective = {"metric": metric, "percentile": percentile, "threshold": threshold}
    model = a_model(server={"runtime": "vllm", "modelName": "chat"}, slo={"objectives": [objective]})
    return Objectives.of([model.spec])


def limit(of: Decoding, *objective: str, peakedness: float = 1.0) -> float:
    return float(token_limit(of, asking(*objective), one(peakedness))[0])


def simulated(rps: float, of: Decoding | None = None, count: int = 30_000, seed: int = 2, **law: Any) -> Decoded:
    """Poisson arrivals of answers of exponential length; prompts vary less."""
    chance = np.random.default_rng(seed)
    of = of or a_server()
    lengths = law.get("lengths", chance.exponential(TOKENS, count))
    slots = max(1, int(of.slots[0]))
    prefill_s = float(np.nan_to_num(of.prefill_s)[0]) * chance.gamma(3.0, 1.0 / 3.0, count)
    return decoded(chance.exponential(1.0 / rps, count), lengths, prefill_s, STEP_S, EACH_S, slots=slots)


# How many run.


@pytest.mark.parametrize("rps", [2.0, 8.0, 15.0])
@pytest.mark.parametrize("is_even", [False, True], ids=["answers of random length", "answers of one length"])
def test_as_many_run_as_littles_law_says(rps: float, is_even: bool) -> None:
    """Whatever the lengths."""
    lengths = {"lengths": np.full(40_000, TOKENS)} if is_even else {}
    found = simulated(rps, count=40_000, **lengths)
    assert found.mean_running() == pytest.approx(a_server().running(one(rps))[0], rel=0.04)


def test_how_many_run_varies_more_than_chance_alone() -> None:
    found, of = simulated(12.0, count=60_000), a_server()
    mean = found.mean_running()
    variance = float(np.average((found.running - mean) ** 2, weights=found.for_s))
    assert variance == pytest.approx(mean * (1.0 + mean * of.each_s[0] / of.fixed_s[0]), rel=0.15)
    assert variance > 1.5 * mean


def test_the_closed_form_is_that_of_the_papers() -> None:
    """Without prefill: ``b = r * L * t0 / (1 - r * L * t1)``."""
    assert a_server().running(one(10.0))[0] == pytest.approx(10.0 * 100.0 * 0.0204 / (1.0 - 10.0 * 100.0 * 0.0004))


@given(st.floats(0.1, 200.0), st.floats(0.0, 2.0))
def test_rate_and_number_running_are_each_others_inverse(running: float, prefill_s: float) -> None:
    of = a_server(prefill_s=prefill_s)
    assert of.running(of.rps(one(running)))[0] == pytest.approx(running, rel=1e-9)


def test_no_number_of_requests_does_more_than_the_slope_allows() -> None:
    assert np.isinf(a_server().running(np.array([1.0 / (TOKENS * EACH_S)])))[0]


@pytest.mark.parametrize(
    ("changes", "slots"),
    [
        pytest.param({}, 256.0, id="as many as the server takes"),
        pytest.param({"kv_tokens": 40_000.0}, 100.0, id="as many as the cache holds"),
        pytest.param({"kv_tokens": 1e9}, 256.0, id="the lesser counts"),
        pytest.param({"kv_tokens": 40_000.0, "max_running": math.nan}, 100.0, id="only the cache is known"),
        pytest.param({"kv_tokens": 40_000.0, "prompt": math.nan}, 256.0, id="a cache of unknown share"),
        pytest.param({"max_running": math.nan}, math.nan, id="neither is known"),
    ],
)
def test_room_is_the_lesser_of_slots_and_cache(changes: dict[str, float], slots: float) -> None:
    np.testing.assert_allclose(a_server(**changes).slots, [slots])


@pytest.mark.parametrize("name", ["fixed_s", "each_s", "generated", "max_running"])
def test_the_law_needs_to_know(name: str) -> None:
    assert a_server().is_known[0]
    assert not a_server(**{name: math.nan}).is_known[0]


# What one may be given: a simulated server meets its objective with it, and not with much more.

CASES = [
    pytest.param((INTER, "95", "30ms"), {}, 1.15, id="pace"),
    pytest.param((INTER, "99", "30ms"), {}, 1.15, id="pace, rarely missed"),
    pytest.param((INTER, "50", "30ms"), {}, 1.15, id="pace of the median"),
    pytest.param((INTER, "95", "50ms"), {}, 1.15, id="a slow pace"),
    pytest.param((FIRST, "95", "500ms"), {"prefill_s": 0.03, "max_running": 16.0}, 1.25, id="slots"),
    pytest.param((FIRST, "95", "5s"), {"prefill_s": 0.01, "max_running": 16.0}, 1.15, id="slots, with time to wait"),
    pytest.param((FIRST, "95", "500ms"), {"prefill_s": 0.03, "kv_tokens": 8000.0}, 1.25, id="cache"),
    pytest.param((FIRST, "95", "300ms"), {"prefill_s": 0.1}, 1.5, id="prefill"),
    pytest.param((LATENCY, "95", "8s"), {"prefill_s": 0.03, "answer_tail": 3.0}, 1.15, id="whole answers"),
    pytest.param(
        (LATENCY, "95", "12s"), {"prefill_s": 0.03, "max_running": 32.0, "answer_tail": 3.0}, 1.25, id="whole, slots"
    ),
]


def late_share(found: Decoded, metric: str, threshold_s: float) -> float:
    if metric == INTER:
        return found.share_of_tokens_slower_than(threshold_s, STEP_S, EACH_S)
    return float(np.mean((found.first_s if metric == FIRST else found.whole_s) > threshold_s))


@pytest.mark.parametrize(("objective", "changes", "times"), CASES)
def test_the_objective_holds_at_the_limit_and_not_far_above(
    objective: tuple[str, str, str], changes: dict[str, float], times: float
) -> None:
    of, asked = a_server(**changes), asking(*objective)
    rps, miss, threshold_s = limit(of, *objective), asked.miss_ratio[0], asked.threshold_s[0]
    assert late_share(simulated(rps, of), objective[0], threshold_s) <= miss
    assert late_share(simulated(times * rps, of), objective[0], threshold_s) > miss


def test_the_binding_constraint_counts() -> None:
    """Each alone, and then all: the least."""
    free, first = {"prefill_s": 0.02}, (FIRST, "95", "1s")
    alone = [
        limit(a_server(**free), *first),
        limit(a_server(**free, kv_tokens=6000.0), *first),
        limit(a_server(**free, max_running=24.0), *first),
        limit(a_server(prefill_s=0.2), *first),
    ]
    together = limit(a_server(prefill_s=0.2, kv_tokens=6000.0, max_running=24.0), *first)
    assert len({round(rps, 3) for rps in alone}) == 4
    assert together <= min(alone) * (1.0 + 1e-9)
    assert together == pytest.approx(min(alone), rel=0.1)


def test_a_measured_tail_replaces_the_assumed_one() -> None:
    assumed, light, heavy = (limit(a_server(pace_tail=tail), INTER, "95", "30ms") for tail in (math.nan, 1.05, 1.2))
    assert heavy < assumed < light
    running = a_server().running(one(heavy))[0]
    assert 1.2 * (STEP_S + EACH_S + EACH_S * running) == pytest.approx(0.030)


def test_bursts_leave_less_for_slots() -> None:
    of = a_server(prefill_s=0.02, max_running=16.0)
    assert limit(of, FIRST, "95", "500ms", peakedness=4.0) < 0.9 * limit(of, FIRST, "95", "500ms")


def test_tokens_that_do_not_slow_down_keep_any_pace() -> None:
    """Or none: then they are planned as what cannot be mended."""
    kept = limit(a_server(each_s=0.0), INTER, "95", "30ms")
    assert kept == pytest.approx(UTILISATION_CAP * 256 / (TOKENS * (STEP_S + EACH_S)))
    assert limit(a_server(each_s=0.0), INTER, "95", "10ms") < kept


@pytest.mark.parametrize(
    ("objective", "hopeless"),
    [
        ((INTER, "95", "20ms"), True),
        ((INTER, "95", "21ms"), False),
        ((FIRST, "95", "100ms"), True),
        ((FIRST, "95", "101ms"), False),
        ((LATENCY, "95", "2s"), True),
        ((LATENCY, "95", "3s"), False),
    ],
)
def test_what_a_lone_request_misses_is_hopeless(objective: tuple[str, str, str], hopeless: bool) -> None:
    of = a_server(prefill_s=0.1)
    assert bool(is_hopeless(of, asking(*objective))[0]) == hopeless
    assert limit(of, *objective) > 0.0


METRICS = st.sampled_from([FIRST, INTER, LATENCY])
KNOWN = st.fixed_dictionaries(
    {
        "fixed_s": st.floats(1e-3, 0.1),
        "each_s": st.floats(0.0, 1e-2),
        "generated": st.floats(1.0, 2000.0),
        "prompt": st.floats(1.0, 20_000.0),
        "prefill_s": st.one_of(st.just(math.nan), st.floats(1e-3, 5.0)),
        "kv_tokens": st.one_of(st.just(math.nan), st.floats(50_000.0, 1e6)),
        "max_running": st.floats(1.0, 300.0),
        "pace_tail": st.one_of(st.just(math.nan), st.floats(0.5, 5.0)),
        "answer_tail": st.one_of(st.just(math.nan), st.floats(0.5, 5.0)),
    }
)


@given(KNOWN, METRICS, st.sampled_from(["50", "95", "99.9"]), st.integers(1, 60_000))
def test_what_is_planned_is_never_nothing_and_never_full(
    known: dict[str, float], metric: str, percentile: str, threshold_ms: int
) -> None:
    of = a_server(**known)
    rps = limit(of, metric, percentile, f"{threshold_ms}ms")
    assert rps > 0.0
    assert rps <= UTILISATION_CAP * of.slots[0] / of.stay_s(of.slots)[0] * (1.0 + 1e-9)


@given(KNOWN, METRICS, st.integers(1, 30_000), st.floats(1.0, 4.0))
def test_more_time_allows_more_load(known: dict[str, float], metric: str, threshold_ms: int, more: float) -> None:
    """From where the objective is well within what a lone request takes."""
    of = a_server(**known)
    alone_s = {INTER: of.fixed_s[0], FIRST: 2.0 * np.nan_to_num(of.prefill_s)[0], LATENCY: of.stay_s(one(0.0))[0]}
    less_s = 6.0 * alone_s[metric] + threshold_ms / 1000.0  # the largest tail is 5
    asked = asking(metric, "95", "1s")
    less, much = (token_limit(of, asked.within(threshold_s), one(1.0))[0] for threshold_s in (less_s, more * less_s))
    assert less <= much * (1.0 + 1e-9)


def test_a_slightly_other_pace_gives_a_slightly_other_size() -> None:
    """Measured paces waver: around the threshold, too, the fleet must not swing between two sizes."""
    steps = np.geomspace(0.005, 0.06, 1000)
    many, asked = a_server().at(np.zeros(1000, dtype=np.int64)), asking(INTER, "95", "30ms")
    rps = token_limit(replace(many, fixed_s=steps), asked.only(np.zeros(1000, dtype=np.int64)), np.ones(1000))
    assert np.max(np.abs(np.diff(np.log(rps)))) < 0.05


def test_paces_of_many_models_are_those_of_each() -> None:
    paces, deviations = np.array([0.03, 0.021, 0.01, np.inf, 0.05]), np.array([1.6, 2.3, 0.0, np.nan, np.nan])
    many = a_server().at(np.zeros(5, dtype=np.int64))
    alone = [paced(a_server(), one(p), one(z))[0] for p, z in zip(paces, deviations, strict=True)]
    np.testing.assert_allclose(paced(many, paces, deviations), alone)
