"""Lull under budgets in the world: what its policy wants, and what the very functions that pace a cluster leave of it.

The power of replicas is the world's own, so that what is spent is known as exactly as a good meter knows it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lull.decide.budget import pace
from lull.decide.budget_prices import Fleet
from lull.forecast.wants import Wants
from lull.model.arrays import F64, I64, Bools
from lull.model.budget import EnergyBudget, Limit
from lull.model.period import RollingPeriod
from lull.model.spending import BudgetPlan, BudgetPrices, BudgetView, Spending
from lull.replay.physics import Physics
from lull.replay.policies.lull import Lull
from lull.replay.tally import Tally
from lull.replay.world import Seen


@dataclass(frozen=True, slots=True)
class Roles:
    """Who the series of a trace are, (N,) each."""

    names: Sequence[str]
    namespaces: Sequence[str]
    priority: I64
    selected: Mapping[str, I64]
    """Series that each budget is for, by its uid."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What one decision came to, (N,) each."""

    now_s: float
    """Seconds since 1970."""
    want: I64
    got: I64
    least: I64
    held_w: F64
    """Power of what is wanted and not got."""
    plans: tuple[BudgetPlan, ...]


class Budgeted:
    """A policy whose replicas budgets may hold back.

    Args:
        inner: what wants replicas.
        budgets: that hold it back.
        roles: of the series.
        capacity_rps: of one replica, (N,).
        physics: of the world.
        origin_s: the start of the trace, seconds since 1970.
        per_j: grams or currency per joule by hours from the start of the trace on, by limit.
    """

    def __init__(
        self,
        inner: Lull,
        budgets: Sequence[EnergyBudget],
        roles: Roles,
        capacity_rps: F64,
        physics: Physics,
        *,
        origin_s: float,
        per_j: Mapping[Limit, F64],
    ) -> None:
        self.tick_s = inner.tick_s
        self._inner, self._budgets, self._roles = inner, budgets, roles
        self._capacity_rps, self._physics, self._origin_s = capacity_rps, physics, origin_s
        self._per_j = per_j
        self._columns = np.arange(len(capacity_rps))
        self._wants = Wants(len(capacity_rps))
        self._prices: Mapping[str, BudgetPrices] = {}
        self.tallies: Mapping[tuple[str, Limit], Tally] = {
            (budget.uid, limit): Tally(len(capacity_rps), _rolling_s(budget))
            for budget in budgets
            for limit in budget.amounts
        }
        self._started_j: F64 = np.zeros(len(capacity_rps))
        self.granted: Granted | None = None
        """What the latest decision came to."""

    def watch(self, seen: Seen) -> None:
        """Books what the step that ended has spent."""
        self._inner.watch(seen)
        if seen.now_s <= 0.0:
            return
        physics, now_s = self._physics, self._origin_s + seen.now_s
        busy = seen.served_rps / self._capacity_rps
        draws_w = seen.replicas * physics.idle_w + busy * (physics.active_w - physics.idle_w)
        spent_j = draws_w * physics.step_s + self._started_j
        self._started_j = np.zeros_like(spent_j)
        for (_, limit), tally in self.tallies.items():
            tally.add(spent_j * self._rate(limit, seen.now_s - physics.step_s), now_s)

    def desire(self, seen: Seen) -> F64:
        """What the inner policy wants, as far as budgets leave it."""
        now_s = self._origin_s + seen.now_s
        fleet = self._fleet(seen, self._inner.desire(seen))
        self._wants.learn(self._columns, fleet.want_w, now_s, self.tick_s)
        pacing, caps = pace(fleet, self._views(seen, now_s), self._prices, now_s)
        self._prices = pacing.prices
        got = np.minimum(fleet.want, caps.most)
        self._inner.spare(self._is_held(fleet.want, got, seen))
        more = np.maximum(got - seen.replicas, 0.0)
        self._started_j = more * self._physics.start_energy_s * self._physics.idle_w
        held_w = fleet.want_w - fleet.power_w(got)
        self.granted = Granted(now_s, fleet.want, got, np.minimum(fleet.want, fleet.least), held_w, pacing.plans)
        return got.astype(np.float64)

    def _fleet(self, seen: Seen, want: F64) -> Fleet:
        physics, count = self._physics, len(want)
        busy = seen.arrivals_rps / self._capacity_rps
        return Fleet(
            uids=self._roles.names,
            namespaces=self._roles.namespaces,
            priority=self._roles.priority,
            selected=self._roles.selected,
            want=want.astype(np.int64),
            least=np.ones(count, dtype=np.int64),
            current=seen.replicas.astype(np.int64),
            ready=seen.ready.astype(np.int64),
            may_act=np.ones(count, dtype=bool),
            idle_w=np.full(count, physics.idle_w),
            dynamic_w=busy * (physics.active_w - physics.idle_w),
            busy=busy,
            start_w=np.full(count, physics.idle_w),
            wanted=self._wants.known(self._columns),
        )

    def _views(self, seen: Seen, now_s: float) -> list[BudgetView]:
        ahead = int(seen.now_s // 3600.0)
        per_j = {limit: rates[min(ahead, len(rates) - 1) :] for limit, rates in self._per_j.items()}
        return [
            BudgetView(
                budget,
                Spending(
                    uids=tuple(self._roles.names),
                    spent={
                        limit: self.tallies[budget.uid, limit].spent(budget.period.span(now_s))
                        for limit in budget.amounts
                        if budget.period is not None
                    },
                    measured_share=1.0,
                    coverage=1.0,
                    per_j=per_j,
                ),
            )
            for budget in self._budgets
        ]

    def _rate(self, limit: Limit, at_s: float) -> float:
        if limit is Limit.ENERGY:
            return 1.0
        rates = self._per_j[limit]
        return float(rates[min(int(at_s // 3600.0), len(rates) - 1)])

    def _is_held(self, want: I64, got: I64, seen: Seen) -> Bools:
        """Whose misses are the budgets' doing: of those that get less, and of those whose queue is left from that."""
        before: Bools = self._inner.is_spared & (seen.queue > 0.0)
        return (got < want) | before


def _rolling_s(budget: EnergyBudget) -> float | None:
    return budget.period.length_s if isinstance(budget.period, RollingPeriod) else None
