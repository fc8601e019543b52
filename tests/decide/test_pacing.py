"""The price at which what is left lasts, the way to it, and the plan of spend."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets import HOUR_S, MONDAY_S
from lull.decide.expected import course, hours_between, plan
from lull.decide.pacing import Purse, approach, root, spent_at, within_band
from lull.model.spending import HOURS, Wanted


def purse(left: float, above: list[float], sd: list[float] | None = None, reserve: float = 0.5) -> Purse:
    spread = np.array([sd or [0.0] * len(above)])
    exists = np.ones((1, len(above)), dtype=bool)
    return Purse(np.array([left]), np.array([above]), spread, exists, np.array([0.1]), reserve)


def price_at(left: float, above: list[float], **rest: object) -> float:
    found = purse(left, above, **rest)  # type: ignore[arg-type]
    return float(root(found, found.left)[0])


@pytest.mark.parametrize(
    ("left", "price"),
    [
        pytest.param(60.0, 0.0, id="enough for all"),
        pytest.param(50.0, 0.5, id="half for the lowest"),
        pytest.param(40.0, 1.0, id="nothing for the lowest"),
        pytest.param(20.0, 1.5, id="a fifth of the middle"),
        pytest.param(0.0, 3.0, id="nothing for anybody"),
        pytest.param(-1.0, 3.0, id="overspent"),
    ],
)
def test_what_is_left_goes_to_the_highest_priorities_first(left: float, price: float) -> None:
    wanted = [20.0, 30.0, 10.0]
    expected = {20.0: 1.0 + 2.0 / 3.0}.get(left, price)
    assert price_at(left, wanted) == pytest.approx(expected)


def test_what_higher_priorities_may_still_want_is_kept_for_them() -> None:
    assert price_at(30.0, [10.0, 20.0], sd=[0.0, 5.0]) == pytest.approx(0.0)
    assert price_at(30.0, [10.0, 20.0], sd=[0.0, 5.0], reserve=0.8413447) == pytest.approx(0.5, abs=1e-4)


@given(
    st.lists(st.floats(0.1, 100.0), min_size=1, max_size=4),
    st.floats(-10.0, 500.0),
    st.floats(-10.0, 500.0),
    st.floats(0.5, 0.99),
)
def test_the_price_falls_as_more_is_left(above: list[float], one: float, other: float, reserve: float) -> None:
    poor, rich = sorted((one, other))
    sd = [value / 5.0 for value in above]
    found = purse(0.0, above, sd, reserve)
    assert root(found, np.array([rich]))[0] <= root(found, np.array([poor]))[0] <= len(above)


@given(st.lists(st.floats(0.1, 100.0), min_size=1, max_size=4), st.floats(0.0, 1.0))
def test_at_its_price_what_is_left_is_spent(above: list[float], part: float) -> None:
    found = purse(part * sum(above), above)
    assert spent_at(found, root(found, found.left))[0] == pytest.approx(found.left[0], abs=1e-6)


def test_within_the_band_the_price_stays() -> None:
    found = purse(50.0, [100.0])
    assert approach(found, np.array([0.5005]), 10.0, 3600.0)[0] == 0.5005


def test_steps_are_bounded_and_larger_towards_the_end() -> None:
    found = purse(10.0, [100.0])
    far, near = (float(approach(found, np.array([0.0]), 10.0, left_s)[0]) for left_s in (86_400.0, 1000.0))
    assert far == pytest.approx(10.0 / 600.0)
    assert near == pytest.approx(0.5)


def test_the_first_price_is_the_right_one_at_once() -> None:
    assert approach(purse(25.0, [100.0]), np.array([np.nan]), 0.0, 3600.0)[0] == pytest.approx(0.75)


def test_where_demand_is_unsure_work_is_held_back_only_if_even_little_demand_would_use_up_what_is_left() -> None:
    """Too much can be made good by holding back later, too little cannot once less is wanted."""
    sure, unsure = purse(95.0, [100.0]), purse(95.0, [100.0], [10.0])
    nothing = np.array([np.nan])
    assert approach(sure, nothing, 0.0, 3600.0)[0] == pytest.approx(0.05)
    assert approach(unsure, nothing, 0.0, 3600.0)[0] == 0.0


def test_a_price_moves_only_as_far_as_it_must() -> None:
    found = within_band(np.array([0.5, 0.1, 0.9, np.nan]), np.full(4, 0.4), np.full(4, 0.6))
    assert found.tolist() == [0.5, 0.4, 0.6, 0.4]


# The plan.


@given(st.floats(0.0, 1e9), st.lists(st.floats(0.0, 1e6), min_size=1, max_size=50))
def test_a_plan_spends_the_amount(amount: float, weights: list[float]) -> None:
    planned = plan(amount, np.array(weights))
    assert planned.sum() == pytest.approx(amount)
    assert (planned >= 0.0).all()


def test_a_plan_spends_where_more_is_expected() -> None:
    assert plan(100.0, np.array([1.0, 3.0])).tolist() == [25.0, 75.0]
    assert plan(100.0, np.zeros(2)).tolist() == [50.0, 50.0]


def test_hours_lie_between_the_ends() -> None:
    assert hours_between(1800.0, 9000.0).tolist() == [1800.0, 3600.0, 7200.0, 9000.0]
    assert hours_between(3600.0, 7200.0).tolist() == [3600.0, 7200.0]


def a_wanted(recent_w: float) -> Wanted:
    level_w = np.where(np.arange(HOURS) < 12, 100.0, 300.0)[:, None]
    return Wanted(level_w, np.array([recent_w]), np.array([30.0]))


def test_the_day_ahead_is_as_days_were_and_as_today_differs_from_them() -> None:
    at = MONDAY_S + 6 * HOUR_S
    usual = course(a_wanted(100.0), np.array([100.0]), np.array([0]), 1, at, at + 12 * HOUR_S)
    assert usual.want_w[:, 0].tolist() == [100.0] * 6 + [300.0] * 6
    more = course(a_wanted(150.0), np.array([100.0]), np.array([0]), 1, at, at + 12 * HOUR_S).want_w[:, 0]
    assert 140.0 < more[0] < 150.0
    assert more[0] - 100.0 > more[5] - 100.0 > more[11] - 300.0 > 0.0


def test_what_was_never_seen_is_as_it_is_now() -> None:
    nothing = Wanted(np.full((HOURS, 1), np.nan), np.array([np.nan]), np.array([np.nan]))
    found = course(nothing, np.array([70.0]), np.array([0]), 1, MONDAY_S, MONDAY_S + 3 * HOUR_S)
    assert found.want_w[:, 0].tolist() == [70.0] * 3
    assert found.sd_w.tolist() == [0.0]
