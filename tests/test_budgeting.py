"""Budgets in a round: what the planner makes of them, and that without any nothing changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgets import HOUR_S, MONDAY_S, WH, a_budget
from builders import a_memory, a_model, a_view, decision_on, some_settings, some_signals
from lull.cycle import plan_cycle
from lull.memory import Memory
from lull.model.budget import EnergyBudget, Limit
from lull.model.fleet import ModelView, Snapshot
from lull.model.plan import ConditionStatus, ConditionType, Plan
from lull.model.reason import Reason
from lull.model.route import Front, ServicePort, ServiceShape
from lull.model.spec import Key
from lull.model.spending import BudgetView, Draw, Spending

NOON_S = MONDAY_S + 12 * HOUR_S
FRONT = Front("chat", ServiceShape(ports=(ServicePort("http", 80),)))


def a_served(name: str, replicas: int = 5, rps: float = 30.0, priority: int = 0, **rest: Any) -> ModelView:
    """A model whose replicas draw 100 W each and are needed: 6.37 requests/s fit one."""
    model = a_model(name, energy={"priority": priority}, **rest.pop("spec", {}))
    draw = Draw(idle_w=100.0, dynamic_w=0.0, busy=rps / 10.0, start_w=100.0)
    return replace(a_view(model, replicas=replicas, signals=some_signals(rps), **rest), draw=draw)


def spending(*views: ModelView, spent_wh: float | None = 0.0) -> Spending:
    wh = np.nan if spent_wh is None else spent_wh
    uids = tuple(view.deployment.uid for view in views)
    return Spending(uids, {Limit.ENERGY: np.full((1, len(uids)), wh * WH / len(uids))})


def plan(
    *views: ModelView,
    budget: EnergyBudget | None = None,
    spent_wh: float | None = 0.0,
    memory: Memory | None = None,
    now_s: float = NOON_S,
) -> Plan:
    budgets = () if budget is None else (BudgetView(budget, spending(*views, spent_wh=spent_wh)),)
    return plan_cycle(Snapshot(views, budgets=budgets), memory or a_memory(), some_settings(), now_s)


def limited(plan: Plan, name: str) -> tuple[ConditionStatus, Reason, str] | None:
    found = [c for c in plan.models[Key("demo", name)].conditions if c.type is ConditionType.BUDGET_LIMITED]
    return (found[0].status, found[0].reason, found[0].message) if found else None


def test_without_budgets_nothing_is_said_of_them() -> None:
    found = plan(a_served("chat"))
    assert decision_on(found).after == 5
    assert limited(found, "chat") is None
    assert found.budgets == ()
    assert "within_budgets" not in [step.guard for step in found.trail.steps(Key("demo", "chat"))]


def test_a_budget_leaves_a_model_fewer_replicas_and_says_so() -> None:
    """Two models want 1 kW for twelve hours, and 6 of 24 kWh are left."""
    views = (a_served("chat", priority=1), a_served("batch"))
    found = plan(*views, budget=a_budget(), spent_wh=18_000.0)
    chat, batch = decision_on(found, "chat"), decision_on(found, "batch")
    assert (chat.after, batch.after) == (4, 1)
    assert batch.reason is Reason.BUDGET_LIMITED
    assert (batch.evidence["budget_cap"], batch.evidence["need"]) == (1.0, 5.0)
    message = "EnergyBudget team (BudgetPaced) leaves it 1 of the 5 replicas it wants"
    assert limited(found, "batch") == (ConditionStatus.TRUE, Reason.BUDGET_LIMITED, message)
    (told,) = found.budgets
    assert (told.name, told.reason, told.limited) == ("team", Reason.BUDGET_PACED, 2)
    steps = found.trail.steps(Key("demo", "batch"))
    assert [(step.guard, step.replicas) for step in steps[-2:]] == [("within_budgets", 1), ("paused", 1)]


def test_a_model_that_gets_what_it_wants_is_told_that() -> None:
    found = plan(a_served("chat"), budget=a_budget())
    assert limited(found, "chat") == (ConditionStatus.FALSE, Reason.WITHIN_BUDGET, "it has the replicas it wants")


def test_a_model_that_no_budget_is_for_hears_nothing_of_it() -> None:
    elsewhere = a_budget(selector={"namespaces": [{"name": "other"}]}, limits={"energy": "1Wh"})
    found = plan(a_served("chat"), budget=elsewhere)
    assert limited(found, "chat") is None
    assert decision_on(found).after == 5


def test_a_budget_takes_hold_whatever_damps_a_scale_in() -> None:
    behavior = {
        "scaleDown": {
            "stabilizationWindowSeconds": 3600,
            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 600}],
        }
    }
    found = plan(a_served("chat", spec={"behavior": behavior}), budget=a_budget(limits={"power": "200W"}, period=None))
    assert decision_on(found).after == 2


def test_min_replicas_is_not_for_a_budget_to_take() -> None:
    found = plan(a_served("chat", spec={"minReplicas": 3}), budget=a_budget(limits={"power": "200W"}, period=None))
    assert decision_on(found).after == 3
    assert found.budgets[0].reason is Reason.BUDGET_INFEASIBLE


@pytest.mark.parametrize("mode", ["Recommend", "Paused"])
def test_models_that_lull_does_not_scale_are_left_alone(mode: str) -> None:
    found = plan(a_served("chat", spec={"mode": mode}), budget=a_budget(limits={"power": "200W"}, period=None))
    assert decision_on(found).after == 5


def test_what_a_round_wanted_is_learned_and_not_what_it_got() -> None:
    memory = a_memory()
    for step in range(3):
        found = plan(
            a_served("chat"),
            budget=a_budget(limits={"power": "200W"}, period=None),
            memory=memory,
            now_s=NOON_S + 10.0 * step,
        )
        memory.learn(found.lesson, NOON_S + 10.0 * step)
    known = memory.wants.known(memory.find([a_model("chat").uid]))
    assert known.recent_w.tolist() == [500.0]


def test_misses_that_a_budget_makes_move_no_price_of_misses() -> None:
    def price(budget: EnergyBudget | None) -> float:
        memory = a_memory()
        for step in range(30):
            now_s = NOON_S + 10.0 * step
            view = a_served("chat", replicas=2)
            late = replace(view, signals=some_signals(30.0, waiting=500.0))
            found = plan(late, budget=budget, memory=memory, now_s=now_s)
            memory.learn(found.lesson, now_s)
        return float(memory.prices.factor[0])

    assert price(a_budget(limits={"power": "200W"}, period=None)) == 1.0
    assert price(None) > 1.001


def test_prices_are_remembered_from_round_to_round_and_kept_where_a_round_saw_no_budget() -> None:
    memory, budget = a_memory(), a_budget()
    views = (a_served("chat", priority=1), a_served("batch"))
    found = plan(*views, budget=budget, spent_wh=18_000.0, memory=memory)
    memory.learn(found.lesson, NOON_S)
    assert memory.budget_prices[budget.uid].highest("demo") > 1.0
    blind = plan(*views, budget=budget, spent_wh=None, memory=memory, now_s=NOON_S + 10.0)
    assert decision_on(blind, "batch").after == 1
    assert blind.budgets[0].reason is Reason.METERING_STALE


def test_a_budget_that_holds_work_back_brings_sleep_forward() -> None:
    """Quiet for two minutes, of the ten that the spec asks for."""
    memory, budget = a_memory(cold_start_s=5.0), a_budget(limits={"power": "200W"}, period=None)
    rule = {"scaleToZero": {"mode": "Enforce", "idle": "10m"}}
    slept = []
    for step in range(13):
        now_s = NOON_S + 10.0 * step
        idle = a_served("idle", replicas=1, rps=0.0, front=FRONT, spec=rule)
        idle = replace(idle, target=replace(idle.target, ready_since_s=MONDAY_S)) if idle.target else idle
        found = plan(idle, a_served("chat"), budget=budget, memory=memory, now_s=now_s)
        memory.history.record(found.observation, now_s)
        memory.learn(found.lesson, now_s)
        slept.append(decision_on(found, "idle").after)
    assert slept[0] == 1
    assert slept[-1] == 0
    why = [c.reason for c in found.models[Key("demo", "idle")].conditions if c.type is ConditionType.SLEEP_ALLOWED]
    assert why == [Reason.BUDGET_HURRY]


@given(st.lists(st.tuples(st.integers(0, 10), st.floats(0.0, 80.0)), min_size=1, max_size=4))
def test_a_budget_that_is_never_short_changes_no_decision(world: list[tuple[int, float]]) -> None:
    views = [a_served(f"m{i}", replicas=replicas, rps=rps) for i, (replicas, rps) in enumerate(world)]
    generous = a_budget(limits={"energy": "100MWh", "power": "1MW"})
    assert [m.decision for m in plan(*views).models.values()] == [
        m.decision for m in plan(*views, budget=generous).models.values()
    ]
