"""Takes out of the memory what it knows of one model, for whoever asks why.

Pure. It only reads, and what it gives shares nothing with the memory; nobody may write to that meanwhile. Called by
``runtime.explaining``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.decide.accounts import LAYERS
from lull.decide.provision import misses_s
from lull.forecast.calibration import LEVELS
from lull.forecast.experts import Expert
from lull.forecast.forecaster import Forecast
from lull.forecast.standing import OneSeries
from lull.foresight import look
from lull.memory import Memory
from lull.model.arrays import F64, I64
from lull.model.costs import Costs
from lull.model.history import History
from lull.model.plan import Plan
from lull.model.recollection import Expected, LayerAccount, Recollection, Standing
from lull.model.spec import InferenceDeployment

PAST_S: Final = 3.0 * 3600.0
"""How far back the rates are told."""

_DAMPED: Final = "stabilized"


@dataclass(frozen=True, slots=True)
class _Asked:
    """The model as the round saw it."""

    costs: Costs
    replicas: float
    maximum: float
    tick_s: float
    since_s: float
    """Seconds since the last step that was learned."""


def recall(memory: Memory, plan: Plan, model: InferenceDeployment, tick_s: float, now_s: float) -> Recollection | None:
    """What is remembered of a model; None = nothing yet.

    Args:
        memory: after it has learned from ``plan``.
        plan: of the latest round.
        model: which.
        tick_s: seconds between rounds.
        now_s: the time, on the memory's clock.
    """
    (column,) = memory.find([model.uid])
    if column < 0 or model.uid not in plan.lesson.uids:
        return None
    row = list(plan.lesson.uids).index(model.uid)
    asked = _Asked(
        costs=plan.lesson.costs.of(np.array([row])),
        replicas=float(plan.lesson.replicas[row]),
        maximum=float(model.spec.max_replicas),
        tick_s=tick_s,
        since_s=memory.since_s(plan.at_s),
    )
    series = OneSeries(memory.forecaster, int(column))
    forecast = series.forecast() if series.index is not None else None
    missed = float(memory.prices.missed_ratio()[column])
    return Recollection(
        step_s=series.step_s,
        until_s=None if series.index is None else (series.index + 1) * series.step_s,
        rates_rps=_past(series),
        levels=LEVELS,
        expected=() if forecast is None else _expected(forecast),
        experts=() if forecast is None else _standings(series),
        layers=_layers(memory, int(column), forecast, asked),
        starts=memory.starts.summary(int(column)),
        price_factor=_known(memory.prices.factor[column]),
        missed_ratio=_known(missed),
        cold_price_factor=_known(memory.prices.cold_factor[column]),
        cold_hit_ratio=_known(memory.prices.cold_hit_ratio()[column]),
        settles_in_s=_settles_in_s(memory.history, plan, model, now_s),
    )


def _past(series: OneSeries) -> tuple[float | None, ...]:
    """The last hours, from the first known step on."""
    if series.index is None:
        return ()
    steps = range(series.index - round(PAST_S / series.step_s) + 1, series.index + 1)
    rates = [_known(series.past(np.zeros(1, dtype=np.int64), index)[0]) for index in steps]
    first = next((i for i, rate in enumerate(rates) if rate is not None), len(rates))
    return tuple(rates[first:])


def _expected(forecast: Forecast) -> tuple[Expected, ...]:
    found = []
    for row, horizon_s in enumerate(forecast.horizons_s):
        leader = int(forecast.leader[row, 0])
        found.append(
            Expected(
                horizon_s=float(horizon_s),
                quantiles_rps=tuple(_known(value) for value in forecast.quantiles_rps[:, row, 0]),
                busy_chance=float(forecast.busy_chance[row, 0]),
                leader=Expert(leader).title if leader >= 0 else None,
                error_ratio=_known(forecast.error_ratio[row, 0]),
            )
        )
    return tuple(found)


def _standings(series: OneSeries) -> tuple[Standing, ...]:
    weights, losses_rps = series.weights(), series.losses_rps()
    return tuple(
        Standing(
            name=expert.title,
            weights=tuple(_known(value) for value in weights[expert]),
            losses_rps=tuple(_known(value) for value in losses_rps[expert]),
        )
        for expert in Expert
    )


def _layers(memory: Memory, column: int, forecast: Forecast | None, asked: _Asked) -> tuple[LayerAccount, ...]:
    """The layers that there are, those that the forecast reaches, and those that were needed lately."""
    accounts, costs = memory.accounts, asked.costs
    chance = _chances(forecast, asked)
    gap_s = accounts.gap_s[:, column]
    recent = np.flatnonzero(gap_s <= PAST_S)
    count = min(LAYERS, max(len(chance), int(asked.replicas), int(recent.max(initial=-1)) + 1))
    chance = np.append(chance, np.full(max(count - len(chance), 0), np.nan))
    owner: I64 = np.zeros(count, dtype=np.int64)
    number = np.arange(1, count + 1)
    worth_s = misses_s(costs.of(owner), number, asked.tick_s) + costs.start_s[owner]
    is_free = accounts.may_let_go(np.full(count, column), number, worth_s)
    return tuple(
        LayerAccount(
            number=k + 1,
            is_on=k < asked.replicas,
            gap_s=_known(gap_s[k]),
            worth_s=_known(worth_s[k]),
            balance_s=float(accounts.balance_s[k, column]),
            is_free=bool(is_free[k]) if np.isfinite(worth_s[k]) else None,
            chance=_known(chance[k]),
        )
        for k in range(count)
    )


def _chances(forecast: Forecast | None, asked: _Asked) -> F64:
    """That each layer is needed before a start would be ready, (K,); NaN = unknown."""
    if forecast is None:
        return np.empty(0)
    costs, one = asked.costs, np.ones(1)
    outlook = look(forecast, np.zeros(1, dtype=np.int64), costs.limit_rps, asked.replicas * one, asked.maximum * one)
    lead = int(np.searchsorted(outlook.horizons_s, costs.lead_s[0] + asked.tick_s + asked.since_s))
    chance: F64 = outlook.chance[min(lead, len(outlook.horizons_s) - 1)]
    return chance


def _settles_in_s(history: History, plan: Plan, model: InferenceDeployment, now_s: float) -> float | None:
    """Seconds until what holds back the change has left its window, if the need stays as it is."""
    steps = plan.trail.steps(model.key)
    after = next((i for i, step in enumerate(steps) if step.guard == _DAMPED), 0)
    asked, left = steps[after - 1].replicas, steps[after].replicas
    if after == 0 or asked == left:
        return None
    ring, window = ("safe", "down_window_s") if asked < left else ("need", "up_window_s")
    window_s = plan.trail.numbers(model.key)[window]
    times_s, values = history.window(ring, [model.uid], now_s - window_s)
    holds = times_s[values[:, 0] >= left] if asked < left else times_s[values[:, 0] <= left]
    since_s = float(history.known_since_s([model.uid], now_s)[0]) if asked < left else np.nan
    until_s = np.fmax(holds.max(initial=-np.inf), since_s) + window_s
    return max(0.0, float(until_s) - now_s) if np.isfinite(until_s) else None


def _known(value: float | np.floating) -> float | None:
    return float(value) if np.isfinite(value) else None
