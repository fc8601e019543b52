"""Budgets as a whole: what they leave the models, and how they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets import HOUR_S, MONDAY_S, WH, a_budget, a_fleet, a_view
from lull.decide.budget import Caps, hurried, pace
from lull.decide.budget_prices import Fleet
from lull.model.budget import EnergyBudget, Limit
from lull.model.reason import Reason
from lull.model.spending import BudgetClaim, BudgetPlan, BudgetPrices, BudgetView, Spending

NOON_S = MONDAY_S + 12 * HOUR_S
NAN = float("nan")


def paced(
    fleet: Fleet, *views: BudgetView, before: Mapping[str, BudgetPrices] | None = None, now_s: float = NOON_S
) -> tuple[list[BudgetPlan], list[int], Mapping[str, BudgetPrices]]:
    """Plans, replicas and prices."""
    own = {view.budget.uid: np.arange(len(fleet.uids)) for view in views}
    pacing, caps = pace(replace(fleet, selected=own), views, before or {}, now_s)
    return list(pacing.plans), got(fleet, caps), pacing.prices


def got(fleet: Fleet, caps: Caps) -> list[int]:
    return [int(count) for count in np.minimum(fleet.want, caps.most)]


def claim(plan: BudgetPlan, kind: BudgetClaim) -> bool | None:
    (found,) = (condition for condition in plan.conditions if condition.type is kind)
    return found.holds


def said(plan: BudgetPlan, kind: BudgetClaim = BudgetClaim.ENFORCING) -> tuple[Reason, str]:
    (found,) = (condition for condition in plan.conditions if condition.type is kind)
    return found.reason, found.message


# Energy. Twelve hours are left, and ten replicas of 100 W want 12 kWh in them.


def test_enough_for_all_holds_nothing_back() -> None:
    (plan,), replicas, _ = paced(a_fleet([5, 5]), a_view(a_budget(), 2))
    assert replicas == [5, 5]
    assert (plan.reason, plan.held_back_w, plan.limited) == (Reason.WITHIN_BUDGET, 0.0, 0)
    assert claim(plan, BudgetClaim.WITHIN_BUDGET)
    (stands,) = plan.standings
    assert stands.forecast == pytest.approx(12_000 * WH)
    assert stands.planned == pytest.approx(12_000 * WH)


def test_too_little_is_taken_from_the_lowest_priority() -> None:
    """18 kWh are spent of 24: six are left for what wants twelve, of which the floors take 2.4."""
    (plan,), replicas, _ = paced(a_fleet([5, 5], priority=[1, 0]), a_view(a_budget(), 2, spent=[18_000 * WH, 0.0]))
    assert replicas == [4, 1]
    assert plan.reason is Reason.BUDGET_PACED
    assert claim(plan, BudgetClaim.PACING)
    assert (plan.selected, plan.limited) == (2, 2)


@pytest.mark.parametrize("enforcement", ["Observe", "Warn"])
def test_who_observes_or_warns_never_acts(enforcement: str) -> None:
    view = a_view(a_budget(enforcement=enforcement), 2, spent=[18_000 * WH, 0.0])
    (plan,), replicas, _ = paced(a_fleet([5, 5]), view)
    assert replicas == [5, 5]
    assert (plan.reason, plan.is_enforced) == (Reason.BUDGET_OVERRUN, False)
    assert plan.held_back_w > 0.0
    assert "would be held back" in plan.message
    assert plan.standings[0].forecast == pytest.approx(30_000 * WH)
    assert said(plan) == (Reason.BUDGET_OBSERVED, f"spec.enforcement is {enforcement}: nothing is done")


def test_an_amount_that_is_spent_leaves_everybody_the_least() -> None:
    (plan,), replicas, _ = paced(a_fleet([5, 5], least=[2, 1]), a_view(a_budget(), 2, spent=[24_000 * WH, 0.0]))
    assert replicas == [2, 1]
    assert plan.reason is Reason.BUDGET_EXHAUSTED
    assert plan.standings[0].exhausted_s == NOON_S


def test_a_budget_that_not_even_the_least_keeps_to_is_infeasible_and_takes_no_more_than_that() -> None:
    """Three replicas at least take 3.6 kWh until midnight, and two are left."""
    view = a_view(a_budget(), 2, spent=[22_000 * WH, 0.0])
    (plan,), replicas, _ = paced(a_fleet([5, 5], least=[2, 1]), view)
    assert replicas == [2, 1]
    assert plan.reason is Reason.BUDGET_INFEASIBLE
    assert claim(plan, BudgetClaim.INFEASIBLE)
    assert "lower minReplicas" in plan.message
    assert plan.standings[0].least == pytest.approx(25_600 * WH)


def test_it_is_infeasible_from_the_first_moment_that_this_is_known() -> None:
    (plan,), _, _ = paced(a_fleet([50], least=20), a_view(a_budget(), 1), now_s=MONDAY_S)
    assert plan.reason is Reason.BUDGET_INFEASIBLE


def test_when_the_amount_will_be_spent_is_told() -> None:
    """18 kWh are spent, and ten replicas that nothing holds back spend six in six hours."""
    view = a_view(a_budget(enforcement="Observe"), 2, spent=[18_000 * WH, 0.0])
    (plan,), _, _ = paced(a_fleet([5, 5], sd_w=20.0), view)
    (stands,) = plan.standings
    assert stands.exhausted_s == pytest.approx(NOON_S + 6 * HOUR_S)
    assert stands.low < stands.forecast < stands.high
    assert "all of it by 2026-01-05T18:00:00Z" in plan.message


def test_with_limits_of_several_kinds_the_tightest_decides() -> None:
    """In carbon 0.3 g for each Wh, twelve kWh are 3.6 kg; half of it above the floors is left."""
    budget = a_budget(limits={"energy": "100kWh", "carbon": "2.4kg"})
    per_j = {Limit.CARBON: np.full(12, 0.3 / WH)}
    spent = {Limit.ENERGY: np.zeros((1, 1)), Limit.CARBON: np.zeros((1, 1))}
    view = BudgetView(budget, Spending(("m0",), spent, per_j=per_j))
    (plan,), replicas, _ = paced(a_fleet([10]), view)
    assert replicas == [7]
    assert plan.evidence["energy_price"] == 0.0
    assert plan.evidence["carbon_price"] == pytest.approx(1.0 - (2400 - 360) / (3600 - 360))


def test_of_overlapping_budgets_the_tightest_price_wins() -> None:
    tight, wide = a_budget("tight", limits={"energy": "6kWh"}), a_budget("wide", limits={"energy": "11kWh"})
    fleet = a_fleet([10])
    _, alone, _ = paced(fleet, a_view(tight, 1))
    plans, both, _ = paced(fleet, a_view(wide, 1), a_view(tight, 1))
    assert both == alone == [5]
    assert [plan.limited for plan in plans] == [1, 1]


def test_namespaces_share_by_weight_and_one_that_wants_little_notices_nothing() -> None:
    budget = a_budget(
        limits={"energy": "9.6kWh"}, selector={"namespaces": [{"name": "a"}, {"name": "b", "weight": 3}, {"name": "c"}]}
    )
    fleet = a_fleet([9, 9, 1], namespaces=["a", "b", "c"])
    (plan,), replicas, prices = paced(fleet, a_view(budget, 3))
    assert replicas[2] == 1
    assert 1 <= replicas[0] <= 2
    assert 5 <= replicas[1] <= 6
    assert prices[budget.uid].highest("a") > prices[budget.uid].highest("b") > prices[budget.uid].highest("c") == 0.0
    assert plan.limited == 2


def test_a_namespace_that_spent_its_share_early_is_held_back_before_the_others() -> None:
    budget = a_budget(limits={"energy": "24kWh"})
    fleet = a_fleet([8, 8], namespaces=["a", "b"])
    _, replicas, _ = paced(fleet, a_view(budget, 2, spent=[11_000 * WH, 1_000 * WH]))
    assert replicas[1] == 8
    assert 2 <= replicas[0] <= 3


def test_models_that_lull_does_not_scale_count_and_keep_what_they_have() -> None:
    fleet = a_fleet([10, 9], current=[6, 9], may_act=[False, True])
    (plan,), replicas, _ = paced(fleet, a_view(a_budget(limits={"energy": "10.8kWh"}), 2))
    assert replicas == [10, 3]
    assert plan.evidence["floor_w"] == pytest.approx(700.0)


def test_a_budget_may_only_bring_sleep_forward() -> None:
    view = a_view(a_budget(measures=["Sleep"]), 2, spent=[23_000 * WH, 0.0])
    (plan,), replicas, prices = paced(a_fleet([5, 5]), view)
    assert replicas == [5, 5]
    assert plan.reason is Reason.BUDGET_INFEASIBLE
    assert hurry(view, prices) == [True, True]


def hurry(view: BudgetView, prices: Mapping[str, BudgetPrices]) -> list[bool]:
    rows = {view.budget.uid: np.arange(2)}
    return [bool(each) for each in hurried(["ns", "ns"], rows, [view], prices, NOON_S)]


def test_sleep_is_brought_forward_as_soon_as_work_is_held_back() -> None:
    easy, tight = (a_view(a_budget(), 2, spent=[spent, 0.0]) for spent in (0.0, 18_000 * WH))
    assert hurry(easy, paced(a_fleet([5, 5]), easy)[2]) == [False, False]
    assert hurry(tight, paced(a_fleet([5, 5]), tight)[2]) == [True, True]
    only_caps = a_view(a_budget(measures=["CapReplicas"]), 2, spent=[18_000 * WH, 0.0])
    assert hurry(only_caps, paced(a_fleet([5, 5]), only_caps)[2]) == [False, False]


# What is not known.


def test_stale_metering_holds_the_last_price_and_says_so() -> None:
    budget = a_budget()
    fleet = a_fleet([5, 5], priority=[1, 0])
    _, held, prices = paced(fleet, a_view(budget, 2, spent=[18_000 * WH, 0.0]))
    stale = a_view(budget, 2, spent=[18_000 * WH, NAN])
    (plan,), replicas, after = paced(fleet, stale, before=prices, now_s=NOON_S + 3 * HOUR_S)
    assert replicas == held == [4, 1]
    assert after[budget.uid].by_limit == prices[budget.uid].by_limit
    assert plan.reason is Reason.METERING_STALE
    assert said(plan)[0] is Reason.METERING_STALE
    assert claim(plan, BudgetClaim.WITHIN_BUDGET) is None


@pytest.mark.parametrize("spending", [None, Spending((), {}), Spending(("m0",), {Limit.ENERGY: np.zeros((1, 1))})])
def test_what_was_never_known_holds_nothing_back(spending: Spending | None) -> None:
    (plan,), replicas, _ = paced(a_fleet([5, 5]), BudgetView(a_budget(limits={"energy": "1Wh"}), spending))
    assert replicas == [5, 5]
    assert plan.reason is Reason.METERING_STALE


def test_what_is_known_from_below_to_be_too_much_is_enough() -> None:
    (plan,), replicas, _ = paced(a_fleet([5, 5]), a_view(a_budget(), 2, spent=[25_000 * WH, NAN]))
    assert replicas == [1, 1]
    assert plan.reason is Reason.BUDGET_EXHAUSTED


def test_spending_of_those_who_are_gone_counts() -> None:
    rest = {"others": {Limit.ENERGY: np.array([18_000 * WH])}}
    _, replicas, _ = paced(a_fleet([5, 5], priority=[1, 0]), a_view(a_budget(), 2, **rest))
    assert replicas == [4, 1]


@pytest.mark.parametrize(("share", "acts"), [(0.79, False), (0.8, True), (None, False)])
def test_below_the_share_to_be_measured_enforce_behaves_as_warn(share: float | None, acts: bool) -> None:
    view = a_view(a_budget(minMeasuredShare="0.8"), 2, spent=[18_000 * WH, 0.0], share=share)
    (plan,), replicas, _ = paced(a_fleet([5, 5]), view)
    assert (replicas != [5, 5]) is acts is plan.is_enforced
    if not acts:
        assert said(plan)[0] is Reason.MEASURED_SHARE_TOO_LOW
        assert "spec.minMeasuredShare asks for 80%, so Enforce behaves as Warn" in said(plan)[1]


def test_broken_glass_lifts_the_budget_and_names_who_and_until_when() -> None:
    broken = {"by": "ann", "why": "launch", "since": "2026-01-05T08:00:00Z", "until": "2026-01-05T20:00:00Z"}
    view = a_view(a_budget(breakGlass=broken), 2, spent=[22_000 * WH, 0.0])
    (plan,), replicas, _ = paced(a_fleet([5, 5]), view)
    assert replicas == [5, 5]
    assert said(plan) == (Reason.BREAK_GLASS, "lifted by ann (launch) until 2026-01-05T20:00:00Z")
    _, later, _ = paced(a_fleet([5, 5]), view, now_s=MONDAY_S + 20 * HOUR_S)
    assert later != [5, 5]


def test_a_model_whose_power_is_unknown_is_left_alone() -> None:
    (plan,), replicas, _ = paced(
        a_fleet([5, 5], idle_w=[NAN, 100.0]), a_view(a_budget(limits={"power": "200W"}, period=None), 2)
    )
    assert replicas[0] == 5
    assert np.isnan(plan.power_w)


# Power.


def power(watts: str, **rest: Any) -> EnergyBudget:
    return a_budget("power", limits={"power": watts}, period=None, **rest)


def test_a_limit_of_power_is_kept_and_takes_from_the_lowest_priority() -> None:
    (plan,), replicas, _ = paced(a_fleet([5, 5], priority=[1, 0]), a_view(power("750W"), 2))
    assert replicas == [5, 2]
    assert plan.reason is Reason.POWER_LIMITED
    assert claim(plan, BudgetClaim.WITHIN_BUDGET) is False


def test_a_lowered_limit_takes_hold_in_the_next_round() -> None:
    fleet = a_fleet([5, 5])
    _, before, prices = paced(fleet, a_view(power("1kW"), 2))
    _, after, _ = paced(fleet, a_view(power("500W"), 2), before=prices, now_s=NOON_S + 10.0)
    assert sum(before) == 10
    assert sum(after) <= 5


def test_within_two_percent_of_the_limit_nothing_is_given_back() -> None:
    fleet = a_fleet([101], idle_w=10.0)
    _, held, prices = paced(fleet, a_view(power("1kW"), 1))
    _, then, _ = paced(fleet, a_view(power("1005W"), 1), before=prices)
    _, later, _ = paced(fleet, a_view(power("1100W"), 1), before=prices)
    assert held == then == [100]
    assert later == [101]


def test_starts_in_flight_count_with_what_a_start_draws() -> None:
    fleet = a_fleet([5], current=[4], ready=[2], start_w=250.0)
    _, replicas, _ = paced(fleet, a_view(power("700W"), 1))
    assert replicas == [3] or replicas == [4]
    _, grown, _ = paced(a_fleet([5], current=[4], ready=[4], start_w=250.0), a_view(power("700W"), 1))
    assert grown == [5]


def test_growth_waits_until_the_power_of_those_who_go_is_free() -> None:
    """The high one wants four more; the low one gives up four, which draw until they are gone."""
    fleet = a_fleet([5, 5], current=[1, 5], priority=[1, 0])
    _, first, prices = paced(fleet, a_view(power("620W"), 2))
    assert first == [1, 1]
    _, then, _ = paced(a_fleet([5, 5], current=[1, 1], priority=[1, 0]), a_view(power("620W"), 2), before=prices)
    assert then == [5, 1]


def test_power_below_the_floors_is_infeasible() -> None:
    (plan,), replicas, _ = paced(a_fleet([5, 5], least=3), a_view(power("500W"), 2))
    assert replicas == [3, 3]
    assert plan.reason is Reason.BUDGET_INFEASIBLE


# Rolling periods.


def rolling(parts_j: list[float], amount: str = "10kWh", **rest: Any) -> BudgetView:
    budget = a_budget("rolling", limits={"energy": amount}, period={"rolling": "10h"}, **rest)
    return BudgetView(budget, Spending(("m0",), {Limit.ENERGY: np.array(parts_j)[:, None]}))


def test_a_rolling_period_paces_what_is_wanted_over_its_length() -> None:
    """1.5 kW are wanted and 1 kW is what ten hours allow: nothing was spent before, and it is paced from the start."""
    (plan,), replicas, _ = paced(a_fleet([15]), rolling([0.0] * 20))
    assert replicas == [10]
    assert plan.standings[0].planned == pytest.approx(10_000 * WH)


def test_what_leaves_a_rolling_period_may_be_spent_again() -> None:
    even, late = rolling([500.0 * WH] * 20), rolling([0.0] * 10 + [1000.0 * WH] * 10)
    assert paced(a_fleet([15]), even)[1] == [10]
    assert paced(a_fleet([15]), late)[1] == [1]


# Whatever the fleet is.


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Fleet, list[int], float]:
    count = draw(st.integers(1, 8))
    want = draw(st.lists(st.integers(0, 20), min_size=count, max_size=count))
    priority = draw(st.lists(st.integers(-2, 2), min_size=count, max_size=count))
    fleet = a_fleet(
        want,
        priority=priority,
        namespaces=draw(st.lists(st.sampled_from(["a", "b"]), min_size=count, max_size=count)),
        least=draw(st.lists(st.integers(1, 4), min_size=count, max_size=count)),
        current=draw(st.lists(st.integers(0, 20), min_size=count, max_size=count)),
        idle_w=draw(st.lists(st.floats(1.0, 300.0), min_size=count, max_size=count)),
        start_w=draw(st.floats(0.0, 500.0)),
        sd_w=draw(st.floats(0.0, 100.0)),
    )
    return fleet, priority, draw(st.floats(0.0, 30_000.0))


def least(fleet: Fleet) -> np.ndarray:
    return np.minimum(fleet.want, fleet.least)


@given(worlds(), st.integers(0, 23))
def test_no_priority_is_ever_inverted(world: tuple[Fleet, list[int], float], hour: int) -> None:
    fleet, _, spent_wh = world
    count = len(fleet.uids)
    view = a_view(a_budget(), count, spent=[spent_wh * WH / count] * count)
    _, replicas, _ = paced(fleet, view, now_s=MONDAY_S + hour * HOUR_S)
    left = np.array(replicas)
    losing, having = left < fleet.want, left > least(fleet)
    for name in ("a", "b"):
        own = np.array(fleet.namespaces) == name
        for priority in fleet.priority[own & losing]:
            assert not having[own & (fleet.priority < priority)].any()


@given(worlds(), st.integers(50, 5000))
def test_a_limit_of_power_that_can_be_kept_is_never_passed(world: tuple[Fleet, list[int], float], watts: int) -> None:
    fleet, _, _ = world
    _, replicas, _ = paced(fleet, a_view(power(f"{watts}W"), len(fleet.uids)))
    left = np.array(replicas)
    assert (left >= least(fleet)).all()
    standing_w = fleet.power_w(np.maximum(left, fleet.current)).sum()
    starts_w = (np.maximum(left - fleet.current, 0) * np.maximum(fleet.start_w - fleet.idle_w, 0.0)).sum()
    grows = left > np.maximum(fleet.current, least(fleet))
    if fleet.power_w(least(fleet)).sum() <= watts:
        assert fleet.power_w(left).sum() <= watts + 1e-6
        if grows.any() and (fleet.current >= least(fleet)).all():
            assert standing_w + starts_w <= watts + 1e-6


@given(worlds(), st.floats(0.0, 30_000.0))
def test_whoever_has_spent_more_gets_no_more(world: tuple[Fleet, list[int], float], more_wh: float) -> None:
    fleet, _, spent_wh = world
    count = len(fleet.uids)
    few, many = (a_view(a_budget(), count, spent=[wh * WH / count] * count) for wh in (spent_wh, spent_wh + more_wh))
    fleet = replace(fleet, namespaces=["a"] * count)
    assert (np.array(paced(fleet, many)[1]) <= np.array(paced(fleet, few)[1])).all()


def test_no_models_are_no_trouble() -> None:
    (plan,), replicas, _ = paced(a_fleet([]), a_view(a_budget(limits={"energy": "1kWh", "power": "1W"}), 0))
    assert replicas == []
    assert (plan.selected, plan.held_back_w) == (0, 0.0)
