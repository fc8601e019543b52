"""The prices of holding, letting go and starting, against laws of the gap that are lived through one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lull.decide.sleep import holding_s, missed_requests, pays_to_keep, pays_to_start
from lull.model.arrays import F64, I64, Bools

DRAWS = 20_000
BLUR_S = 0.5
"""What so many draws may be off by: answers that hang on less are not asked for."""


@dataclass(frozen=True)
class Law:
    """When the need comes: ``chance[h]`` that it does within ``horizons_s[h]``, evenly spread in between."""

    horizons_s: F64
    chance: F64

    def arrivals_s(self) -> F64:
        """Instants at which it comes, each as likely as the other; inf = not within the last horizon."""
        share = (np.arange(DRAWS) + 0.5) / DRAWS
        times_s, chances = np.append(0.0, self.horizons_s), np.append(0.0, self.chance)
        # Among equal chances the last instant is taken, where the rise begins.
        after = np.searchsorted(chances, share, side="left")
        found = np.full(DRAWS, np.inf)
        inside = after < len(chances)
        upper = after[inside]
        rise = (share[inside] - chances[upper - 1]) / (chances[upper] - chances[upper - 1])
        found[inside] = times_s[upper - 1] + rise * (times_s[upper] - times_s[upper - 1])
        return found


@st.composite
def laws(draw: st.DrawFn) -> Law:
    count = draw(st.integers(1, 6))
    widths = draw(st.lists(st.integers(1, 600), min_size=count, max_size=count))
    chances = draw(st.lists(st.one_of(st.just(0.0), st.just(1.0), st.floats(0.0, 1.0)), min_size=count, max_size=count))
    return Law(np.cumsum(np.array(widths, dtype=np.float64)), np.sort(np.array(chances)))


def column(law: Law) -> F64:
    return law.chance[:, None]


def keeps(chance: F64, horizons_s: F64, worth_s: F64) -> Bools:
    return pays_to_keep(chance, holding_s(chance, horizons_s), worth_s)


def starts(chance: F64, horizons_s: F64, lead: I64, miss_s: F64, start_s: F64) -> Bools:
    return pays_to_start(chance, holding_s(chance, horizons_s), lead, miss_s, start_s)


@given(laws())
def test_holding_is_the_mean_time_until_the_need_or_the_horizon(law: Law) -> None:
    found = holding_s(column(law), law.horizons_s)[:, 0]
    comes_s = law.arrivals_s()
    lived_s = [np.minimum(comes_s, horizon_s).mean() for horizon_s in law.horizons_s]
    np.testing.assert_allclose(found, lived_s, atol=BLUR_S)


@given(laws(), st.floats(1.0, 5000.0))
def test_keeping_pays_exactly_where_some_time_of_holding_is_cheaper_than_none(law: Law, worth_s: float) -> None:
    """Who holds until ``t`` pays for the time, and for a start when the need comes later than that."""
    comes_s = law.arrivals_s()
    returns = np.isfinite(comes_s)

    def cost_s(until_s: float) -> float:
        return float((np.minimum(comes_s, until_s) + worth_s * (returns & (comes_s > until_s))).mean())

    gain_s = cost_s(0.0) - min(cost_s(float(horizon_s)) for horizon_s in law.horizons_s)
    assume(abs(gain_s) > BLUR_S + worth_s / DRAWS)
    assert keeps(column(law), law.horizons_s, np.array([worth_s]))[0] == (gain_s > 0.0)


@given(laws(), st.integers(0, 5), st.floats(0.0, 5000.0), st.floats(1.0, 1000.0))
def test_starting_pays_exactly_where_it_is_cheaper_than_missing_what_comes_before_a_later_start(
    law: Law, lead: int, miss_s: float, start_s: float
) -> None:
    lead = min(lead, len(law.chance) - 1)
    comes_s, ready_s = law.arrivals_s(), law.horizons_s[lead]
    now_s = np.minimum(comes_s, ready_s).mean() + start_s * np.isinf(comes_s).mean()
    later_s = miss_s * (comes_s <= ready_s).mean()
    assume(abs(later_s - now_s) > BLUR_S + (miss_s + start_s) / DRAWS)
    found = starts(column(law), law.horizons_s, np.array([lead]), np.array([miss_s]), np.array([start_s]))
    assert found[0] == (later_s > now_s)


def test_a_start_that_comes_to_be_needed_later_is_not_lost() -> None:
    """Held for 45 s in the mean, and half of 100 s saved; that a start costs 1000 s is no matter if it is needed."""
    horizons_s, lead, miss_s, start_s = np.array([60.0, 600.0]), np.array([0]), np.array([100.0]), np.array([1000.0])
    assert starts(np.array([[0.5], [1.0]]), horizons_s, lead, miss_s, start_s)[0]
    assert not starts(np.array([[0.5], [0.99]]), horizons_s, lead, miss_s, start_s)[0]


@given(st.integers(0, 2**16))
def test_layers_do_not_see_each_other(seed: int) -> None:
    draw, count = np.random.default_rng(seed), 6
    horizons_s = np.array([60.0, 600.0, 3600.0])
    chance = np.sort(draw.random((3, count)), axis=0)
    worth_s, miss_s = draw.uniform(1.0, 4000.0, count), draw.uniform(1.0, 4000.0, count)
    lead = draw.integers(0, 3, count)
    keep = keeps(chance, horizons_s, worth_s)
    start = starts(chance, horizons_s, lead, miss_s, worth_s)
    for i in range(count):
        one = slice(i, i + 1)
        assert keep[i] == keeps(chance[:, one], horizons_s, worth_s[one])[0]
        assert start[i] == starts(chance[:, one], horizons_s, lead[one], miss_s[one], worth_s[one])[0]


def test_a_certain_need_is_worth_waiting_for_and_none_is_not() -> None:
    """Within 100 s it comes for sure, evenly spread: 50 s of holding, no more."""
    horizons_s, certain, never = np.array([100.0]), np.ones((1, 1)), np.zeros((1, 1))
    assert keeps(certain, horizons_s, np.array([50.1]))[0]
    assert not keeps(certain, horizons_s, np.array([49.9]))[0]
    assert not keeps(never, horizons_s, np.array([1e9]))[0]
    assert not starts(never, horizons_s, np.array([0]), np.array([1e9]), np.array([1.0]))[0]


@pytest.mark.parametrize(
    ("limit_rps", "start_s", "notice_s"),
    [
        pytest.param(10.0, 60.0, 10.0, id="a common start"),
        pytest.param(0.5, 180.0, 15.0, id="a slow one"),
        pytest.param(200.0, 5.0, 60.0, id="noticed late"),
    ],
)
def test_missed_requests_are_those_of_a_queue_that_is_worked_off_in_the_time_of_a_start(
    limit_rps: float, start_s: float, notice_s: float
) -> None:
    """First come, first served; once the replica is there, what waits is worked off beside what comes."""
    dt_s, queue, late = 0.01, 0.0, 0.0
    ready_s, over_s = notice_s + start_s, notice_s + 3.0 * start_s
    extra_rps = limit_rps * ready_s / start_s
    arrived = limit_rps * dt_s
    for step in range(round(over_s / dt_s)):
        rate_rps = limit_rps + extra_rps if step * dt_s >= ready_s else 0.0
        late += arrived if queue + arrived > rate_rps * dt_s else 0.0
        queue = max(queue + arrived - rate_rps * dt_s, 0.0)
    found = missed_requests(np.array([limit_rps]), np.array([start_s]), notice_s=notice_s)[0]
    assert found == pytest.approx(late, rel=0.01)
