"""What a round knows before it concludes anything: whom it sees, what arrives, what that takes, and what it costs.

Pure. Called by ``cycle``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from lull.carrying import Carrying, carrying, work_s
from lull.decide.learning import learn
from lull.decide.prices import miss_price_s
from lull.forecast.demand import Load, estimate
from lull.forecast.forecaster import Forecast
from lull.memory import Memory
from lull.model.arrays import F32, F64, I64, Bools
from lull.model.costs import Costs
from lull.model.fleet import ModelView, Snapshot
from lull.model.learned import Learned
from lull.model.spec import PredictionMode
from lull.settings import Mode, Settings

_RELIED_UPON: Final = 0.95
"""Share of starts that are done within the time that is planned for one."""

_SCRAPE_RATIO: Final = 0.25
"""Longest time between two scrapes, in rate windows: four have to fit."""


@dataclass(frozen=True, slots=True)
class Briefing:
    """Of the models that have a target, N of them; columns are (N,), NaN = unknown."""

    seen: Sequence[ModelView]
    modes: Sequence[Mode]
    """In force for each."""
    memory: Memory
    at: I64
    """Their columns in the memory; -1 = none yet."""
    settings: Settings
    now_s: float
    forecast: Forecast | None
    """As of the last step that was learned; None = none was."""
    since_s: float
    """Seconds since the end of that step."""
    is_versed: Bools
    """Whether the forecast's longest horizon has come to an end at least once for it."""
    held: F64
    """Requests that began to wait for a wake since the round before."""
    pile: F64
    """Requests that waited for the last wake, as long as servers may count them as if they had just come."""
    load: Load
    learned: Learned
    able: Carrying
    costs: Costs
    need_exact: F64
    """Replicas the load needs, as a fraction."""
    safe_exact: F64
    """The same with the scale-in margin."""

    @property
    def uids(self) -> tuple[str, ...]:
        """Of the models."""
        return tuple(model.deployment.uid for model in self.seen)

    @property
    def replicas(self) -> F64:
        """Replicas there are, starting ones included."""
        return np.array([float(model.target.replicas) if model.target else 0.0 for model in self.seen])

    @property
    def is_foreseen(self) -> Bools:
        """Whether the spec lets the forecast say anything."""
        modes = [model.deployment.spec.prediction.mode for model in self.seen]
        return np.array([mode is not PredictionMode.OFF for mode in modes], dtype=bool)


def brief(snapshot: Snapshot, memory: Memory, settings: Settings, now_s: float) -> Briefing:
    """What is known of the models that have a target; see ``cycle.plan_cycle``."""
    seen = [model for model in snapshot.models if model.target is not None]
    at = memory.find([model.deployment.uid for model in seen])
    learned_s = work_s(memory.capacities, at, seen)
    held = _newly_held(seen, memory, at)
    pile = _pile(seen, held, memory.pile(at), now_s, settings.rate_window_s)
    load = estimate(seen, window_s=settings.rate_window_s, work_s=learned_s, pile=pile)
    learned = learn(memory.learned, seen)
    able = carrying(memory.capacities, at, seen, learned, load, learned_s)
    need_exact = _need(load.sizing_rps, able, able.limits.rps)
    forecast = memory.forecaster.forecast() if memory.forecaster.index is not None else None
    return Briefing(
        seen=seen,
        modes=[mode_of(model, settings) for model in seen],
        memory=memory,
        at=at,
        settings=settings,
        now_s=now_s,
        forecast=forecast,
        since_s=memory.since_s(now_s),
        is_versed=_versed(forecast, at),
        held=held,
        pile=pile,
        load=load,
        learned=learned,
        able=able,
        costs=_costs(seen, able.limits.rps, memory, at, settings),
        need_exact=_growing(seen, need_exact, _need(load.lasting_rps, able, able.limits.rps)),
        safe_exact=_need(load.sizing_rps, able, able.limits.safe_rps),
    )


def mode_of(model: ModelView, settings: Settings) -> Mode:
    """The mode in force: the model's own, else the operator's."""
    return model.deployment.spec.mode or settings.mode


def allowed_ratio(seen: Sequence[ModelView]) -> F64:
    """Share of the requests that may miss the strictest objective, (N,)."""
    return np.array([min(o.miss_ratio for o in model.deployment.spec.slo.objectives) for model in seen])


def cold_share(seen: Sequence[ModelView]) -> F64:
    """Share of the requests that may wait for a wake, (N,)."""
    return np.array([model.deployment.spec.slo.cold_start_share for model in seen], dtype=np.float64)


def held_ever(seen: Sequence[ModelView]) -> F64:
    """Requests that have begun to wait for a wake since anybody counted, (N,)."""
    return np.array([float(model.held_ever) for model in seen])


def _newly_held(seen: Sequence[ModelView], memory: Memory, at: I64) -> F64:
    """Who has waited since before the first look was counted by whoever looked then."""
    return np.nan_to_num(np.maximum(held_ever(seen) - memory.held_ever(at), 0.0))


def _pile(seen: Sequence[ModelView], held: F64, before: F64, now_s: float, window_s: float) -> F64:
    """Grows while nobody answers; forgotten once the servers' rates do not reach back to the wake any more."""
    targets = [model.target for model in seen if model.target is not None]
    has_none = np.array([target.ready == 0 for target in targets], dtype=bool)
    since_s = np.array([np.nan if at.ready_since_s is None else at.ready_since_s for at in targets], dtype=np.float64)
    is_young = now_s - since_s <= window_s * (1.0 + _SCRAPE_RATIO)
    pile: F64 = np.where(has_none | is_young, before + held, 0.0)
    return pile


def _need(sizing_rps: F64, able: Carrying, rps: F64) -> F64:
    """Nothing to serve needs nothing, even while the time that a stated concurrency works on a request is unknown."""
    need: F64 = np.where((sizing_rps == 0.0) & able.is_known, 0.0, sizing_rps / rps)
    return need


def _growing(seen: Sequence[ModelView], need: F64, lasting: F64) -> F64:
    """A need that those make who waited for a wake keeps what there is and adds nothing: a start would be too late."""
    has = np.array([float(model.target.replicas) if model.target else 0.0 for model in seen])
    growing: F64 = np.where(need > has, np.fmax(lasting, has), need)
    return growing


def _versed(forecast: Forecast | None, at: I64) -> Bools:
    is_versed: Bools = np.zeros(len(at), dtype=bool)
    if forecast is not None:
        there = at >= 0
        is_versed[there] = forecast.known_s[at[there]] >= forecast.horizons_s[-1]
    return is_versed


def _costs(seen: Sequence[ModelView], limit_rps: F64, memory: Memory, at: I64, settings: Settings) -> Costs:
    prices = memory.prices
    # A start is paid with the time it takes on average, as many are. Whoever needs it waits for this one alone, so what
    # must be ready is asked for as early as all but one in twenty starts take, and priced as late by that much.
    return Costs(
        limit_rps=limit_rps,
        miss_price_s=miss_price_s(_of(prices.factor, at), limit_rps, allowed_ratio(seen)),
        start_s=memory.expected_start_s(at) + settings.start_energy_s,
        lead_s=memory.start_s(at, _RELIED_UPON),
        beyond_s=np.full(len(seen), settings.start_energy_s),
        cold_price_s=miss_price_s(_of(prices.cold_factor, at), limit_rps, cold_share(seen)),
    )


def _of(factors: F32, at: I64) -> F64:
    """Those of the models in the columns, (N,); 1 where there is none."""
    return np.append(factors, 1.0)[at]
