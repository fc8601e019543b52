"""The one brain: everything Lull concludes, it concludes here.

Called by the operator's loop with what it saw; pure, so that whatever else calls it gets the same conclusions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from lull.carrying import carrying, window_of, work_s
from lull.decide.awake import last_awake
from lull.decide.conditions import conditions, unreadable_conditions
from lull.decide.dozing import Dozing, Outlook, doze, no_doze
from lull.decide.engine import decide
from lull.decide.facts import Facts, gather
from lull.decide.learning import learn
from lull.decide.prices import miss_price_s
from lull.decide.provision import Advice, misses_s
from lull.decide.sizing import Limits
from lull.decide.zero import Quiet, Rest, rest
from lull.forecast.calibration import LEVELS
from lull.forecast.demand import Load, estimate
from lull.forecast.experts import Expert
from lull.forecast.forecaster import Forecast
from lull.foresight import foresee, look
from lull.memory import Memory
from lull.model.arrays import F64, I64, Bools, running_maximum
from lull.model.costs import Costs, Lesson
from lull.model.doze import Rung
from lull.model.fleet import Demand, ModelView, Snapshot
from lull.model.history import Observation
from lull.model.learned import Learned
from lull.model.plan import Decision, Foreseen, ModelPlan, Plan
from lull.model.route import Wish
from lull.model.spec import Key, Metric, PredictionMode
from lull.model.window import Window
from lull.settings import Mode, Settings

_NOTHING_KNOWN: Final = Demand(None, None, None, None)
_PEAK: Final = LEVELS.index(0.95)
_RELIED_UPON: Final = 0.95
"""Share of starts that are done within the time that is planned for one."""


def plan_cycle(snapshot: Snapshot, memory: Memory, settings: Settings, now_s: float) -> Plan:
    """Plans the whole fleet once.

    Args:
        snapshot: what was seen.
        memory: what happened before and what was learned from it; read, never written.
        settings: the operator's settings.
        now_s: seconds since the epoch on a clock that never jumps; the same one that the memory was fed with.
    """
    seen = [model for model in snapshot.models if model.target is not None]
    at = memory.find([model.deployment.uid for model in seen])
    learned_s = work_s(memory.capacities, at, seen)
    load = estimate(seen, window_s=settings.rate_window_s, work_s=learned_s)
    learned = learn(memory.learned, seen)
    able = carrying(memory.capacities, at, seen, learned, load, learned_s)
    replica = able.limits
    costs = _costs(seen, replica, memory, at, settings)
    forecast = memory.forecaster.forecast() if memory.forecaster.index is not None else None
    since_s = memory.since_s(now_s)
    advice = _advice(seen, forecast, costs, memory, at, settings, since_s)
    is_versed = _versed(forecast, at)
    # Nothing to serve needs nothing, even while the time that a stated concurrency works on a request is unknown.
    is_idle = (load.sizing_rps == 0.0) & able.is_known
    need_exact = np.where(is_idle, 0.0, load.sizing_rps / replica.rps)
    quiet = _quiet(seen, need_exact, costs, advice, is_versed, memory, at, now_s)
    resting = rest(seen, quiet)
    dozing = _dozing(seen, resting, quiet, costs, forecast, memory, at)
    resting = dozing.rest
    facts = gather(
        seen,
        need_exact=need_exact,
        safe_exact=np.where(is_idle, 0.0, load.sizing_rps / replica.safe_rps),
        is_lower_bound=load.is_lower_bound,
        is_unreachable=replica.is_unreachable,
        advice=advice,
        is_versed=is_versed,
        resting=resting,
        history=memory.history,
        now_s=now_s,
    )
    modes = [mode_of(model, settings) for model in seen]
    decisions, trail = decide(
        seen,
        modes,
        facts,
        replica,
        arrivals_rps=load.arrivals_rps,
        sizing_rps=load.sizing_rps,
        backlog=load.backlog,
        capacity=able.evidence,
    )
    known_at_s = memory.history.known_at_s(facts.uids)
    plans = _undecided(snapshot, settings, now_s)
    startups = memory.startups(at)
    for i, model in enumerate(seen):
        demand = _demand(model, load, i, now_s - known_at_s[i])
        said = conditions(
            model,
            modes[i],
            demand.age_s,
            now_s=now_s,
            has_capacity=bool(able.is_known[i]),
            sleep=resting.why[i],
            doze=dozing.why[i],
        )
        rung = _rung(decisions[i], Rung(int(dozing.rung[i])), may=bool(dozing.is_doer[i]))
        foreseen = _foreseen(model, forecast, int(at[i]), costs.lead_s[i] + settings.tick_s + since_s, advice, i)
        plans[model.key] = ModelPlan(
            model.key,
            modes[i],
            decisions[i],
            demand,
            foreseen,
            said,
            rung=rung,
            wish=_wish(decisions[i], rung, is_sleeper=bool(resting.is_sleeper[i]), is_dozing=model.is_dozing),
            startup=startups[i],
            last_awake=last_awake(model),
            wake_s=_known(dozing.wake_s[i]) if rung.is_doze else None,
        )
    unseen = _unseen(snapshot)
    window = window_of(seen, load, replica, settings.rate_window_s)
    lesson = _lesson(seen, load, facts, costs, learned, window, unseen)
    return Plan(now_s, plans, observation=_observe(facts, unseen), lesson=lesson, trail=trail)


def mode_of(model: ModelView, settings: Settings) -> Mode:
    """The mode in force: the model's own, else the operator's."""
    return model.deployment.spec.mode or settings.mode


def _costs(seen: Sequence[ModelView], replica: Limits, memory: Memory, at: I64, settings: Settings) -> Costs:
    factor = np.where(at >= 0, memory.prices.factor[at], 1.0) if memory.prices.factor.size else np.ones(len(seen))
    # A start is paid with the time it takes on average, as many are. Whoever needs it waits for this one alone, so what
    # must be ready is asked for as early as all but one in twenty starts take, and priced as late by that much.
    return Costs(
        limit_rps=replica.rps,
        miss_price_s=miss_price_s(factor, replica.rps, _allowed(seen)),
        start_s=memory.expected_start_s(at) + settings.start_energy_s,
        lead_s=memory.start_s(at, _RELIED_UPON),
        beyond_s=np.full(len(seen), settings.start_energy_s),
    )


def _advice(
    seen: Sequence[ModelView],
    forecast: Forecast | None,
    costs: Costs,
    memory: Memory,
    at: I64,
    settings: Settings,
    since_s: float,
) -> Advice:
    """What the forecast asks for; nothing where none may be asked or nothing was learned yet."""
    start_to: I64 = np.zeros(len(seen), dtype=np.int64)
    keep_to: I64 = np.zeros(len(seen), dtype=np.int64)
    asked = [model.deployment.spec.prediction.mode is not PredictionMode.OFF for model in seen]
    rows = np.flatnonzero((at >= 0) & np.array(asked, dtype=bool) & ~np.isnan(costs.limit_rps))
    if forecast is None or not len(rows):
        return Advice(start_to, keep_to)
    theirs = costs.of(rows)
    replicas = np.array([float(model.target.replicas) if model.target else 0.0 for model in seen])[rows]
    maximum = np.array([float(model.deployment.spec.max_replicas) for model in seen])[rows]
    outlook = look(forecast, at[rows], theirs.limit_rps, replicas, maximum, since_s=since_s)
    advice = foresee(outlook, theirs, memory.accounts, at[rows], replicas, settings.tick_s)
    start_to[rows], keep_to[rows] = advice.start_to, advice.keep_to
    return Advice(start_to, keep_to)


def _versed(forecast: Forecast | None, at: I64) -> Bools:
    """Whether the longest horizon of a model's forecast has come to an end at least once, (N,)."""
    is_versed: Bools = np.zeros(len(at), dtype=bool)
    if forecast is not None:
        there = at >= 0
        is_versed[there] = forecast.known_s[at[there]] >= forecast.horizons_s[-1]
    return is_versed


