"""The one brain: everything Lull concludes, it concludes here.

Called by the operator's loop with what it saw; pure, so that whatever else calls it gets the same conclusions.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from lull.decide.conditions import conditions, unreadable_conditions
from lull.decide.engine import decide
from lull.decide.facts import Facts, gather
from lull.decide.sizing import limits
from lull.forecast.demand import Load, estimate
from lull.model.fleet import Demand, ModelView, Snapshot
from lull.model.history import History, Observation
from lull.model.plan import ModelPlan, Plan
from lull.model.spec import Key
from lull.settings import Mode, Settings

_NOTHING_KNOWN: Final = Demand(None, None, None, None)


def plan_cycle(snapshot: Snapshot, history: History, settings: Settings, now_s: float) -> Plan:
    """Plans the whole fleet once.

    Args:
        snapshot: what was seen.
        history: what happened before; read, never written.
        settings: the operator's settings.
        now_s: seconds on a clock that never jumps; the same one that the history was recorded with.
    """
    seen = [model for model in snapshot.models if model.target is not None]
    load = estimate(seen, window_s=settings.rate_window_s)
    replica = limits([model.deployment.spec for model in seen], load.service_time_s)
    # Nothing to serve needs nothing, whether or not it is known what a replica can do.
    is_idle = load.sizing_rps == 0.0
    facts = gather(
        seen,
        need_exact=np.where(is_idle, 0.0, load.sizing_rps / replica.rps),
        safe_exact=np.where(is_idle, 0.0, load.sizing_rps / replica.safe_rps),
        is_lower_bound=load.is_lower_bound,
        is_unreachable=replica.is_unreachable,
        history=history,
        now_s=now_s,
    )
    modes = [mode_of(model, settings) for model in seen]
    decisions = decide(
        seen,
        modes,
        facts,
        replica,
        arrivals_rps=load.arrivals_rps,
        sizing_rps=load.sizing_rps,
        backlog=load.backlog,
    )
    known_at_s = history.known_at_s(facts.uids)
    plans = _undecided(snapshot, settings)
    for i, model in enumerate(seen):
        demand = _demand(model, load, i, now_s - known_at_s[i])
        said = conditions(model, modes[i], demand.age_s)
        plans[model.key] = ModelPlan(model.key, modes[i], decisions[i], demand, said)
    return Plan(at_s=now_s, models=plans, observation=_observe(facts))


def mode_of(model: ModelView, settings: Settings) -> Mode:
    """The mode in force: the model's own, else the operator's."""
    return model.deployment.spec.mode or settings.mode


def _undecided(snapshot: Snapshot, settings: Settings) -> dict[Key, ModelPlan]:
    """Plans of what has nothing to decide about: models without a target, specs that cannot be read."""
    plans = {}
    for model in snapshot.models:
        if model.target is None:
            mode = mode_of(model, settings)
            plans[model.key] = ModelPlan(model.key, mode, None, _NOTHING_KNOWN, conditions(model, mode, None))
    for broken in snapshot.unreadable:
        said = unreadable_conditions(broken.fault)
        plans[broken.key] = ModelPlan(broken.key, settings.mode, None, _NOTHING_KNOWN, said)
    return plans


def _demand(model: ModelView, load: Load, i: int, known_s_ago: float) -> Demand:
    age_s = model.signals.age_s if model.signals.fault is None else known_s_ago
    return Demand(
        arrivals_rps=_known(load.arrivals_rps[i]),
        backlog=_known(load.backlog[i]),
        service_time_s=_known(load.service_time_s[i]),
        age_s=None if age_s is None else _known(age_s),
    )


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _observe(facts: Facts) -> Observation:
    """A lower bound of the demand is no knowledge of it, yet it speaks against scale-in while a window reaches it."""
    return Observation(
        uids=facts.uids,
        replicas=facts.current.astype(np.float64),
        need=np.where(facts.is_lower_bound, np.nan, facts.need),
        safe=facts.safe,
    )
