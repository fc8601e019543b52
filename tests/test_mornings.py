"""Models that are called by day, lived through day after day: asleep at night, and up before the first request.

In a world of five-minute ticks; a start takes nearly one of them and the energy of three.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sleepers import DAY_S, ENERGY_S, LEAD_S, TICK_S, House, Life, a_sleeper, requests

DAYS = 7
PER_DAY = round(DAY_S / TICK_S)
LEARNED = 3
"""Days after which the mornings are known: the second one tells that the first was no accident."""
MORNING, EVENING = PER_DAY * 8 // 24, PER_DAY * 18 // 24


def by_day(seed: int, *, rps: float, scatter: float = 0.0) -> np.ndarray:
    """Requests between eight and six, the first of them right at the beginning, which moves from day to day."""
    draw, days = np.random.default_rng(seed), []
    for _ in range(DAYS):
        day = requests((8.0, 0.0), (18.0, rps), (24.0, 0.0), seed=int(draw.integers(2**31)))
        begins = MORNING + round(scatter * draw.standard_normal())
        day[: max(begins, MORNING)] = 0
        day[begins] = max(1, day[begins])
        days.append(day)
    return np.concatenate(days)


def at_night(seed: int) -> np.ndarray:
    """One lone request each night, at no hour in particular."""
    draw, found = np.random.default_rng(seed), np.zeros(DAYS * PER_DAY, dtype=np.int64)
    found[np.arange(DAYS) * PER_DAY + draw.integers(6, MORNING - 24, DAYS)] = 1
    return found


def at_random(seed: int) -> np.ndarray:
    """Ten lone requests a day, of which nothing can be foreseen."""
    draw = np.random.default_rng(seed)
    return (draw.random(DAYS * PER_DAY) < 10.0 / PER_DAY).astype(np.int64)


FLEET = {
    "punctual": Life(a_sleeper("punctual", share="0.001"), by_day(1, rps=0.01)),
    "about": Life(a_sleeper("about", share="0.001"), by_day(2, rps=0.01, scatter=1.0)),
    "sparse": Life(a_sleeper("sparse", share="0.01"), by_day(3, rps=0.001)),
    "disturbed": Life(a_sleeper("disturbed", share="0.01"), by_day(4, rps=0.01) + at_night(4)),
    "lax": Life(a_sleeper("lax", share="0.5"), by_day(1, rps=0.01)),
    "useless": Life(a_sleeper("useless", share="1"), at_random(5)),
}
"""With the share of their requests that may wait for a wake."""


@pytest.fixture(scope="module")
def fleet() -> dict[str, Life]:
    House(list(FLEET.values())).goes_on(DAYS * PER_DAY)
    return FLEET


def mornings(life: Life) -> list[bool]:
    """Whether each day's first request after the night found a replica, from the first day that is known."""
    found = []
    for day in range(LEARNED, DAYS):
        morning = slice(day * PER_DAY + MORNING - 12, day * PER_DAY + MORNING + 24)
        first = morning.start + int(np.flatnonzero(life.arrivals[morning])[0])
        found.append(life.cold[first] == 0)
    return found


def nights_asleep(life: Life) -> list[float]:
    """Share of each known night, an hour at either end left out, without a replica."""
    sizes, ends = np.array(life.sizes), range(LEARNED * PER_DAY, DAYS * PER_DAY, PER_DAY)
    return [float((sizes[end - PER_DAY + EVENING + 12 : end + MORNING - 12] == 0).mean()) for end in ends]


def spent_s(life: Life, since_day: int = 0) -> float:
    """Idle power and starts, from the beginning of a day on."""
    sizes = np.array(life.sizes)[since_day * PER_DAY :]
    return float(sizes.sum() * TICK_S + np.maximum(np.diff(sizes), 0).sum() * ENERGY_S)


def clairvoyant_s(life: Life, since_day: int = 0) -> float:
    """Of who serves everybody, knows every gap, and holds through those that are cheaper than a start."""
    busy = np.flatnonzero(life.arrivals[since_day * PER_DAY :])
    gaps_s = np.append((np.diff(busy) - 1) * TICK_S, np.inf)
    return float(len(busy) * TICK_S + np.minimum(gaps_s, LEAD_S + ENERGY_S).sum())


@pytest.mark.parametrize("name", ["punctual", "about", "sparse", "disturbed"])
def test_the_first_request_of_most_mornings_finds_a_replica(fleet: dict[str, Life], name: str) -> None:
    assert sum(mornings(fleet[name])) >= len(mornings(fleet[name])) - 1


@pytest.mark.parametrize("name", ["punctual", "about", "sparse", "lax"])
def test_the_nights_are_slept_through(fleet: dict[str, Life], name: str) -> None:
    assert min(nights_asleep(fleet[name])) >= 0.75


def test_where_half_may_wait_nobody_is_awaited_at_a_cost(fleet: dict[str, Life]) -> None:
    """Being up before the first request is bought with idle time, and only by those who ask for it."""
    lax, strict = fleet["lax"], fleet["punctual"]
    assert sum(mornings(lax)) < sum(mornings(strict))
    assert spent_s(lax) < spent_s(strict)


@pytest.mark.parametrize("name", ["disturbed", "useless"])
def test_a_lone_request_is_answered_and_the_model_sleeps_on(fleet: dict[str, Life], name: str) -> None:
    life = fleet[name]
    assert life.done == sum(life.arrivals)
    assert life.held == 0
    assert life.started >= DAYS


@pytest.mark.parametrize("name", list(FLEET))
def test_no_model_costs_more_than_twice_what_who_knew_all_would_have_paid(fleet: dict[str, Life], name: str) -> None:
    """Once the price of a wake is found: at first a small share makes it worth a whole night."""
    life = fleet[name]
    assert spent_s(life, LEARNED) <= 2.0 * clairvoyant_s(life, LEARNED) + LEAD_S + ENERGY_S


def test_a_useless_forecast_costs_no_more_than_that_from_the_first_day_on(fleet: dict[str, Life]) -> None:
    """All of its requests may wait, so that nothing but energy counts."""
    life = fleet["useless"]
    assert spent_s(life) <= 2.0 * clairvoyant_s(life) + LEAD_S + ENERGY_S


def test_a_wake_is_one_start(fleet: dict[str, Life]) -> None:
    for life in fleet.values():
        sizes = [size for _, size in life.writes]
        assert set(sizes) <= {0, 1}
        assert all(one != other for one, other in pairwise(sizes))