def _quiet(
    seen: Sequence[ModelView],
    need_exact: F64,
    costs: Costs,
    advice: Advice,
    is_versed: Bools,
    memory: Memory,
    at: I64,
    now_s: float,
) -> Quiet:
    """What speaks for and against sleep; only what was watched counts as silence."""
    uids = [model.deployment.uid for model in seen]
    known_for_s = now_s - memory.history.known_since_s(uids, now_s)
    since_need_s = np.full(len(seen), np.inf)
    since_need_s[at >= 0] = memory.accounts.gap_s[0, at[at >= 0]]
    ready_since_s = [_ready_since_s(model) for model in seen]
    is_asked = np.array([model.deployment.spec.prediction.mode is not PredictionMode.OFF for model in seen], dtype=bool)
    return Quiet(
        need_exact=need_exact,
        quiet_s=np.minimum(since_need_s, known_for_s),
        lead_s=costs.lead_s,
        worth_s=costs.start_s + misses_s(costs, 0.0),
        keep_to=advice.keep_to,
        is_versed=is_versed & is_asked,
        ready_for_s=now_s - np.array(ready_since_s, dtype=np.float64),
        is_start_known=memory.knows_start(at),
    )


def _ready_since_s(model: ModelView) -> float:
    """Since when the oldest replica has served; one whose server was woken in its pod is as young as that."""
    ready_s = np.nan if model.target is None else _or_nan(model.target.ready_since_s)
    if model.doze is None or model.is_dozing or model.doze.since_s is None:
        return ready_s
    return max(ready_s, model.doze.since_s)


