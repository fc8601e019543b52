"""What a model's conditions say. Each is a claim, its reason and a sentence with the mend where there is one."""

from __future__ import annotations

from typing import Final

from lull.decide.hinder import blocked_by
from lull.decide.support import unsupported
from lull.model.fleet import Fault, ModelView
from lull.model.plan import Condition, ConditionStatus, ConditionType
from lull.model.reason import Reason
from lull.model.route import Front
from lull.model.spec import SleepMode
from lull.settings import Mode


def conditions(
    model: ModelView,
    mode: Mode,
    known_s_ago: float | None,
    *,
    now_s: float,
    has_capacity: bool = False,
    sleep: Reason | None = None,
    doze: Reason | None = None,
    budgets: tuple[Condition, ...] = (),
) -> tuple[Condition, ...]:
    """All conditions of one model.

    Args:
        model: what was seen.
        mode: mode in force.
        known_s_ago: seconds since demand was last known; None = never.
        now_s: seconds since 1970.
        has_capacity: whether it is known what a replica can do; told where the spec does not say it.
        sleep: why the model may sleep, or may not; None where sleep is off.
        doze: whether its server can sleep in its pod; None where nobody asks for that.
        budgets: what it is told of budgets.
    """
    hindrance = _hindrance(model, now_s)
    found = [_ready(model, hindrance), _scaling_active(model, mode), _metrics_available(model, known_s_ago)]
    if not model.deployment.spec.capacity.is_stated:
        found.append(_capacity_known(has_capacity))
    if not model.deployment.is_owner and model.target is not None:
        found.append(_drain_missing(model.target.drains))
    if model.front is not None:
        found.append(_route_supported(model.front))
    if sleep is not None:
        found += [_active(model, hindrance), _sleep_allowed(model, sleep)]
    if doze is not None:
        found.append(_doze_supported(model, doze))
    return (*found, *budgets)


def unreadable_conditions(fault: Fault) -> tuple[Condition, ...]:
    """Conditions of an object whose spec cannot be understood."""
    return (
        Condition(ConditionType.READY, ConditionStatus.FALSE, fault.reason, fault.message),
        Condition(
            ConditionType.SCALING_ACTIVE,
            ConditionStatus.FALSE,
            fault.reason,
            "nothing is decided for a spec that cannot be read",
        ),
    )


def blocker(model: ModelView) -> Fault | None:
    """What keeps Lull from scaling the target whatever the mode, if anything."""
    for fault in model.faults:
        if fault.reason is Reason.OBJECT_NOT_OURS:
            return fault
    if model.target is None:
        return _trouble(model)
    if model.holder is not None:
        return Fault(
            Reason.TARGET_TAKEN,
            f"{model.deployment.target} belongs to the older InferenceDeployment {model.holder}; delete one of the two",
        )
    if model.contenders:
        return Fault(
            Reason.TARGET_CONTENDED,
            f"{', '.join(model.contenders)} scales {model.deployment.target} too; "
            "delete it to let Lull scale, or set mode Recommend to compare the two",
        )
    return None


def _ready(model: ModelView, hindrance: Fault | None) -> Condition:
    fault, target = _trouble(model), model.target
    if target is None or fault is not None:
        fault = fault or _no_target(model)
        return Condition(ConditionType.READY, ConditionStatus.FALSE, fault.reason, fault.message)
    if model.is_dozing and model.is_held:
        message = "its server sleeps in its pod; requests wait at the activator and wake it"
        return Condition(ConditionType.READY, ConditionStatus.TRUE, Reason.DOZING, message)
    if target.replicas == 0 and model.is_held:
        message = "no replica runs; requests wait at the activator and wake the model"
        return Condition(ConditionType.READY, ConditionStatus.TRUE, Reason.ASLEEP, message)
    if target.replicas == 0:
        message = f"{model.deployment.target} was scaled to zero; scale it up to serve again"
        return Condition(ConditionType.READY, ConditionStatus.FALSE, Reason.SCALED_TO_ZERO_BY_HAND, message)
    message = f"{target.ready} of {target.replicas} replicas are Ready"
    if hindrance is not None:
        return Condition(
            ConditionType.READY, ConditionStatus.FALSE, hindrance.reason, f"{message}: {hindrance.message}"
        )
    if target.ready == 0:
        return Condition(ConditionType.READY, ConditionStatus.FALSE, Reason.NO_READY_PODS, message)
    reason = Reason.SERVING if target.ready >= target.replicas else Reason.REPLICAS_STARTING
    return Condition(ConditionType.READY, ConditionStatus.TRUE, reason, message)


def _hindrance(model: ModelView, now_s: float) -> Fault | None:
    """Why none of the replicas that are wanted will come, where that is known."""
    if model.target is None or model.target.replicas == 0 or model.target.ready > 0:
        return None
    return blocked_by(model.attempts, model.refusal, now_s)


