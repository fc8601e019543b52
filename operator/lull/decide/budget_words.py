"""How a budget stands: its one reason, the sentence with its numbers, and its conditions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from lull.decide.pacing import BAND
from lull.model.budget import EnergyBudget, Enforcement, Limit
from lull.model.reason import Reason
from lull.model.spending import BudgetClaim, BudgetCondition, BudgetPlan, Standing

_UNITS: Final = {
    Limit.ENERGY: ((3.6e9, "MWh"), (3.6e6, "kWh"), (3.6e3, "Wh")),
    Limit.CARBON: ((1e6, "t"), (1e3, "kg"), (1.0, "g")),
    Limit.COST: ((1.0, ""),),
}


def amount_of(limit: Limit, value: float) -> str:
    """An amount in the largest unit of which there is one: "12.5kWh"."""
    units = _UNITS[limit]
    size, unit = next((pair for pair in units if abs(value) >= pair[0]), units[-1])
    return f"{value / size:.4g}{unit}"


def tightest(standings: Sequence[Standing]) -> Standing | None:
    """The limit of which the largest share will be spent; None = nothing is known of any."""
    known = [stands for stands in standings if stands.forecast == stands.forecast]
    return max(known, key=lambda stands: stands.forecast / stands.amount, default=None)


def reason_of(
    standings: Sequence[Standing],
    *,
    is_stale: bool,
    is_enforced: bool,
    is_held: bool,
    is_power: bool,
    is_power_infeasible: bool,
) -> Reason:
    """The one reason, worst first.

    ==============================  =============  ================================================
    what is so                      enforced       reason
    ==============================  =============  ================================================
    an amount is spent              any            BudgetExhausted
    the floors alone are too much   any            BudgetInfeasible
    spending is not known           any            MeteringStale
    replicas held back for power    yes            PowerLimited
    replicas held back              yes            BudgetPaced
    they would be                   no             BudgetOverrun
    none of these                   any            WithinBudget
    ==============================  =============  ================================================
    """
    if any(stands.is_spent for stands in standings):
        return Reason.BUDGET_EXHAUSTED
    if is_power_infeasible or any(stands.least > stands.amount for stands in standings):
        return Reason.BUDGET_INFEASIBLE
    if is_stale:
        return Reason.METERING_STALE
    if is_held and not is_enforced:
        return Reason.BUDGET_OVERRUN
    if is_power:
        return Reason.POWER_LIMITED
    return Reason.BUDGET_PACED if is_held else Reason.WITHIN_BUDGET


def told(plan: BudgetPlan) -> str:
    """The reason with its numbers, in a sentence."""
    parts = [_stands(stands) for stands in plan.standings]
    if plan.power_limit_w is not None:
        parts.append(f"{plan.power_w:.4g}W of {plan.power_limit_w:.4g}W")
    if plan.reason is Reason.METERING_STALE:
        parts.append("what was spent is not known, so the last price stays in force: look at the meters")
    if plan.reason is Reason.BUDGET_INFEASIBLE:
        parts.append("minReplicas of all models take more; raise the limit or lower minReplicas")
    if plan.held_back_w > 0.0:
        verb = "are" if plan.is_enforced else "would be"
        parts.append(f"{plan.held_back_w:.4g}W {verb} held back from {plan.limited} of {plan.selected} models")
    return "; ".join(parts)


def conditions_of(
    plan: BudgetPlan, lifted: Reason | None, budget: EnergyBudget, *, is_stale: bool
) -> tuple[BudgetCondition, ...]:
    """All conditions of a budget."""
    reason, message = plan.reason, plan.message
    is_spent = any(stands.is_spent for stands in plan.standings)
    is_over = any(stands.forecast > stands.amount * (1.0 + BAND) for stands in plan.standings)
    is_infeasible = any(stands.least > stands.amount for stands in plan.standings) or (
        plan.power_limit_w is not None and plan.evidence.get("floor_w", 0.0) > plan.power_limit_w
    )
    within = None if is_stale and not is_spent else not (is_spent or is_over or is_infeasible)
    if plan.power_limit_w is not None and plan.power_w > plan.power_limit_w:
        within = False
    is_pacing = plan.held_back_w > 0.0
    return (
        BudgetCondition(BudgetClaim.WITHIN_BUDGET, within, reason, message),
        BudgetCondition(BudgetClaim.PACING, is_pacing and plan.is_enforced, reason, message),
        BudgetCondition(BudgetClaim.EXHAUSTED, is_spent, reason, message),
        BudgetCondition(BudgetClaim.INFEASIBLE, None if is_stale else is_infeasible, reason, message),
        _enforcing(plan, lifted, budget),
    )


def _enforcing(plan: BudgetPlan, lifted: Reason | None, budget: EnergyBudget) -> BudgetCondition:
    if lifted is None:
        stale = plan.reason is Reason.METERING_STALE
        message = "what was concluded last is done on" if stale else "what the budget asks for is done"
        return BudgetCondition(BudgetClaim.ENFORCING, holds=True, reason=_enforced(plan), message=message)
    return BudgetCondition(BudgetClaim.ENFORCING, holds=False, reason=lifted, message=_lifted(plan, lifted, budget))


def _enforced(plan: BudgetPlan) -> Reason:
    return Reason.METERING_STALE if plan.reason is Reason.METERING_STALE else Reason.BUDGET_ENFORCED


def _lifted(plan: BudgetPlan, lifted: Reason, budget: EnergyBudget) -> str:
    spec = budget.spec
    if lifted is Reason.BREAK_GLASS and spec.break_glass is not None:
        why = f" ({spec.break_glass.why})" if spec.break_glass.why else ""
        return f"lifted by {spec.break_glass.by}{why} until {_time(spec.break_glass.until.timestamp())}"
    if lifted is Reason.MEASURED_SHARE_TOO_LOW:
        share = "an unknown share" if plan.measured_share is None else f"{plan.measured_share:.0%}"
        return (
            f"meters measured {share} of the joules and spec.minMeasuredShare asks for {spec.min_measured_share:.0%}, "
            "so Enforce behaves as Warn"
        )
    word = "Observe" if spec.enforcement is Enforcement.OBSERVE else "Warn"
    return f"spec.enforcement is {word}: nothing is done"


def _stands(stands: Standing) -> str:
    limit = stands.limit
    if stands.forecast != stands.forecast:
        return f"an unknown part of {amount_of(limit, stands.amount)}"
    text = (
        f"{amount_of(limit, stands.spent)} of {amount_of(limit, stands.amount)} spent, "
        f"{amount_of(limit, stands.forecast)} expected by the end"
        f" ({amount_of(limit, stands.low)} to {amount_of(limit, stands.high)})"
    )
    return text if stands.exhausted_s is None else f"{text}, all of it by {_time(stands.exhausted_s)}"


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
