"""Slots under bursty arrivals: against published figures, an exact queue, simulated ones, and by what must hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lull.decide.erlang import erlang_c, late_share, peakedness, slot_limit, spread, utilisation_limit
from simulated import bursty_gaps, waits_for_slots

LOADS = st.floats(0.05, 0.89)
BURSTS = st.floats(1.0, 25.0)


def one(value: float) -> np.ndarray:
    return np.array([value], dtype=np.float64)


def late(slots: float, utilisation: float, wait: float, variability: float) -> float:
    return float(late_share(one(slots), one(utilisation), one(wait), peakedness(one(variability)))[0])


@pytest.mark.parametrize(
    ("deviation", "slots", "waits", "waits_half"),
    [
        pytest.param(4.0, 47, 0.70, 0.46, id="staffed as if Poisson, very bursty"),
        pytest.param(4.0, 59, 0.31, 0.09, id="staffed for very bursty"),
        pytest.param(2.0, 47, 0.43, None, id="staffed as if Poisson, bursty"),
        pytest.param(2.0, 50, 0.27, None, id="staffed for bursty"),
    ],
)
def test_published_waits_of_bursty_arrivals(
    deviation: float, slots: int, waits: float, waits_half: float | None
) -> None:
    """Simulated figures at an offered load of 40, and the staffing that goes by the square root of the peakedness."""
    z = float(peakedness(one(deviation**2))[0])
    assert slots == math.ceil(40.0 + math.sqrt(40.0)) or slots == math.ceil(40.0 + math.sqrt(z * 40.0))
    assert late(slots, 40.0 / slots, 0.0, deviation**2) == pytest.approx(waits, abs=0.065)
    if waits_half is not None:
        assert late(slots, 40.0 / slots, 0.5, deviation**2) == pytest.approx(waits_half, abs=0.065)


@pytest.mark.parametrize(
    ("slots", "utilisation", "variability", "wait"),
    [
        pytest.param(4, 0.8, 4.0, 1.0, id="four slots"),
        pytest.param(16, 0.85, 4.0, 0.5, id="sixteen slots"),
        pytest.param(16, 0.75, 16.0, 1.0, id="sixteen slots, very bursty"),
    ],
)
def test_late_shares_are_those_of_a_simulated_queue(
    slots: int, utilisation: float, variability: float, wait: float
) -> None:
    chance = np.random.default_rng(5)
    gaps = bursty_gaps(chance, slots * utilisation, variability, 150_000)
    simulated = float(np.mean(waits_for_slots(gaps, chance.exponential(1.0, len(gaps)), slots) > wait))
    told, poisson = late(slots, utilisation, wait, variability), late(slots, utilisation, wait, 1.0)
    assert simulated > 1.5 * poisson, "the case is too tame to tell bursts from none"
    assert told == pytest.approx(simulated, rel=0.25)


def exact_share_that_waits(utilisation: float, variability: float) -> float:
    """The root of the embedded chain of one server under hyperexponential arrivals, balanced."""
    share = 0.5 * (1.0 + math.sqrt((variability - 1.0) / (variability + 1.0)))
    rates = 2.0 * share * utilisation, 2.0 * (1.0 - share) * utilisation
    root = 0.5
    for _ in range(3000):
        s = 1.0 - root
        root = share * rates[0] / (rates[0] + s) + (1.0 - share) * rates[1] / (rates[1] + s)
    return root


@given(LOADS, st.floats(1.05, 25.0), st.floats(0.0, 20.0))
def test_one_slot_is_never_promised_too_much(utilisation: float, variability: float, wait: float) -> None:
    """Its queue is known exactly: a share ``root`` waits, and of it ``exp(-(1 - root) * t)`` longer than t."""
    root = exact_share_that_waits(utilisation, variability)
    assert late(1, utilisation, wait, variability) >= root * math.exp(-(1.0 - root) * wait) * (1.0 - 1e-9)


@given(st.integers(1, 40), LOADS, st.floats(0.0, 5.0))
def test_poisson_arrivals_are_the_plain_law(slots: int, utilisation: float, wait: float) -> None:
    plain = float(erlang_c(one(slots), one(utilisation))[0]) * math.exp(-slots * (1.0 - utilisation) * wait)
    assert late(slots, utilisation, wait, 1.0) == pytest.approx(plain, rel=1e-12)
    assert late(slots, utilisation, wait, math.nan) == pytest.approx(plain, rel=1e-12)


@given(st.integers(1, 64), st.floats(0.0, 10.0), st.floats(1e-4, 0.4), BURSTS, st.floats(0.0, 10.0))
def test_burstier_arrivals_allow_less(slots: int, wait: float, miss: float, variability: float, more: float) -> None:
    calm, burst = (
        utilisation_limit(one(slots), one(wait), one(miss), peakedness(one(v)))[0]
        for v in (variability, variability + more)
    )
    assert burst <= calm + 1e-9


@given(st.floats(0.05, 20.0), st.floats(0.0, 1.0), LOADS)
def test_slots_between_whole_numbers_lie_between(slots: float, more: float, utilisation: float) -> None:
    fewer, most = erlang_c(np.array([slots, slots + more]), np.full(2, utilisation))
    assert 0.0 <= most <= fewer + 1e-12
    assert fewer <= 1.0


def test_all_rows_at_once_are_each_by_itself() -> None:
    """The recursion leaves rows behind that have enough slots."""
    slots = np.array([7.0, 0.4, 1.0, 300.0, 2.5, 7.3, 64.0, 1.0])
    utilisation = np.array([0.8, 0.5, 0.0, 0.95, 0.0, 0.7, 0.89, 0.3])
    alone = [erlang_c(one(c), one(u))[0] for c, u in zip(slots, utilisation, strict=True)]
    np.testing.assert_allclose(erlang_c(slots, utilisation), alone, rtol=1e-12)
    assert erlang_c(np.empty(0), np.empty(0)).shape == (0,)


@pytest.mark.parametrize("replicas", [1, 4, 20])
def test_a_stream_spread_over_replicas_is_less_bursty_on_each(replicas: int) -> None:
    chance = np.random.default_rng(3)
    arrivals = np.cumsum(bursty_gaps(chance, 1.0, 9.0, 400_000))
    mine = np.diff(arrivals[chance.integers(0, replicas, len(arrivals)) == 0])
    assert spread(one(9.0), one(replicas))[0] == pytest.approx(float(mine.var() / mine.mean() ** 2), rel=0.05)


def test_an_unknown_variability_stays_unknown_when_spread() -> None:
    assert np.isnan(spread(one(math.nan), one(4))[0])


@given(st.integers(1, 32), st.floats(0.01, 5.0), st.floats(-1.0, 5.0), st.floats(1e-4, 0.4), BURSTS)
def test_what_is_planned_is_never_nothing_and_never_full(
    slots: int, service_s: float, budget_s: float, miss: float, variability: float
) -> None:
    rps = slot_limit(one(slots), one(service_s), one(budget_s), one(miss), peakedness(one(variability)))[0]
    assert 0.0 < rps <= 0.9 * slots / service_s * (1.0 + 1e-9)
