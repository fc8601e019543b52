"""Budgets of the round: what the models are to them, and what they leave the models.

Pure. Called by ``cycle``: before sleep is decided, which budgets bring forward, and after the guards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lull.briefing import Briefing
from lull.decide.budget import Caps, hurried, pace
from lull.decide.budget_prices import Fleet
from lull.decide.conditions import blocker
from lull.model.arrays import F64, I64, Bools
from lull.model.fleet import ModelView
from lull.model.plan import Condition, ConditionStatus, ConditionType
from lull.model.reason import Reason
from lull.model.spending import BudgetView, Draw, Pacing
from lull.settings import Mode

_UNKNOWN = Draw(np.nan, np.nan, np.nan, np.nan)


@dataclass(frozen=True, slots=True)
class Budgeted:
    """What budgets made of a round; without any, nothing."""

    pacing: Pacing
    wanted_w: F64
    """Power of what models want, (N,); NaN = unknown."""
    want: I64
    caps: Caps | None = None
    """None = there is no budget."""
    is_selected: Bools | None = None
    """Whether a budget is for each model, (N,)."""

    @property
    def is_withheld(self) -> Bools | None:
        """Who gets fewer replicas than wanted, (N,)."""
        return None if self.caps is None else self.caps.most < self.want

    def conditions(self, i: int) -> tuple[Condition, ...]:
        """What the i-th model is told of budgets; nothing where none is for it."""
        caps = self.caps
        if caps is None or self.is_selected is None or not self.is_selected[i]:
            return ()
        if caps.by[i] < 0:
            message = "it has the replicas it wants"
            return (Condition(ConditionType.BUDGET_LIMITED, ConditionStatus.FALSE, Reason.WITHIN_BUDGET, message),)
        plan = self.pacing.plans[caps.by[i]]
        message = (
            f"EnergyBudget {plan.name} ({plan.reason}) leaves it {caps.most[i]} of the {self.want[i]} replicas it wants"
        )
        return (Condition(ConditionType.BUDGET_LIMITED, ConditionStatus.TRUE, Reason.BUDGET_LIMITED, message),)


def hurry(briefing: Briefing, views: Sequence[BudgetView]) -> Bools:
    """Whose sleep budgets bring forward, (N,), by the prices of the round before."""
    if not views:
        return np.zeros(len(briefing.seen), dtype=bool)
    namespaces = [model.key.namespace for model in briefing.seen]
    return hurried(namespaces, _selected(briefing.seen, views), views, briefing.memory.budget_prices, briefing.now_s)


def budget(briefing: Briefing, views: Sequence[BudgetView], want: I64, least: I64) -> Budgeted:
    """What budgets leave of what is wanted.

    Args:
        briefing: of the round.
        views: the budgets; none changes nothing.
        want: replicas as everything but the budgets has it, (N,).
        least: minReplicas, (N,).
    """
    fleet = _fleet(briefing, views, want, least)
    if not views:
        return Budgeted(Pacing(), fleet.want_w, want)
    pacing, caps = pace(fleet, views, briefing.memory.budget_prices, briefing.now_s)
    is_selected: Bools = np.zeros(len(want), dtype=bool)
    for rows in fleet.selected.values():
        is_selected[rows] = True
    return Budgeted(pacing, fleet.want_w, want, caps, is_selected)


def _fleet(briefing: Briefing, views: Sequence[BudgetView], want: I64, least: I64) -> Fleet:
    seen = briefing.seen
    draws = [model.draw or _UNKNOWN for model in seen]
    return Fleet(
        uids=briefing.uids,
        namespaces=[model.key.namespace for model in seen],
        priority=np.array([model.deployment.spec.energy.priority for model in seen], dtype=np.int64),
        selected=_selected(seen, views),
        want=want,
        least=least,
        current=np.array([model.target.replicas if model.target else 0 for model in seen], dtype=np.int64),
        ready=np.array([model.target.ready if model.target else 0 for model in seen], dtype=np.int64),
        may_act=_may_act(briefing),
        idle_w=np.array([draw.idle_w for draw in draws], dtype=np.float64),
        dynamic_w=np.array([draw.dynamic_w for draw in draws], dtype=np.float64),
        busy=np.array([draw.busy for draw in draws], dtype=np.float64),
        start_w=np.array([draw.start_w for draw in draws], dtype=np.float64),
        wanted=briefing.memory.wants.known(briefing.at),
    )


def _may_act(briefing: Briefing) -> Bools:
    pairs = zip(briefing.seen, briefing.modes, strict=True)
    return np.array([mode is Mode.ENFORCE and blocker(model) is None for model, mode in pairs], dtype=bool)


def _selected(seen: Sequence[ModelView], views: Sequence[BudgetView]) -> dict[str, I64]:
    """Rows of the models that each budget is for, by its uid."""
    return {
        view.budget.uid: np.array(
            [row for row, model in enumerate(seen) if view.budget.selects(model.deployment)], dtype=np.int64
        )
        for view in views
    }
