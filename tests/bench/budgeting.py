"""Budgets of a round for the whole fleet: prices, caps and how each stands."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np
from figures import MODELS, Figure, median_s
from forecasting import START_S

from lull.decide.budget import pace
from lull.decide.budget_prices import Fleet
from lull.model.arrays import I64
from lull.model.budget import Limit, parse_budget
from lull.model.spending import HOURS, BudgetView, Spending, Wanted

_TEAMS = 100


def budgeting() -> list[Figure]:
    one, many = [a_view("all", range(_TEAMS))], [a_view(f"b{team}", [team]) for team in range(_TEAMS)]
    return [
        Figure("budgets/one for 10000 models in a hundred namespaces", _paced_ms(one), "CPU ms", 500.0),
        Figure("budgets/a hundred for 100 models each", _paced_ms(many), "CPU ms", 500.0),
    ]


def _paced_ms(views: list[BudgetView]) -> float:
    fleet = a_fleet(views)
    prices = pace(fleet, views, {}, START_S)[0].prices
    return 1e3 * median_s(5, lambda: pace(fleet, views, prices, START_S + 10.0))


def a_view(name: str, teams: range | list[int]) -> BudgetView:
    """A budget that does not suffice: of energy a day and of power at any time."""
    spec = {
        "selector": {"namespaces": [{"name": f"t{team}"} for team in teams]},
        "limits": {"energy": f"{len(teams) * 300}kWh", "power": f"{len(teams) * 18}kW"},
        "period": {"calendar": "Day"},
        "enforcement": "Enforce",
    }
    budget = parse_budget({"metadata": {"name": name, "uid": name}, "spec": spec}, ZoneInfo)
    uids = tuple(f"u{i}" for i in range(MODELS) if i % _TEAMS in teams)
    return BudgetView(budget, Spending(uids, {Limit.ENERGY: np.full((1, len(uids)), 1e6)}, measured_share=1.0))


def _rows(view: BudgetView) -> I64:
    teams = [int(share.name.removeprefix("t")) for share in view.budget.spec.selector.namespaces or ()]
    return np.flatnonzero(np.isin(np.arange(MODELS) % _TEAMS, teams))


def a_fleet(views: list[BudgetView]) -> Fleet:
    chance = np.random.default_rng(1)
    want = chance.integers(1, 8, MODELS)
    level_w = np.tile(want * 60.0, (HOURS, 1)) * (1.0 + 0.5 * np.sin(np.arange(HOURS) / 4.0))[:, None]
    return Fleet(
        uids=[f"u{i}" for i in range(MODELS)],
        namespaces=[f"t{i % _TEAMS}" for i in range(MODELS)],
        priority=chance.integers(0, 5, MODELS),
        selected={view.budget.uid: _rows(view) for view in views},
        want=want,
        least=np.ones(MODELS, dtype=np.int64),
        current=want,
        ready=want,
        may_act=np.ones(MODELS, dtype=bool),
        idle_w=np.full(MODELS, 60.0),
        dynamic_w=chance.exponential(100.0, MODELS),
        busy=want * 0.5,
        start_w=np.full(MODELS, 100.0),
        wanted=Wanted(level_w, level_w[0], level_w[0] / 10.0),
    )
