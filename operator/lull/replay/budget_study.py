"""Budgets tried on a trace: what was spent of each, what was held back, and from whom. Pure.

The whole trace is lived through; nothing is known of it beforehand but the capacity of a replica, which comes from its
first half. Requests that would wait too long go away: what a budget holds back is not done later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.model.arrays import F64, I64, Bools
from lull.model.budget import EnergyBudget, Limit
from lull.model.period import RollingPeriod
from lull.replay.jobs import Tell
from lull.replay.outcome import Outcome
from lull.replay.policies.budgeted import Budgeted, Granted, Roles
from lull.replay.policies.lull import Lull
from lull.replay.stage import Stage
from lull.replay.world import Seen, run_in_parts

_TOLD_EVERY: Final = 512


@dataclass(frozen=True, slots=True)
class PeriodSpent:
    """One period of one limit, in its unit; a rolling one is told once, when it was fullest."""

    budget: str
    limit: Limit
    start_s: float
    """Seconds since 1970; of a rolling period, when it was fullest."""
    amount: float
    spent: float
    held_ratio: float
    """What was wanted and held back meanwhile, over the amount."""
    is_whole: bool
    """Whether all of the period lies within the trace."""

    @property
    def over_ratio(self) -> float:
        """Share of the amount that was spent beyond it."""
        return max(self.spent / self.amount - 1.0, 0.0)

    @property
    def lost_ratio(self) -> float:
        """Share of the amount that was left over although work was held back that it would have paid for."""
        return min(max(1.0 - self.spent / self.amount, 0.0), self.held_ratio)


@dataclass(frozen=True, slots=True)
class BudgetStudy:
    """What came of it."""

    periods: tuple[PeriodSpent, ...]
    inversions: int
    """Decisions that took something from a model while one of lower priority in its namespace had more than its least,
    where one and the same budget was for both."""
    decisions: int
    roles: Roles
    outcome: Outcome
    """Sums over the trace, columns are the series."""


def budget_study(
    stage: Stage,
    budgets: Sequence[EnergyBudget],
    roles: Roles,
    *,
    origin_s: float,
    per_j: Mapping[Limit, F64],
    tell: Tell = lambda _: None,
) -> BudgetStudy:
    """Lets Lull live through a trace under budgets.

    Args:
        stage: the trace.
        budgets: to be tried.
        roles: of the stage's series.
        origin_s: the start of the trace, seconds since 1970.
        per_j: grams and currency per joule by hours from then on, for limits of those.
        tell: of the progress.
    """
    policy = Budgeted(_inner(stage), budgets, roles, stage.capacity_rps, stage.physics, origin_s=origin_s, per_j=per_j)
    diary = _Diary(budgets, roles, stage.physics.step_s, per_j, origin_s)
    steps = len(stage.arrivals)

    def watch(step: int, _: Seen) -> None:
        if policy.granted is not None:
            diary.note(policy.granted)
        if step % _TOLD_EVERY == 0:
            tell(min(_TOLD_EVERY, steps - step) / steps)

    (outcome,) = run_in_parts(
        policy,
        stage.arrivals,
        stage.capacity_rps,
        stage.physics,
        of_series=np.arange(len(stage.series)),
        seed=stage.options.seed,
        cuts=(),
        watch=watch,
    )
    end_s = origin_s + steps * stage.physics.step_s
    periods = tuple(row for budget in budgets for row in diary.periods(budget, policy, end_s))
    return BudgetStudy(periods, diary.inversions, diary.decisions, roles, outcome)


def inverted(granted: Granted, roles: Roles, selected: Mapping[str, I64]) -> bool:
    """Whether a decision takes from a model what one of lower priority beside it still has."""
    losing, having = granted.got < granted.want, granted.got > granted.least
    if not losing.any():
        return False
    spaces = np.array(roles.namespaces, dtype=object)
    for rows in selected.values():
        for name in set(spaces[rows].tolist()):
            own: Bools = np.zeros(len(spaces), dtype=bool)
            own[rows] = True
            own &= spaces == name
            if (own & losing).any() and (own & having & (roles.priority < roles.priority[own & losing].max())).any():
                return True
    return False


def _inner(stage: Stage) -> Lull:
    count = len(stage.series)
    return Lull(
        np.full(count, np.nan),
        stage.capacity_rps,
        np.arange(count),
        stage.options.objective_ratio,
        stage.physics,
        step_s=stage.forecast_step_s,
        is_one_price=False,
        cold_ratio=stage.options.cold_ratio,
    )


class _Diary:
    """What each decision held back, by budget, limit and period, and how full rolling periods were."""

    def __init__(
        self,
        budgets: Sequence[EnergyBudget],
        roles: Roles,
        step_s: float,
        per_j: Mapping[Limit, F64],
        origin_s: float,
    ) -> None:
        self._budgets, self._roles, self._step_s = budgets, roles, step_s
        self._per_j, self._origin_s = per_j, origin_s
        self._held: dict[tuple[str, Limit, float], float] = {}
        self._fullest: dict[tuple[str, Limit], tuple[float, float]] = {}
        self.inversions = 0
        self.decisions = 0

    def note(self, granted: Granted) -> None:
        """Takes one decision in."""
        self.decisions += 1
        self.inversions += inverted(granted, self._roles, self._roles.selected)
        for budget, plan in zip(self._budgets, granted.plans, strict=True):
            held_j = float(granted.held_w[self._roles.selected[budget.uid]].sum()) * self._step_s
            for stands in plan.standings:
                start_s = self._start_s(budget, granted.now_s)
                key = (budget.uid, stands.limit, start_s)
                self._held[key] = self._held.get(key, 0.0) + held_j * self._worth(stands.limit, granted.now_s)
                if stands.spent > self._fullest.get((budget.uid, stands.limit), (0.0, 0.0))[1]:
                    self._fullest[budget.uid, stands.limit] = (granted.now_s, stands.spent)

    def periods(self, budget: EnergyBudget, policy: Budgeted, end_s: float) -> list[PeriodSpent]:
        """How each period of a budget ended."""
        found = []
        for limit, amount in budget.amounts.items():
            if isinstance(budget.period, RollingPeriod):
                at_s, spent = self._fullest.get((budget.uid, limit), (end_s, 0.0))
                held = self._held.get((budget.uid, limit, 0.0), 0.0)
                found.append(PeriodSpent(budget.name, limit, at_s, amount, spent, held / amount, is_whole=True))
                continue
            tally = policy.tallies[budget.uid, limit]
            tally.close()
            for start_s, spent in tally.closed:
                held = self._held.get((budget.uid, limit, start_s), 0.0)
                is_whole = start_s >= self._origin_s and self._ends_s(budget, start_s) <= end_s
                found.append(PeriodSpent(budget.name, limit, start_s, amount, spent, held / amount, is_whole))
        return found

    def _start_s(self, budget: EnergyBudget, now_s: float) -> float:
        is_calendar = budget.period is not None and not isinstance(budget.period, RollingPeriod)
        return budget.period.span(now_s).start_s if is_calendar and budget.period is not None else 0.0

    def _ends_s(self, budget: EnergyBudget, start_s: float) -> float:
        return start_s if budget.period is None else budget.period.span(start_s).end_s

    def _worth(self, limit: Limit, now_s: float) -> float:
        if limit is Limit.ENERGY:
            return 1.0
        rates = self._per_j[limit]
        return float(rates[min(int((now_s - self._origin_s) // 3600.0), len(rates) - 1)])
