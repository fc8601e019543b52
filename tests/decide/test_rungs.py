"""How deep a quiet replica rests, against the clairvoyant who knows how long each silence lasts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lull.decide.rungs import RUNGS, SHORTEST_S, Ladder, by_chance, by_silence, reachable, rung_of
from lull.model.arrays import F64, I64
from lull.model.doze import Rung

AWAKE, LEVEL_1, LEVEL_2, GONE = Rung
EVERY = np.ones((RUNGS, 1), dtype=bool)
STEP_S = 1.0


def a_ladder(
    holding: tuple[float, float] = (0.6, 0.5), price_s: tuple[float, float, float] = (10.0, 40.0, 300.0)
) -> Ladder:
    """One model whose levels hold 60 and 50 % of the idle power and cost 10 and 40 s of it; a start costs 300 s."""
    column = [[1.0], [holding[0]], [holding[1]], [0.0]]
    prices = [[0.0], *([price] for price in price_s)]
    return Ladder(np.array(column), np.array(prices), np.array(prices) / 5.0)


def silent(ladder: Ladder, quiet_s: float) -> Rung:
    return Rung(int(by_silence(ladder, EVERY, np.array([quiet_s]))[0]))


def spent_s(ladder: Ladder, lasts_s: float, *, sinks: bool) -> float:
    """What a silence of that length costs who follows the envelope, step by step.

    ``sinks`` = a server could go from level to level, as the theory has it.
    """
    at: I64 = np.array([int(AWAKE)])
    total_s, prices, holding = 0.0, ladder.price_s[:, 0], ladder.holding[:, 0]
    for quiet_s in np.arange(0.0, lasts_s, STEP_S):
        is_open = EVERY if sinks else EVERY & reachable(at)
        at = np.maximum(at, by_silence(ladder, is_open, np.array([quiet_s])))
        total_s += float(holding[at[0]]) * STEP_S
    return total_s + float(prices[at[0]])


def optimum_s(ladder: Ladder, lasts_s: float) -> float:
    return float((ladder.holding * lasts_s + ladder.price_s).min())


def test_a_silence_that_goes_on_leads_down_from_rung_to_rung() -> None:
    ladder = a_ladder()
    way = [silent(ladder, quiet_s) for quiet_s in (0.0, 24.0, 25.0, 299.0, 301.0, 519.0, 520.0)]
    assert way == [AWAKE, AWAKE, LEVEL_1, LEVEL_1, LEVEL_2, LEVEL_2, GONE]


def test_a_level_that_never_is_the_cheapest_is_passed_by() -> None:
    ladder = a_ladder(holding=(0.9, 0.9), price_s=(50.0, 80.0, 300.0))
    assert {silent(ladder, quiet_s) for quiet_s in np.arange(0.0, 1000.0, 5.0)} == {AWAKE, GONE}


ladders = st.builds(
    a_ladder,
    holding=st.tuples(st.floats(0.05, 0.99), st.floats(0.0, 1.0)).map(lambda pair: (pair[0], pair[0] * pair[1])),
    price_s=st.tuples(st.floats(1.0, 60.0), st.floats(0.0, 120.0), st.floats(0.0, 400.0)).map(
        lambda by: (by[0], by[0] + by[1], by[0] + by[1] + by[2])
    ),
)


@given(ladders, st.integers(1, 900))
def test_the_envelope_costs_at_most_twice_the_clairvoyant(ladder: Ladder, lasts_s: int) -> None:
    assert spent_s(ladder, lasts_s, sinks=True) <= 2.0 * optimum_s(ladder, lasts_s) + 2.0 * STEP_S


@given(ladders, st.integers(1, 900))
def test_where_no_server_sinks_the_factor_grows_by_what_its_level_holds_over_the_other(
    ladder: Ladder, lasts_s: int
) -> None:
    first, second = ladder.holding[1, 0], ladder.holding[2, 0]
    assume(second > 0.01)
    bound = 2.0 * first / second
    assert spent_s(ladder, lasts_s, sinks=False) <= bound * (optimum_s(ladder, lasts_s) + STEP_S)


@given(ladders, st.integers(1, 900), st.sampled_from([LEVEL_1, LEVEL_2]))
def test_with_one_level_the_factor_is_two_again(ladder: Ladder, lasts_s: int, closed: Rung) -> None:
    one = Ladder(np.delete(ladder.holding, closed, 0), np.delete(ladder.price_s, closed, 0), ladder.wake_s)
    at, total_s = 0, 0.0
    for quiet_s in np.arange(0.0, lasts_s, STEP_S):
        at = max(at, int(by_silence(one, np.ones((3, 1), dtype=bool), np.array([quiet_s]))[0]))
        total_s += float(one.holding[at, 0]) * STEP_S
    assert total_s + float(one.price_s[at, 0]) <= 2.0 * optimum_s(one, lasts_s) + 2.0 * STEP_S


@pytest.mark.parametrize(
    ("change", "closed"),
    [
        pytest.param({"holding": (np.nan, 0.5)}, LEVEL_1, id="its power is not known"),
        pytest.param({"price_s": (10.0, np.nan, 300.0)}, LEVEL_2, id="its wake is not known"),
        pytest.param({"holding": (1.0, 0.5)}, LEVEL_1, id="it holds as much as awake"),
        pytest.param({"price_s": (10.0, 40.0, 301.0)}, GONE, id="its wake outlasts the hold"),
    ],
)
def test_a_rung_is_not_taken_where(change: dict[str, tuple[float, ...]], closed: Rung) -> None:
    is_open = a_ladder(**change).within(np.array([60.0]), np.array([False]))  # type: ignore[arg-type]
    assert [Rung(n) for n in np.flatnonzero(~is_open[:, 0])] == [closed]


def test_a_long_wake_is_taken_where_the_spec_allows_it() -> None:
    ladder = a_ladder(price_s=(10.0, 40.0, 3000.0))
    assert ladder.within(np.array([60.0]), np.array([True]))[GONE, 0]


def test_a_sleeping_server_can_wake_or_go_and_not_sink() -> None:
    found = reachable(np.array([AWAKE, LEVEL_1, LEVEL_2, GONE]))
    assert found.all(axis=0).tolist() == [True, False, False, True]
    assert not found[LEVEL_2, 1]
    assert not found[LEVEL_1, 2]
    assert found[:, 1].sum() == found[:, 2].sum() == 3


HORIZONS_S = np.array([60.0, 300.0, 3600.0])


def chances(*by_horizon: float) -> F64:
    return np.array(by_horizon).reshape(-1, 1)


@pytest.mark.parametrize(
    ("chance", "rung"),
    [
        pytest.param((0.9, 0.99, 1.0), AWAKE, id="soon wanted again"),
        pytest.param((0.05, 0.5, 1.0), LEVEL_1, id="within minutes"),
        pytest.param((0.0, 0.0, 0.02), GONE, id="not for long"),
    ],
)
def test_a_forecast_says_how_deep(chance: tuple[float, ...], rung: Rung) -> None:
    ladder = a_ladder(price_s=(40.0, 200.0, 600.0))
    assert by_chance(ladder, EVERY, chances(*chance), HORIZONS_S)[0] == rung


@given(ladders, st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3), st.integers(1, 1200))
def test_whatever_a_forecast_says_it_leads_within_half_and_twice_the_silence(
    ladder: Ladder, chance: list[float], quiet_s: int
) -> None:
    told = rung_of(ladder, EVERY, np.array([float(quiet_s)]), chances(*sorted(chance)), HORIZONS_S, np.array([True]))[0]
    if quiet_s < SHORTEST_S:
        assert told == AWAKE
    else:
        assert silent(ladder, quiet_s / 2.0) <= told <= silent(ladder, quiet_s * 2.0)


@given(ladders, st.integers(int(SHORTEST_S), 2000))
def test_a_model_without_a_forecast_goes_by_its_silence(ladder: Ladder, quiet_s: int) -> None:
    told = rung_of(
        ladder, EVERY, np.array([float(quiet_s)]), chances(np.nan, np.nan, np.nan), HORIZONS_S, np.array([True])
    )[0]
    assert told == silent(ladder, quiet_s)


def test_an_endless_silence_is_one_too() -> None:
    assert silent(a_ladder(), float("inf")) == GONE
