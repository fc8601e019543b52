"""EnergyBudgets and fleets for them: every builder gives something sane, and a test names only what it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from lull.decide.budget_prices import Fleet
from lull.model.budget import EnergyBudget, Limit, parse_budget
from lull.model.spending import HOURS, BudgetView, Spending, Wanted

MONDAY_S = 1_767_571_200.0
"""2026-01-05T00:00:00Z."""
HOUR_S = 3600.0
WH = 3600.0


def a_budget_spec(**changes: Any) -> dict[str, Any]:
    """A spec as YAML has it; a field set to None is left out."""
    spec = {"limits": {"energy": "24kWh"}, "period": {"calendar": "Day"}, "enforcement": "Enforce"} | changes
    return {name: value for name, value in spec.items() if value is not None}


def a_budget_body(
    name: str = "team", *, uid: str | None = None, spec: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """An EnergyBudget as the API server delivers it."""
    return {
        "apiVersion": "lull.dev/v1alpha1",
        "kind": "EnergyBudget",
        "metadata": {"name": name, "uid": uid or f"uid-{name}", "generation": 3},
        "spec": a_budget_spec() if spec is None else dict(spec),
    }


def a_budget(name: str = "team", **spec: Any) -> EnergyBudget:
    """24 kWh a day in UTC, enforced."""
    return parse_budget(a_budget_body(name, spec=a_budget_spec(**spec)), ZoneInfo)


def a_fleet(
    want: Sequence[int],
    *,
    priority: Sequence[int] | None = None,
    namespaces: Sequence[str] | None = None,
    least: Sequence[int] | int = 1,
    current: Sequence[int] | None = None,
    ready: Sequence[int] | None = None,
    idle_w: Sequence[float] | float = 100.0,
    dynamic_w: float = 0.0,
    start_w: float = 100.0,
    level_w: Sequence[float] | None = None,
    sd_w: float = 0.0,
    may_act: Sequence[bool] | None = None,
    budgets: Sequence[EnergyBudget] = (),
) -> Fleet:
    """Models m0, m1 and so on, in namespace ns, that always want what they want now; most of it idle power."""
    count = len(want)
    wanted = np.array(want, dtype=np.int64)
    idle = np.broadcast_to(np.array(idle_w, dtype=np.float64), (count,)).copy()
    level = np.nan_to_num(wanted * idle) + dynamic_w if level_w is None else np.array(level_w, dtype=np.float64)
    return Fleet(
        uids=[f"m{i}" for i in range(count)],
        namespaces=["ns"] * count if namespaces is None else list(namespaces),
        priority=np.zeros(count, dtype=np.int64) if priority is None else np.array(priority, dtype=np.int64),
        selected={budget.uid: np.arange(count) for budget in budgets},
        want=wanted,
        least=np.broadcast_to(np.array(least, dtype=np.int64), (count,)).copy(),
        current=wanted if current is None else np.array(current, dtype=np.int64),
        ready=(wanted if current is None else np.array(current)) if ready is None else np.array(ready, dtype=np.int64),
        may_act=np.ones(count, dtype=bool) if may_act is None else np.array(may_act, dtype=bool),
        idle_w=idle,
        dynamic_w=np.full(count, dynamic_w),
        busy=np.ones(count),
        start_w=np.full(count, start_w),
        wanted=Wanted(np.tile(level, (HOURS, 1)), level, np.full(count, sd_w)),
    )


def a_view(
    budget: EnergyBudget, count: int, *, spent: Sequence[float] | None = None, share: float | None = 1.0, **rest: Any
) -> BudgetView:
    """A budget of which everything is known; ``spent`` in joules by model, in a period of one part."""
    told = np.zeros((1, count)) if spent is None else np.array([spent], dtype=np.float64)
    known = Spending(tuple(f"m{i}" for i in range(count)), {Limit.ENERGY: told}, measured_share=share, coverage=1.0)
    return BudgetView(budget, known if not rest else Spending(known.uids, **({"spent": known.spent} | rest)))
