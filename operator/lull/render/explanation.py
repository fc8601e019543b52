"""Why a model has as many replicas as it has: everything a round concluded about it, as one JSON object.

Names carry their units; what is unknown is null and never zero. Called by ``runtime.explaining``; the command
``lull explain`` draws it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

from lull.model.fleet import Unreadable
from lull.model.plan import ConditionStatus, ConditionType, ModelPlan, Plan
from lull.model.recollection import Expected, Recollection
from lull.model.spec import InferenceDeployment
from lull.render.changes import changes, thresholds_rps
from lull.render.sentences import sentence
from lull.settings import Settings

Explanation = dict[str, Any]

VERSION: Final = 1
"""Of the shape; it counts up when a reader of an older one would be misled."""

_DIGITS: Final = 6
_SIZING: Final = ("sizing_rps", "replica_limit_rps", "need", "safe")


def explanation_of(
    model: InferenceDeployment | Unreadable,
    plan: Plan,
    remembered: Recollection | None,
    settings: Settings,
    now_s: float,
) -> Explanation:
    """What is known of one model.

    Args:
        model: as it is specified.
        plan: of the latest round; the model is in it.
        remembered: of the model, after that round; None = nothing.
        settings: the operator's settings.
        now_s: the time on the clock of the plan, in seconds since the epoch.
    """
    concluded = plan.models[model.key]
    said = {
        "version": VERSION,
        "at": _rfc3339(now_s),
        "model": _model(model),
        "mode": str(concluded.mode),
        "prediction": str(model.spec.prediction.mode) if isinstance(model, InferenceDeployment) else None,
        "decision": _decision(concluded, plan.at_s),
        "sizing": _sizing(model, concluded, plan),
        "guards": _guards(concluded, plan),
        "demand": _demand(concluded, plan, now_s),
        "forecast": _forecast(concluded, remembered),
        "costs": _costs(model, plan, remembered, settings),
        "starts": asdict(remembered.starts) if remembered else None,
        "layers": [asdict(layer) for layer in remembered.layers] if remembered else [],
        "past": _past(remembered),
        "conditions": [
            {"type": str(c.type), "status": str(c.status), "reason": str(c.reason), "message": c.message}
            for c in concluded.conditions
        ],
        "next": changes(model, concluded, plan.trail, remembered),
    }
    tidied: Explanation = _tidied(said)
    return tidied


def _model(model: InferenceDeployment | Unreadable) -> Explanation:
    found: Explanation = {"namespace": model.key.namespace, "name": model.key.name, "generation": model.generation}
    if isinstance(model, InferenceDeployment):
        found |= {"target": str(model.target), "runtime": str(model.spec.server.runtime)}
    return found


def _decision(concluded: ModelPlan, at_s: float) -> Explanation | None:
    decision = concluded.decision
    if decision is None:
        return None
    return {
        "at": _rfc3339(at_s),
        "before": decision.before,
        "after": decision.after,
        "reason": str(decision.reason),
        "sentence": sentence(decision),
        "evidence": dict(decision.evidence),
        "is_change": decision.is_change,
        "is_enforced": decision.is_enforced,
        "why_not_enforced": _why_not(concluded),
    }


def _why_not(concluded: ModelPlan) -> str | None:
    """What keeps the decision from being carried out, if anything."""
    active = next((c for c in concluded.conditions if c.type is ConditionType.SCALING_ACTIVE), None)
    return active.message if active is not None and active.status is not ConditionStatus.TRUE else None


def _sizing(model: InferenceDeployment | Unreadable, concluded: ModelPlan, plan: Plan) -> Explanation:
    evidence = concluded.decision.evidence if concluded.decision else {}
    found: Explanation = {name: evidence.get(name) for name in _SIZING}
    found["safe_limit_rps"] = plan.trail.numbers(model.key).get("safe_limit_rps")
    if isinstance(model, InferenceDeployment):
        up_rps, down_rps = thresholds_rps(model, concluded, plan.trail)
        found |= {
            "grows_above_rps": up_rps,
            "shrinks_below_rps": down_rps,
            "min_replicas": model.spec.min_replicas,
            "max_replicas": model.spec.max_replicas,
            "objectives": [
                {
                    "metric": str(objective.metric),
                    "percentile": float(objective.percentile),
                    "threshold_s": float(objective.threshold),
                }
                for objective in model.spec.slo.objectives
            ],
        }
    return found


def _guards(concluded: ModelPlan, plan: Plan) -> list[Explanation]:
    found: list[Explanation] = []
    for step in plan.trail.steps(concluded.key):
        before = found[-1] if found else None
        shown = {"guard": step.guard, "replicas": step.replicas, "reason": str(step.reason)}
        found.append(shown | {"is_changed": before is not None and _differs(before, shown)})
    return found


def _differs(before: Explanation, after: Explanation) -> bool:
    return any(before[name] != after[name] for name in ("replicas", "reason"))


def _demand(concluded: ModelPlan, plan: Plan, now_s: float) -> Explanation:
    known = concluded.demand
    return {
        "arrivals_rps": known.arrivals_rps,
        "backlog": known.backlog,
        "service_time_s": known.service_time_s,
        "data_age_s": None if known.age_s is None else known.age_s + max(0.0, now_s - plan.at_s),
    }


def _forecast(concluded: ModelPlan, remembered: Recollection | None) -> Explanation | None:
    if remembered is None or not remembered.expected:
        return None
    foreseen = concluded.foreseen
    return {
        "step_s": remembered.step_s,
        "horizons": [_horizon(expected, remembered.levels) for expected in remembered.expected],
        "experts": [
            {"expert": who.name, "weights": who.weights, "losses_rps": who.losses_rps} for who in remembered.experts
        ],
        "advice": None if foreseen is None else asdict(foreseen),
    }


def _horizon(expected: Expected, levels: Iterable[float]) -> Explanation:
    quantiles = zip(levels, expected.quantiles_rps, strict=True)
    return {
        "horizon_s": expected.horizon_s,
        "quantiles_rps": {f"{level:g}": value for level, value in quantiles},
        "chance_of_any": expected.busy_chance,
        "leader": expected.leader,
        "error_ratio": expected.error_ratio,
    }


def _costs(
    model: InferenceDeployment | Unreadable, plan: Plan, remembered: Recollection | None, settings: Settings
) -> Explanation | None:
    """What a start and a miss cost, and what a forecast has to look ahead; None = nothing was priced."""
    lesson = plan.lesson
    uids = list(lesson.uids)
    if model.uid not in uids:
        return None
    at = uids.index(model.uid)
    costs = lesson.costs
    return {
        "lead_s": _known(float(costs.lead_s[at])),
        "start_s": _known(float(costs.start_s[at])),
        "miss_price_s": _known(float(costs.miss_price_s[at])),
        "cold_price_s": _known(float(costs.cold_price_s[at])),
        "tick_s": settings.tick_s,
        "allowed_miss_ratio": _known(float(lesson.allowed_ratio[at])),
        "missed_ratio": remembered.missed_ratio if remembered else None,
        "price_factor": remembered.price_factor if remembered else None,
        "allowed_cold_ratio": _known(float(lesson.cold_ratio[at])),
        "cold_hit_ratio": remembered.cold_hit_ratio if remembered else None,
        "cold_price_factor": remembered.cold_price_factor if remembered else None,
    }


def _past(remembered: Recollection | None) -> Explanation | None:
    if remembered is None or remembered.until_s is None:
        return None
    return {
        "until": _rfc3339(remembered.until_s),
        "step_s": remembered.step_s,
        "rates_rps": remembered.rates_rps,
    }


def _tidied(value: Any) -> Any:
    """The same in shapes that JSON has, with numbers as people read them."""
    if isinstance(value, dict):
        return {name: _tidied(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_tidied(item) for item in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _known(value: float) -> float | None:
    return value if isfinite(value) else None


def _rfc3339(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
