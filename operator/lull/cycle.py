"""The one brain: everything Lull concludes, it concludes here.

Called by the operator's loop with what it saw; pure, so that whatever else calls it gets the same conclusions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from lull.briefing import Briefing, brief
from lull.briefing import mode_of as mode_of
from lull.budgeting import Budgeted, budget, hurry
from lull.decide.awake import last_awake
from lull.decide.conditions import conditions, unreadable_conditions
from lull.decide.dozing import Dozing, Outlook, doze, no_doze
from lull.decide.engine import decide, propose
from lull.decide.facts import Facts, gather
from lull.decide.guards import Proposal
from lull.decide.provision import Advice, misses_s
from lull.decide.zero import Quiet, Rest, rest
from lull.forecast.calibration import LEVELS
from lull.forecast.demand import Load
from lull.forecast.experts import Expert
from lull.foresight import foresee, look
from lull.lessons import observe, teach, unseen
from lull.memory import Memory
from lull.model.arrays import I64, Bools, running_maximum
from lull.model.doze import Rung
from lull.model.fleet import Demand, ModelView, Snapshot
from lull.model.plan import Decision, Foreseen, ModelPlan, Plan, Trail
from lull.model.route import Wish
from lull.model.spec import Key, PredictionMode
from lull.settings import Settings

_NOTHING_KNOWN: Final = Demand(None, None, None, None)
_SOME: Final = 1e-9
"""A need that is more than none."""
_PEAK: Final = LEVELS.index(0.95)


def plan_cycle(snapshot: Snapshot, memory: Memory, settings: Settings, now_s: float) -> Plan:
    """Plans the whole fleet once.

    Args:
        snapshot: what was seen.
        memory: what happened before and what was learned from it; read, never written.
        settings: the operator's settings.
        now_s: seconds since the epoch on a clock that never jumps; the same one that the memory was fed with.
    """
    briefing = brief(snapshot, memory, settings, now_s)
    advice = _advice(briefing)
    quiet = _quiet(briefing, advice, hurry(briefing, snapshot.budgets))
    dozing = _dozing(briefing, rest(briefing.seen, quiet), quiet)
    facts = _facts(briefing, advice, dozing.rest)
    proposals = propose(facts)
    budgeted = budget(briefing, snapshot.budgets, proposals[-1].desired, facts.minimum)
    decisions, trail = _decided(briefing, facts, proposals, budgeted)
    plans = _undecided(snapshot, settings, now_s) | _planned(briefing, decisions, advice, dozing, budgeted)
    lost = unseen(snapshot)
    return Plan(
        now_s,
        plans,
        observation=observe(facts, lost),
        lesson=teach(briefing, facts, lost, budgeted),
        trail=trail,
        budgets=budgeted.pacing.plans,
    )


def _advice(briefing: Briefing) -> Advice:
    """What the forecast asks for; nothing where none may be asked or nothing was learned yet."""
    start_to: I64 = np.zeros(len(briefing.seen), dtype=np.int64)
    keep_to: I64 = np.zeros(len(briefing.seen), dtype=np.int64)
    at, memory, forecast, costs = briefing.at, briefing.memory, briefing.forecast, briefing.costs
    rows = np.flatnonzero((at >= 0) & briefing.is_foreseen & ~np.isnan(costs.limit_rps))
    if forecast is None or not len(rows):
        return Advice(start_to, keep_to)
    theirs, replicas = costs.of(rows), briefing.replicas[rows]
    maximum = np.array([float(model.deployment.spec.max_replicas) for model in briefing.seen])[rows]
    outlook = look(forecast, at[rows], theirs.limit_rps, replicas, maximum, since_s=briefing.since_s)
    advice = foresee(outlook, theirs, memory.accounts, at[rows], replicas, briefing.settings.tick_s)
    # Who sleeps is woken only by a forecast that has seen how long silences last: a new one expects anything at once.
    start_to[rows] = np.where((replicas > 0.0) | briefing.is_versed[rows], advice.start_to, 0)
    keep_to[rows] = advice.keep_to
    return Advice(start_to, keep_to)


def _quiet(briefing: Briefing, advice: Advice, is_hurried: Bools) -> Quiet:
    """What speaks for and against sleep; only what was watched counts as silence."""
    seen, at, memory, costs, now_s = briefing.seen, briefing.at, briefing.memory, briefing.costs, briefing.now_s
    known_for_s = now_s - memory.history.known_since_s(briefing.uids, now_s)
    since_need_s = np.full(len(seen), np.inf)
    since_need_s[at >= 0] = memory.accounts.gap_s[0, at[at >= 0]]
    ready_since_s = [_ready_since_s(model) for model in seen]
    return Quiet(
        # What is being worked on needs its replica, though nothing arrives and nothing waits.
        need_exact=np.where(_is_working(seen), np.fmax(briefing.need_exact, _SOME), briefing.need_exact),
        quiet_s=np.minimum(since_need_s, known_for_s),
        lead_s=costs.lead_s,
        worth_s=costs.start_s + misses_s(costs, np.ones(len(seen), dtype=np.int64), 0.0),
        keep_to=advice.keep_to,
        is_versed=briefing.is_versed & briefing.is_foreseen,
        ready_for_s=now_s - np.array(ready_since_s, dtype=np.float64),
        is_start_known=memory.knows_start(at),
        is_hurried=is_hurried,
    )


def _is_used(briefing: Briefing) -> Bools:
    """Whether anything is known to be wanted of the models, (N,)."""
    is_waited_for = np.array([model.waiting > 0 for model in briefing.seen], dtype=bool)
    is_used: Bools = is_waited_for | _is_working(briefing.seen) | (np.nan_to_num(briefing.load.sizing_rps) > 0.0)
    return is_used


def _is_working(seen: Sequence[ModelView]) -> Bools:
    """Whether servers say that requests are with them, (N,)."""
    return np.array([max(m.signals.running or 0.0, m.signals.in_flight or 0.0) > 0.0 for m in seen], dtype=bool)


def _facts(briefing: Briefing, advice: Advice, resting: Rest) -> Facts:
    return gather(
        briefing.seen,
        need_exact=briefing.need_exact,
        safe_exact=briefing.safe_exact,
        is_lower_bound=briefing.load.is_lower_bound,
        is_unreachable=briefing.able.limits.is_unreachable,
        advice=advice,
        is_versed=briefing.is_versed,
        resting=resting,
        history=briefing.memory.history,
        now_s=briefing.now_s,
    )


def _decided(
    briefing: Briefing, facts: Facts, proposals: Sequence[Proposal], budgeted: Budgeted
) -> tuple[list[Decision], Trail]:
    load, able = briefing.load, briefing.able
    return decide(
        briefing.seen,
        briefing.modes,
        facts,
        able.limits,
        proposals,
        caps=budgeted.caps,
        arrivals_rps=load.arrivals_rps,
        sizing_rps=load.sizing_rps,
        backlog=load.backlog,
        capacity=able.evidence,
    )


def _planned(
    briefing: Briefing, decisions: Sequence[Decision], advice: Advice, dozing: Dozing, budgeted: Budgeted
) -> dict[Key, ModelPlan]:
    """All that was concluded of each model that has a target."""
    now_s, plans, resting = briefing.now_s, {}, dozing.rest
    known_s_ago = now_s - briefing.memory.history.known_at_s(briefing.uids)
    startups = briefing.memory.startups(briefing.at)
    is_used = _is_used(briefing)
    for i, (model, mode) in enumerate(zip(briefing.seen, briefing.modes, strict=True)):
        demand = _demand(model, briefing.load, i, known_s_ago[i])
        rung = _rung(decisions[i], Rung(int(dozing.rung[i])), may=bool(dozing.is_doer[i]))
        plans[model.key] = ModelPlan(
            model.key,
            mode,
            decisions[i],
            demand,
            _foreseen(briefing, advice, i),
            conditions(
                model,
                mode,
                demand.age_s,
                now_s=now_s,
                has_capacity=bool(briefing.able.is_known[i]),
                sleep=resting.why[i],
                doze=dozing.why[i],
                budgets=budgeted.conditions(i),
            ),
            rung=rung,
            wish=_wish(decisions[i], rung, is_sleeper=bool(resting.is_sleeper[i]), is_dozing=model.is_dozing),
            startup=startups[i],
            last_awake=last_awake(model, is_used=bool(is_used[i])),
            wake_s=_known(dozing.wake_s[i]) if rung.is_doze else None,
        )
    return plans


def _ready_since_s(model: ModelView) -> float:
    """Since when the oldest replica has served; one whose server was woken in its pod is as young as that."""
    ready_s = np.nan if model.target is None else _or_nan(model.target.ready_since_s)
    if model.doze is None or model.is_dozing or model.doze.since_s is None:
        return ready_s
    return max(ready_s, model.doze.since_s)


def _dozing(briefing: Briefing, resting: Rest, quiet: Quiet) -> Dozing:
    """Where each model rests; most fleets have none that could do so with its pod in place."""
    seen, at, forecast, memory = briefing.seen, briefing.at, briefing.forecast, briefing.memory
    if not any(model.doze is not None for model in seen):
        return no_doze(resting)
    chance, horizons_s = np.full((1, len(seen)), np.nan), np.ones(1)
    if forecast is not None:
        horizons_s = forecast.horizons_s
        chance = np.full((len(horizons_s), len(seen)), np.nan)
        chance[:, at >= 0] = running_maximum(forecast.busy_chance[:, at[at >= 0]].astype(np.float64))
    return doze(seen, resting, quiet, briefing.costs, memory.rests.known(at), Outlook(chance, horizons_s))


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


def _foreseen(briefing: Briefing, advice: Advice, i: int) -> Foreseen | None:
    forecast, at, model = briefing.forecast, int(briefing.at[i]), briefing.seen[i]
    if forecast is None or at < 0 or model.deployment.spec.prediction.mode is PredictionMode.OFF:
        return None
    ahead_s = briefing.costs.lead_s[i] + briefing.settings.tick_s + briefing.since_s
    row = min(int(np.searchsorted(forecast.horizons_s, ahead_s)), len(forecast.horizons_s) - 1)
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