def _active(model: ModelView, hindrance: Fault | None) -> Condition:
    """Asleep is Ready and not Active."""
    target = model.target
    if target is not None and target.replicas == 0 and model.is_held:
        waiting = f"{model.waiting} requests wait" if model.waiting else "nothing waits"
        message = f"no replica runs; {waiting} at the activator"
        return Condition(ConditionType.ACTIVE, ConditionStatus.FALSE, Reason.ASLEEP, message)
    if model.is_dozing:
        waiting = f"{model.waiting} requests wait" if model.waiting else "nothing waits"
        message = f"its server sleeps in its pod; {waiting} at the activator"
        return Condition(ConditionType.ACTIVE, ConditionStatus.FALSE, Reason.DOZING, message)
    if hindrance is not None:
        return Condition(ConditionType.ACTIVE, ConditionStatus.FALSE, hindrance.reason, hindrance.message)
    if target is None or target.ready == 0:
        message = "no replica is Ready"
        return Condition(ConditionType.ACTIVE, ConditionStatus.FALSE, Reason.NO_READY_PODS, message)
    return Condition(ConditionType.ACTIVE, ConditionStatus.TRUE, Reason.SERVING, "own replicas answer")


def _sleep_allowed(model: ModelView, reason: Reason) -> Condition:
    rule = model.deployment.spec.scale_to_zero
    may = reason in (Reason.MAY_SLEEP, Reason.ASLEEP, Reason.DOZING)
    text = _SLEEP.get(reason, "requests could not wait for a start: see RouteSupported")
    only = "; scaleToZero.mode is Recommend, so it stays awake" if may and rule.mode is SleepMode.RECOMMEND else ""
    status = ConditionStatus.TRUE if may else ConditionStatus.FALSE
    return Condition(ConditionType.SLEEP_ALLOWED, status, reason, f"{text}{only}")


def _doze_supported(model: ModelView, reason: Reason) -> Condition:
    fault = model.doze.fault if model.doze is not None else None
    if reason is Reason.DOZING:
        return Condition(ConditionType.DOZE_SUPPORTED, ConditionStatus.TRUE, reason, "its server sleeps in its pod")
    if fault is not None:
        message = f"{fault.message}; until then its server stays awake, or its pod goes"
        return Condition(ConditionType.DOZE_SUPPORTED, ConditionStatus.FALSE, fault.reason, message)
    if reason is Reason.POWER_UNKNOWN:
        message = (
            "its server can sleep in its pod, and nobody knows what it draws there, so that counts as no saving; "
            "where DCGM exporter tells the power of its GPUs, it is tried and measured"
        )
        return Condition(ConditionType.DOZE_SUPPORTED, ConditionStatus.UNKNOWN, reason, message)
    message = "its server sleeps in its pod where that pays more than to stay awake, or to go"
    return Condition(ConditionType.DOZE_SUPPORTED, ConditionStatus.TRUE, reason, message)


_SLEEP: Final = {
    Reason.DOZING: "nothing is wanted, and its server rests in its pod, which pays more than to have it go",
    Reason.ASLEEP: "it sleeps",
    Reason.MAY_SLEEP: "nothing has been wanted for long enough, and a start is within the hold",
    Reason.START_EXCEEDS_HOLD: "nearly all starts are done only after spec.scaleToZero.holdTimeout, so requests would "
    "wait in vain; raise it, or set allowLongStart to have clients come back later",
    Reason.START_EXCEEDS_IDLE: "a start takes longer than spec.scaleToZero.idle: it would be starting as often as "
    "resting; raise idle",
    Reason.TEMPLATE_PROOF: "the pod template changed, and no replica of the new one has been Ready yet; one is started "
    "to see that it works",
    Reason.SETTLING: "no replica has been Ready for long enough yet",
    Reason.DEMAND_UNKNOWN: "nobody knows whether anything is wanted: see MetricsAvailable",
    Reason.IN_USE: "requests arrive",
    Reason.QUIET_TOO_SHORT: "nothing is wanted, but not for long enough yet",
    Reason.FORECAST_HOLD: "nothing is wanted, but the forecast expects requests before sleep would have paid",
}


