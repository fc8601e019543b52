"""Decisions in words, with their numbers. The one place where they are worded: status, Events and logs share it."""

from __future__ import annotations

from typing import Final

from lull.model.plan import Decision
from lull.model.reason import Reason

_TAILS: Final = {
    Reason.DEMAND_RISE: "",
    Reason.DEMAND_FALL: "",
    Reason.FORECAST_RISE: "more is expected before a start would be ready",
    Reason.FORECAST_HOLD: "they are expected to be needed again before letting them go has paid",
    Reason.STEADY: "",
    Reason.WITHIN_TOLERANCE: "the difference is within the tolerance",
    Reason.STABILIZING: "a more cautious recommendation lies within the stabilisation window",
    Reason.STEP_LIMITED: "a step policy allows no more for now",
    Reason.DIRECTION_DISABLED: "selectPolicy Disabled forbids changes in this direction",
    Reason.AT_MIN_REPLICAS: "minReplicas holds",
    Reason.AT_MAX_REPLICAS: "maxReplicas holds",
    Reason.OBJECTIVE_UNREACHABLE: "an idle replica alone is slower than the threshold; more replicas cannot mend that",
    Reason.PARTIAL_DATA: "pods are missing in the numbers, so nothing is taken away",
    Reason.SERVICE_TIME_UNKNOWN: "the capacity is a concurrency and no request was timed yet",
    Reason.CAPACITY_UNKNOWN: "what a replica can do is neither stated nor learned yet; "
    "spec.capacity.requestsPerSecond or concurrency states it",
    Reason.PAUSED: "mode is Paused",
    Reason.ASLEEP: "the model sleeps; requests wait at the activator and wake it",
    Reason.WOKEN: "requests wait at the activator",
    Reason.SLEEP_ENDED: "the model may no longer sleep: see the condition SleepAllowed",
    Reason.TEMPLATE_PROOF: "the pod template changed while the model slept, and a start shows whether it works",
    Reason.QUOTA_EXCEEDED: "a quota allows it no pod; the next request tries again",
    Reason.SCALED_TO_ZERO_BY_HAND: "the target was scaled to zero; Lull leaves it there",
}


def sentence(decision: Decision) -> str:
    """What was decided and why: "41 requests/s at up to 17 a replica need 3 replicas; scale from 2 to 3"."""
    parts = [part for part in (_need(decision), _change(decision), _TAILS.get(decision.reason)) if part]
    if "arrivals_rps" not in decision.evidence and decision.reason not in _TAILS:
        parts.insert(0, f"demand is unknown ({decision.reason}), so the size is held")
    return "; ".join(parts)


def number(value: float) -> str:
    """Three significant digits without an exponent."""
    if value == 0:
        return "0"
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return text if "e" not in text else f"{value:.4f}".rstrip("0").rstrip(".")


def _need(decision: Decision) -> str:
    facts = decision.evidence
    if "arrivals_rps" not in facts or "need" not in facts:
        return ""
    queue = f" and {number(facts['backlog'])} waiting" if facts.get("backlog", 0.0) >= 1.0 else ""
    each = f" at up to {number(facts['replica_limit_rps'])} a replica" if "replica_limit_rps" in facts else ""
    return f"{number(facts['arrivals_rps'])} requests/s{queue}{each} need {_replicas(int(facts['need']))}"


def _change(decision: Decision) -> str:
    if not decision.is_change:
        return f"stay at {decision.before}"
    verb = "scale" if decision.is_enforced else "would scale"
    return f"{verb} from {decision.before} to {decision.after}"


def _replicas(count: int) -> str:
    return "1 replica" if count == 1 else f"{count} replicas"
