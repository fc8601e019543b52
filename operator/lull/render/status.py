"""An InferenceDeployment's status, and when a new one is worth a write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lull.model.fleet import LastAwake
from lull.model.plan import Condition, Decision, Foreseen, ModelPlan
from lull.model.start import Startup
from lull.render.sentences import number, sentence

Status = dict[str, Any]


def status_of(plan: ModelPlan, *, generation: int, ready: int | None, before: Mapping[str, Any], now: str) -> Status:
    """The status to be.

    Args:
        plan: what was concluded.
        generation: generation of the spec it was concluded from.
        ready: pods that are Ready; None when there is no target.
        before: the status there is; times of what did not change are kept from it.
        now: the time, RFC 3339.
    """
    status: Status = {
        "observedGeneration": generation,
        "mode": str(plan.mode),
        "conditions": _conditions(plan.conditions, before.get("conditions") or (), generation, now),
    }
    if plan.decision is not None:
        status["replicas"] = {
            "current": plan.decision.before,
            "ready": ready or 0,
            "desired": plan.decision.after,
        }
        status["decision"] = _decision(plan.decision, before, now)
    if plan.demand.arrivals_rps is not None:
        status["demand"] = _demand(plan)
    if plan.foreseen is not None:
        status["forecast"] = _forecast(plan.foreseen)
    startup = before.get("startup") if plan.startup is None else _startup(plan.startup)
    if startup:
        status["startup"] = startup
    last_awake = before.get("lastAwake") if plan.last_awake is None else _last_awake(plan.last_awake)
    if last_awake:
        status["lastAwake"] = last_awake
    return status


def state_of(status: Mapping[str, Any]) -> object:
    """The part whose change is written at once; everything else is telemetry and may wait."""
    return (
        status.get("observedGeneration"),
        status.get("mode"),
        status.get("replicas"),
        (status.get("startup") or {}).get("learned"),
        status.get("lastAwake"),
        (status.get("decision") or {}).get("reason"),
        [(c["type"], c["status"], c["reason"]) for c in status.get("conditions") or ()],
    )


def _startup(known: Startup) -> Status:
    return {"p50": f"{number(known.p50_s)}s", "p95": f"{number(known.p95_s)}s", "learned": known.written}


def _last_awake(found: LastAwake) -> Status:
    named = {"replicas": found.replicas, "template": found.template}
    return {name: value for name, value in named.items() if value is not None}


def _demand(plan: ModelPlan) -> Status:
    known = plan.demand
    found = {"requestsPerSecond": number(known.arrivals_rps or 0.0)}
    if known.backlog is not None:
        found["backlog"] = number(known.backlog)
    if known.service_time_s is not None:
        found["serviceTime"] = f"{number(known.service_time_s * 1000.0)}ms"
    return found


def _forecast(foreseen: Foreseen) -> Status:
    found: Status = {
        "peakRequestsPerSecond": number(foreseen.peak_rps),
        "horizon": f"{number(foreseen.horizon_s)}s",
        "source": foreseen.source,
    }
    if foreseen.error_ratio is not None:
        found["errorRatio"] = number(foreseen.error_ratio)
    for name, replicas in (("startTo", foreseen.start_to), ("keepTo", foreseen.keep_to)):
        if replicas:
            found[name] = replicas
    return found


def _decision(decision: Decision, before: Mapping[str, Any], now: str) -> Status:
    earlier = before.get("decision") or {}
    is_same = (
        earlier.get("reason") == decision.reason and (before.get("replicas") or {}).get("desired") == decision.after
    )
    return {
        "reason": str(decision.reason),
        "message": sentence(decision),
        "at": earlier["at"] if is_same and "at" in earlier else now,
        "evidence": {name: number(value) for name, value in decision.evidence.items()},
    }


def _conditions(
    conditions: Iterable[Condition], before: Iterable[Mapping[str, Any]], generation: int, now: str
) -> list[Status]:
    earlier = {condition["type"]: condition for condition in before}
    rendered = []
    for condition in conditions:
        old = earlier.get(condition.type, {})
        is_same = old.get("status") == condition.status
        rendered.append(
            {
                "type": str(condition.type),
                "status": str(condition.status),
                "reason": str(condition.reason),
                "message": condition.message,
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if is_same else now,
            }
        )
    return rendered
