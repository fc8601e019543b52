"""What the planner is told of energy, and what it concludes of budgets. All frozen values.

Amounts of a limit are in its unit: joules, grams of CO2 equivalent, or the tariff's currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from lull.model.arrays import F64
from lull.model.budget import EnergyBudget, Limit
from lull.model.period import Span
from lull.model.reason import Reason

HOURS: Final = 24
"""Hours of the day, in UTC, by which wants are remembered."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Predicted power of one model's replicas, in watts."""

    idle_w: float
    """Of one replica that is there, whether or not it works."""
    dynamic_w: float
    """Of the model on top of that, for the load it has."""
    busy: float
    """Replicas' worth of work that this load is, a fraction."""
    start_w: float
    """Of one replica that starts."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What the ledger tells for one budget, as of now.

    Of a calendar period K is 1, and the row holds what was spent since its start. Of a rolling period the rows are K
    equal parts of it, the oldest first.
    """

    uids: tuple[str, ...]
    """Models, (N,)."""
    spent: Mapping[Limit, F64]
    """By limit, (K, N); NaN = unknown, which is not nothing."""
    others: Mapping[Limit, F64] = field(default_factory=dict)
    """The same of models that are gone and of what belongs to no model, (K,)."""
    measured_share: float | None = None
    """Share of the joules that a meter measured; None = unknown."""
    coverage: float | None = None
    """Share of the period of which anything is known; None = unknown."""
    per_j: Mapping[Limit, F64] = field(default_factory=dict)
    """Grams or currency per joule for each hour from now on, (H,); the last one holds on. NaN = unknown."""


@dataclass(frozen=True, slots=True)
class BudgetView:
    """One EnergyBudget and what was seen of its spending; None = nothing."""

    budget: EnergyBudget
    spending: Spending | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Power that models want by what was learned of them, (N,) unless said otherwise; NaN = not learned."""

    level_w: F64
    """Mean in each hour of the day in UTC, (24, N)."""
    recent_w: F64
    """Mean over the last while."""
    sd_w: F64
    """Standard deviation of an hour's mean from that of the same hour of the days before."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one limit of a budget stands, in its unit; NaN = unknown."""

    limit: Limit
    amount: float
    spent: float
    planned: float
    """What was planned to be spent by now."""
    forecast: float
    """What will be spent at the end of the period, as things are."""
    low: float
    high: float
    """Ends of the interval that holds it nine times in ten."""
    least: float
    """What will be spent at the end if every model gets its least from now on."""
    exhausted_s: float | None
    """When the amount will be spent, seconds since 1970; None = not within the period."""
    is_spent: bool
    """Whether it is."""

    @property
    def used_ratio(self) -> float:
        """Share of the amount that is spent."""
        return self.spent / self.amount


class BudgetClaim(StrEnum):
    """Types of an EnergyBudget's conditions."""

    WITHIN_BUDGET = "WithinBudget"
    PACING = "Pacing"
    EXHAUSTED = "Exhausted"
    INFEASIBLE = "Infeasible"
    ENFORCING = "Enforcing"


@dataclass(frozen=True, slots=True)
class BudgetCondition:
    """One claim about a budget; None = unknown."""

    type: BudgetClaim
    holds: bool | None
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """Everything concluded about one budget."""

    name: str
    uid: str
    generation: int
    reason: Reason
    message: str
    evidence: Mapping[str, float]
    is_enforced: bool
    """Whether Lull acts on it now."""
    span: Span | None
    standings: tuple[Standing, ...]
    power_w: float
    """Predicted power of the replicas there are; NaN = unknown of some."""
    power_limit_w: float | None
    held_back_w: float
    """What the replicas would draw that the models want and do not get, or would not get if it were enforced."""
    selected: int
    limited: int
    measured_share: float | None
    coverage: float | None
    conditions: tuple[BudgetCondition, ...]


@dataclass(frozen=True, slots=True)
class BudgetPrices:
    """BudgetPrices of one budget's limits by namespace, and the period they were found in; what memory keeps of it."""

    by_limit: Mapping[str, Mapping[str, float]]
    start_s: float
    at_s: float

    def highest(self, namespace: str) -> float:
        """The one that applies; 0 = nothing is held back."""
        return max((prices.get(namespace, 0.0) for prices in self.by_limit.values()), default=0.0)


@dataclass(frozen=True, slots=True)
class Pacing:
    """What a round concluded of all budgets."""

    plans: tuple[BudgetPlan, ...] = ()
    prices: Mapping[str, BudgetPrices] = field(default_factory=dict)
    """By the budget's uid."""