def _scaling_active(model: ModelView, mode: Mode) -> Condition:
    blocked = blocker(model)
    if blocked is not None and (mode is Mode.ENFORCE or blocked.reason is not Reason.TARGET_CONTENDED):
        return Condition(ConditionType.SCALING_ACTIVE, ConditionStatus.FALSE, blocked.reason, blocked.message)
    if mode is Mode.ENFORCE and model.scale_fault is not None:
        fault = model.scale_fault
        return Condition(ConditionType.SCALING_ACTIVE, ConditionStatus.FALSE, fault.reason, fault.message)
    if mode is Mode.ENFORCE:
        return Condition(
            ConditionType.SCALING_ACTIVE,
            ConditionStatus.TRUE,
            Reason.ENFORCING,
            f"Lull scales {model.deployment.target}",
        )
    if mode is Mode.PAUSED:
        return Condition(
            ConditionType.SCALING_ACTIVE, ConditionStatus.FALSE, Reason.PAUSED, "mode is Paused: nothing is decided"
        )
    beside = f" beside {', '.join(model.contenders)}" if model.contenders else ""
    message = f"mode is Recommend: Lull decides{beside} and scales nothing"
    return Condition(ConditionType.SCALING_ACTIVE, ConditionStatus.FALSE, Reason.RECOMMENDING, message)


def _metrics_available(model: ModelView, known_s_ago: float | None) -> Condition:
    fault = model.signals.fault
    if fault is None:
        return Condition(
            ConditionType.METRICS_AVAILABLE,
            ConditionStatus.TRUE,
            Reason.SIGNALS_COMPLETE,
            "every Ready pod has a fresh scrape",
        )
    age = "never known yet" if known_s_ago is None else f"last known {_age(known_s_ago)} ago"
    is_early = fault.reason in (Reason.NO_READY_PODS, Reason.AWAITING_FIRST_SCRAPE)
    status = ConditionStatus.UNKNOWN if is_early else ConditionStatus.FALSE
    return Condition(ConditionType.METRICS_AVAILABLE, status, fault.reason, f"{fault.message}; demand {age}")


def _capacity_known(is_known: bool) -> Condition:  # noqa: FBT001 - the only argument, and a claim
    if is_known:
        return Condition(
            ConditionType.CAPACITY_KNOWN,
            ConditionStatus.TRUE,
            Reason.CAPACITY_LEARNED,
            "spec.capacity is not stated; what one replica can do is learned from what replicas do",
        )
    return Condition(
        ConditionType.CAPACITY_KNOWN,
        ConditionStatus.FALSE,
        Reason.CAPACITY_UNKNOWN,
        "spec.capacity is not stated, and no replica has shown for a whole window yet what it can do, so the size is "
        "held; send it requests, or state spec.capacity.requestsPerSecond or spec.capacity.concurrency",
    )


_OUT_OF_PORTS: Final = Fault(
    Reason.HOLDING_PORTS_EXHAUSTED,
    "all ports of the activator stand for other models; widen activator.ports in the chart",
)
"""No part of ``unsupported``: a model that stopped wanting a port for it would never be given one that gets free."""


def _route_supported(front: Front) -> Condition:
    fault = unsupported(front) or (None if front.has_ports else _OUT_OF_PORTS)
    if fault is not None:
        message = f"{fault.message}; until then the model keeps at least one replica"
        return Condition(ConditionType.ROUTE_SUPPORTED, ConditionStatus.FALSE, fault.reason, message)
    message = f"requests to Service {front.service!r} can wait at the activator while no replica is Ready"
    return Condition(ConditionType.ROUTE_SUPPORTED, ConditionStatus.TRUE, Reason.ROUTABLE, message)


def _age(seconds: float) -> str:
    # Rounded so that a lasting fault does not rewrite the status every round.
    if seconds < 60:
        return "less than a minute"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h"


def _drain_missing(drains: bool) -> Condition:  # noqa: FBT001 - the only argument, and a claim
    if drains:
        return Condition(
            ConditionType.DRAIN_MISSING,
            ConditionStatus.FALSE,
            Reason.DRAINS,
            "pods pause in a preStop hook before they stop",
        )
    return Condition(
        ConditionType.DRAIN_MISSING,
        ConditionStatus.TRUE,
        Reason.NO_PRE_STOP,
        "no container has a preStop hook: requests sent while endpoints are updated are lost at every scale-in; "
        "add lifecycle.preStop with a sleep of 5 seconds to the workload",
    )


def _trouble(model: ModelView) -> Fault | None:
    """The worst that is wrong.

    Without a target an adopting model has no other fault worth telling; an owning one has the fault that is why.
    """
    if model.target is None and not (model.deployment.is_owner and model.faults):
        return _no_target(model)
    return next(iter(model.faults), None)


def _no_target(model: ModelView) -> Fault:
    if model.deployment.is_owner:
        return Fault(Reason.TARGET_NOT_FOUND, f"{model.deployment.target} is being created")
    return Fault(
        Reason.TARGET_NOT_FOUND,
        f"spec.scaleTargetRef names {model.deployment.target} ({model.deployment.target.api_version}), "
        "which does not exist here or has no scale subresource; create it or correct the reference",
    )
