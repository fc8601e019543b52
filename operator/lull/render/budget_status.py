"""An EnergyBudget's status. What is unknown is left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

from lull.model.budget import Limit
from lull.model.spending import BudgetCondition, BudgetPlan, Standing
from lull.render.sentences import number

Status = dict[str, Any]

_UNITS: Final = {Limit.ENERGY: (3.6e6, "kWh"), Limit.CARBON: (1e3, "kg"), Limit.COST: (1.0, "")}


def budget_status_of(plan: BudgetPlan, *, before: Mapping[str, Any], now: str) -> Status:
    """The status to be.

    Args:
        plan: what was concluded.
        before: the status there is; times of what did not change are kept from it.
        now: the time, RFC 3339.
    """
    status: Status = {
        "observedGeneration": plan.generation,
        "asOf": now,
        "reason": str(plan.reason),
        "message": plan.message,
        "power": _power(plan),
        "models": {"selected": plan.selected, "limited": plan.limited},
        "limits": [_limit(stands) for stands in plan.standings],
        "conditions": _conditions(plan, before.get("conditions") or (), now),
    }
    if plan.span is not None:
        status["period"] = {"start": _time(plan.span.start_s), "end": _time(plan.span.end_s)}
    known = [stands for stands in plan.standings if isfinite(stands.forecast)]
    if known:
        tightest = max(known, key=lambda stands: stands.forecast / stands.amount)
        status["used"] = f"{tightest.used_ratio:.0%}"
        status["expected"] = f"{tightest.forecast / tightest.amount:.0%}"
    exhausted = [stands.exhausted_s for stands in plan.standings if stands.exhausted_s is not None]
    if exhausted:
        status["exhaustedAt"] = _time(min(exhausted))
    for name, share in (("measuredShare", plan.measured_share), ("coverage", plan.coverage)):
        if share is not None and isfinite(share):
            status[name] = number(share)
    return status


def _power(plan: BudgetPlan) -> Status:
    found = {"now": plan.power_w, "limit": plan.power_limit_w, "heldBack": plan.held_back_w}
    return {name: f"{number(watts)}W" for name, watts in found.items() if watts is not None and isfinite(watts)}


def _limit(stands: Standing) -> Status:
    size, unit = _UNITS[stands.limit]
    told = {
        "amount": stands.amount,
        "spent": stands.spent,
        "planned": stands.planned,
        "forecast": stands.forecast,
        "forecastLow": stands.low,
        "forecastHigh": stands.high,
    }
    written = {name: f"{number(value / size)}{unit}" for name, value in told.items() if isfinite(value)}
    return {"limit": str(stands.limit)} | written


def _conditions(plan: BudgetPlan, before: Iterable[Mapping[str, Any]], now: str) -> list[Status]:
    earlier = {condition["type"]: condition for condition in before}
    return [_condition(condition, plan.generation, earlier, now) for condition in plan.conditions]


def _condition(
    condition: BudgetCondition, generation: int, earlier: Mapping[str, Mapping[str, Any]], now: str
) -> Status:
    word = "Unknown" if condition.holds is None else str(condition.holds)
    old = earlier.get(condition.type, {})
    return {
        "type": str(condition.type),
        "status": word,
        "reason": str(condition.reason),
        "message": condition.message,
        "observedGeneration": generation,
        "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == word else now,
    }


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