def _dozing(
    seen: Sequence[ModelView],
    resting: Rest,
    quiet: Quiet,
    costs: Costs,
    forecast: Forecast | None,
    memory: Memory,
    at: I64,
) -> Dozing:
    """Where each model rests; most fleets have none that could do so with its pod in place."""
    if not any(model.doze is not None for model in seen):
        return no_doze(resting)
    chance, horizons_s = np.full((1, len(seen)), np.nan), np.ones(1)
    if forecast is not None:
        horizons_s = forecast.horizons_s
        chance = np.full((len(horizons_s), len(seen)), np.nan)
        chance[:, at >= 0] = running_maximum(forecast.busy_chance[:, at[at >= 0]].astype(np.float64))
    return doze(seen, resting, quiet, costs, memory.rests.known(at), Outlook(chance, horizons_s))


def _rung(decision: Decision, chosen: Rung, *, may: bool) -> Rung:
    """Where the replica shall rest; the size that the guards left has the last word."""
    if not decision.is_enforced:
        return Rung.AWAKE
    if decision.after == 0:
        return Rung.GONE
    return chosen if may and decision.before == decision.after == 1 else Rung.AWAKE


def _wish(decision: Decision, rung: Rung, *, is_sleeper: bool, is_dozing: bool) -> Wish:
    rests = rung.is_doze or (rung is Rung.GONE and (is_dozing or (is_sleeper and decision.after == 0)))
    return Wish.ASLEEP if rests else Wish.AWAKE


def _foreseen(
    model: ModelView, forecast: Forecast | None, at: int, lead_s: float, advice: Advice, i: int
) -> Foreseen | None:
    if forecast is None or at < 0 or model.deployment.spec.prediction.mode is PredictionMode.OFF:
        return None
    row = min(int(np.searchsorted(forecast.horizons_s, lead_s)), len(forecast.horizons_s) - 1)
    leader, error = int(forecast.leader[row, at]), float(forecast.error_ratio[row, at])
    if leader < 0:
        return None
    # What is expected in a silence counts as far as the silence is expected to end.
    peak_rps = float(forecast.quantiles_rps[_PEAK, row, at] * forecast.busy_chance[row, at])
    return Foreseen(
        peak_rps=peak_rps,
        horizon_s=float(forecast.horizons_s[row]),
        source=Expert(leader).title,
        error_ratio=error if np.isfinite(error) else None,
        start_to=int(advice.start_to[i]),
        keep_to=int(advice.keep_to[i]),
    )


