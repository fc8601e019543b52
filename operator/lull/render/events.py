"""Kubernetes Events: told on change only, in the words of the status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lull.model.plan import Condition, ConditionStatus, ConditionType, ModelPlan
from lull.model.reason import Reason
from lull.render.sentences import sentence

_BAD = {
    ConditionType.READY: ConditionStatus.FALSE,
    ConditionType.METRICS_AVAILABLE: ConditionStatus.FALSE,
    ConditionType.CAPACITY_KNOWN: ConditionStatus.FALSE,
    ConditionType.DRAIN_MISSING: ConditionStatus.TRUE,
    ConditionType.ROUTE_SUPPORTED: ConditionStatus.FALSE,
}
"""Statuses that are bad whatever their reason."""

_REFUSALS = {
    Reason.START_EXCEEDS_HOLD,
    Reason.START_EXCEEDS_IDLE,
    Reason.TARGET_TAKEN,
    Reason.TARGET_CONTENDED,
    Reason.TARGET_NOT_FOUND,
    Reason.OBJECT_NOT_OURS,
    Reason.SPEC_UNREADABLE,
    Reason.SCALE_REFUSED,
    Reason.NO_CAPACITY,
    Reason.QUOTA_EXCEEDED,
    Reason.IMAGE_PULL,
}

_NO_NEWS = {
    Reason.NO_READY_PODS,
    Reason.TARGET_NOT_FOUND,
    Reason.CAPACITY_UNKNOWN,
    # What is not known of a new model is taken from settings, and its first start shows better.
    Reason.START_EXCEEDS_HOLD,
    Reason.START_EXCEEDS_IDLE,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One Event about an InferenceDeployment."""

    is_warning: bool
    reason: Reason
    message: str


def events_of(plan: ModelPlan, before: Mapping[str, Any], scaled: bool) -> list[Event]:  # noqa: FBT001 - a claim
    """What is worth telling.

    Args:
        plan: what was concluded.
        before: the status as it was before this round.
        scaled: whether the decision's change was carried out.
    """
    found = []
    decision = plan.decision
    if decision is not None:
        wanted_before = (before.get("replicas") or {}).get("desired")
        is_new_advice = not decision.is_enforced and decision.is_change and decision.after != wanted_before
        if scaled or is_new_advice:
            found.append(Event(is_warning=False, reason=decision.reason, message=sentence(decision)))
    earlier = {condition["type"]: condition for condition in before.get("conditions") or ()}
    found.extend(event for condition in plan.conditions if (event := _told(condition, earlier.get(condition.type))))
    return found


def _told(condition: Condition, before: Mapping[str, Any] | None) -> Event | None:
    """An Event when something went wrong, went wrong in another way, or came right again.

    That a new model is not Ready yet is no news.
    """
    is_bad = _is_bad(condition.type, condition.status, condition.reason)
    was_bad = before is not None and _is_bad(condition.type, before["status"], before["reason"])
    if before is None and condition.reason in _NO_NEWS:
        return None
    is_new = before is None or before["status"] != condition.status or before["reason"] != condition.reason
    if (is_bad and is_new) or (was_bad and not is_bad and condition.status is not ConditionStatus.UNKNOWN):
        return Event(is_warning=is_bad, reason=condition.reason, message=f"{condition.type}: {condition.message}")
    return None


def _is_bad(kind: ConditionType, status: str, reason: str) -> bool:
    """Where nothing is bad in itself, as to be awake or asleep, only a refusal is."""
    return status == _BAD[kind] if kind in _BAD else reason in _REFUSALS
