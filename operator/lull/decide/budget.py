"""Budgets: which models keep how many replicas, so that what may be spent is what is spent.

Each limit of each budget has a price for each namespace (``decide.claims``, ``decide.purse``); of all that are for a
model the highest applies. What is unknown moves no price, budgets that only observe or warn act on nothing, and nobody
gets fewer than its minReplicas: a budget that does not suffice for those is declared infeasible and obeyed no further.
Called by ``cycle`` after all other guards, and by the replay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from lull.decide.budget_prices import POWER, Budgeted, Fleet, budgeted, granted
from lull.decide.budget_words import conditions_of, reason_of, told
from lull.model.arrays import F64, I64, Bools
from lull.model.budget import Enforcement, Measure
from lull.model.period import Span
from lull.model.reason import Reason
from lull.model.spending import BudgetPlan, BudgetPrices, BudgetView, Pacing

_UNLIMITED: Final = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Caps:
    """What budgets leave the models, (N,) each."""

    most: I64
    """Most replicas."""
    price: F64
    """The highest price that acts on it; 0 = none."""
    by: I64
    """Number of the budget that leaves it the fewest, in the order of the budgets; -1 = none limits it."""


def pace(
    fleet: Fleet, views: Sequence[BudgetView], before: Mapping[str, BudgetPrices], now_s: float
) -> tuple[Pacing, Caps]:
    """BudgetPrices of all budgets, and what they leave the models.

    Args:
        fleet: the models.
        views: the budgets.
        before: their prices of the round before, by uid.
        now_s: seconds since 1970.
    """
    most: I64 = np.full(len(fleet.uids), _UNLIMITED, dtype=np.int64)
    by: I64 = np.full(len(fleet.uids), -1, dtype=np.int64)
    price: F64 = np.zeros(len(fleet.uids))
    plans, prices = [], {}
    for number, view in enumerate(views):
        budget = view.budget
        span = None if budget.period is None else budget.period.span(now_s)
        found = budgeted(fleet, view, before.get(budget.uid), span, now_s)
        keeps = granted(fleet, found, budget)
        why = lifted(view, now_s)
        if why is None:
            is_tightest = (keeps < found.claims.want) & (keeps < most[found.rows])
            rows = found.rows[is_tightest]
            most[rows], by[rows] = keeps[is_tightest], number
            np.maximum.at(price, found.rows, found.price[found.claims.account])
        plans.append(_plan(fleet, view, found, keeps, why, span))
        prices[budget.uid] = _remembered(found, span, now_s)
    return Pacing(tuple(plans), prices), Caps(most, price, by)


def hurried(
    namespaces: Sequence[str],
    selected: Mapping[str, I64],
    views: Sequence[BudgetView],
    before: Mapping[str, BudgetPrices],
    now_s: float,
) -> Bools:
    """Whose sleep is brought forward, (N,): the first measure, before any replica is capped.

    Args:
        namespaces: of the models, N of them.
        selected: rows of the models that each budget is for, by its uid.
        views: the budgets.
        before: their prices, by uid.
        now_s: seconds since 1970.
    """
    hurry: Bools = np.zeros(len(namespaces), dtype=bool)
    for view in views:
        budget, prices = view.budget, before.get(view.budget.uid)
        if prices is None or Measure.SLEEP not in budget.spec.measures or lifted(view, now_s) is not None:
            continue
        for row in selected[budget.uid].tolist():
            hurry[row] |= prices.highest(namespaces[row]) > 0.0
    return hurry


def lifted(view: BudgetView, now_s: float) -> Reason | None:
    """Why nothing is done for a budget; None = it is enforced."""
    spec = view.budget.spec
    if spec.enforcement is not Enforcement.ENFORCE:
        return Reason.BUDGET_OBSERVED
    if spec.break_glass is not None and spec.break_glass.is_open(now_s):
        return Reason.BREAK_GLASS
    share = None if view.spending is None else view.spending.measured_share
    if spec.min_measured_share > 0.0 and (share is None or not share >= spec.min_measured_share):
        return Reason.MEASURED_SHARE_TOO_LOW
    return None


def _plan(
    fleet: Fleet, view: BudgetView, found: Budgeted, keeps: I64, why: Reason | None, span: Span | None
) -> BudgetPlan:
    budget, claims = view.budget, found.claims
    held_w = float((claims.power_w(claims.want) - claims.power_w(keeps)).sum())
    power_w = float(claims.power_w(fleet.current[found.rows]).sum())
    if np.isnan(fleet.idle_w[found.rows]).any():
        power_w = float("nan")
    limit_w = None if budget.spec.limits.power is None else float(budget.spec.limits.power)
    floor_w = float(claims.power_w(claims.floor).sum())
    reason = reason_of(
        found.standings,
        is_stale=found.is_stale,
        is_enforced=why is None,
        is_held=held_w > 0.0,
        is_power=_is_power(found) and held_w > 0.0,
        is_power_infeasible=limit_w is not None and floor_w > limit_w,
    )
    plan = BudgetPlan(
        name=budget.name,
        uid=budget.uid,
        generation=budget.generation,
        reason=reason,
        message="",
        evidence=_evidence(found, held_w, floor_w),
        is_enforced=why is None,
        span=span,
        standings=found.standings,
        power_w=power_w,
        power_limit_w=limit_w,
        held_back_w=held_w,
        selected=len(found.rows),
        limited=int((keeps < claims.want).sum()),
        measured_share=None if view.spending is None else view.spending.measured_share,
        coverage=None if view.spending is None else view.spending.coverage,
        conditions=(),
    )
    plan = replace(plan, message=told(plan))
    return replace(plan, conditions=conditions_of(plan, why, budget, is_stale=found.is_stale))


def _is_power(found: Budgeted) -> bool:
    """Whether the limit of power decides somewhere."""
    price = found.prices.get(POWER)
    return price is not None and bool(((price > 0.0) & (price >= found.price)).any())


def _evidence(found: Budgeted, held_w: float, floor_w: float) -> dict[str, float]:
    numbers = {"held_back_w": held_w, "floor_w": floor_w}
    for stands in found.standings:
        for name in ("amount", "spent", "planned", "forecast", "low", "high", "least"):
            numbers[f"{stands.limit.lower()}_{name}"] = getattr(stands, name)
    for name, price in found.prices.items():
        numbers[f"{name.lower()}_price"] = float(price.max()) if len(price) else 0.0
    return {name: value for name, value in numbers.items() if np.isfinite(value)}


def _remembered(found: Budgeted, span: Span | None, now_s: float) -> BudgetPrices:
    by_limit = {
        str(limit): dict(zip(found.names, price.tolist(), strict=True)) for limit, price in found.prices.items()
    }
    return BudgetPrices(by_limit, np.nan if span is None else span.start_s, now_s)