def _undecided(snapshot: Snapshot, settings: Settings, now_s: float) -> dict[Key, ModelPlan]:
    """Plans of what has nothing to decide about: models without a target, specs that cannot be read."""
    plans = {}
    for model in snapshot.models:
        if model.target is None:
            mode = mode_of(model, settings)
            said = conditions(model, mode, None, now_s=now_s)
            plans[model.key] = ModelPlan(model.key, mode, None, _NOTHING_KNOWN, None, said)
    for broken in snapshot.unreadable:
        said = unreadable_conditions(broken.fault)
        plans[broken.key] = ModelPlan(broken.key, settings.mode, None, _NOTHING_KNOWN, None, said)
    return plans


def _demand(model: ModelView, load: Load, i: int, known_s_ago: float) -> Demand:
    age_s = model.signals.age_s if model.signals.fault is None else known_s_ago
    return Demand(
        arrivals_rps=_known(load.arrivals_rps[i]),
        backlog=_known(load.backlog[i]),
        service_time_s=_known(load.service_time_s[i]),
        age_s=None if age_s is None else _known(age_s),
    )


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _unseen(snapshot: Snapshot) -> frozenset[str]:
    """Models whose target was not found or whose spec cannot be read: a failed read must not cost what was learned."""
    lost = [model.deployment.uid for model in snapshot.models if model.target is None]
    return frozenset([*lost, *(broken.uid for broken in snapshot.unreadable)])


def _observe(facts: Facts, unseen: frozenset[str]) -> Observation:
    """A lower bound of the demand is no knowledge of it, yet it speaks against scale-in while a window reaches it."""
    return Observation(
        uids=facts.uids,
        replicas=facts.current.astype(np.float64),
        need=np.where(facts.is_lower_bound | ~facts.is_known, np.nan, np.maximum(facts.need, facts.start_to)),
        safe=facts.safe,
        unseen=unseen,
    )


def _lesson(
    seen: Sequence[ModelView],
    load: Load,
    facts: Facts,
    costs: Costs,
    learned: Learned,
    window: Window,
    unseen: frozenset[str],
) -> Lesson:
    """A lower bound of the demand teaches nothing: a forecast that learned from it would be too low."""
    # Who waits for a model that sleeps has arrived, at a rate that nobody has counted.
    is_asleep = np.array([model.is_asleep for model in seen], dtype=bool)
    is_uncounted = load.is_lower_bound | ((facts.waiting > 0) & is_asleep)
    arrivals_rps = np.where(is_uncounted, np.nan, load.arrivals_rps)
    ready = np.array([float(model.target.ready) if model.target else np.nan for model in seen])
    allowed_wait_s = np.array([_threshold_s(model) for model in seen])
    is_late = np.nan_to_num(load.backlog) > allowed_wait_s * ready * costs.limit_rps
    return Lesson(
        uids=facts.uids,
        arrivals_rps=arrivals_rps,
        missed_rps=np.where(is_late, arrivals_rps, np.where(np.isnan(arrivals_rps), np.nan, 0.0)),
        allowed_ratio=_allowed(seen),
        need=np.where(np.isnan(arrivals_rps), np.nan, np.ceil(facts.need_exact)),
        replicas=facts.current.astype(np.float64),
        costs=costs,
        learned=learned,
        window=window,
        unseen=unseen,
    )


def _allowed(seen: Sequence[ModelView]) -> F64:
    """Share of the requests that may miss the strictest objective, (N,)."""
    return np.array([min(o.miss_ratio for o in model.deployment.spec.slo.objectives) for model in seen])


def _threshold_s(model: ModelView) -> float:
    """Seconds that a request may take until it is answered at all; the pace of tokens is no wait."""
    objectives = model.deployment.spec.slo.objectives
    waits = [float(o.threshold) for o in objectives if o.metric is not Metric.INTER_TOKEN_LATENCY]
    return min(waits, default=np.inf)
