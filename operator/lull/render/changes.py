"""What would change a decision next, in sentences with their numbers. Called by ``explanation``."""

from __future__ import annotations

from typing import Final

from lull.model.fleet import Unreadable
from lull.model.plan import Condition, ConditionStatus, ConditionType, Decision, ModelPlan, Trail
from lull.model.reason import Reason
from lull.model.recollection import LayerAccount, Recollection
from lull.model.spec import InferenceDeployment, PredictionMode, SelectPolicy
from lull.render.sentences import number
from lull.settings import Mode

_MENDS: Final = {
    Reason.PAUSED: "set spec.mode to Recommend or Enforce to have sizes decided again",
    Reason.SCALED_TO_ZERO_BY_HAND: "scale the target up by hand, and Lull goes on from there",
    Reason.STEP_LIMITED: "the step policies of spec.behavior allow more when their periods have passed",
    Reason.DIRECTION_DISABLED: "selectPolicy Disabled in spec.behavior closes this direction; change it to open it",
    Reason.CAPACITY_UNKNOWN: "a minute of requests shows what a replica can do; spec.capacity would say it at once",
    Reason.OBJECTIVE_UNREACHABLE: "a faster replica or a longer threshold would make the objective reachable; "
    "more replicas would not",
}


def changes(
    model: InferenceDeployment | Unreadable, concluded: ModelPlan, trail: Trail, remembered: Recollection | None
) -> list[str]:
    """What would change the decision next, what stands in its way first."""
    decision = concluded.decision
    if decision is None or isinstance(model, Unreadable):
        return [c.message for c in concluded.conditions if c.type is ConditionType.READY]
    found = [_in_the_way(concluded, decision), _MENDS.get(decision.reason), _settling(remembered)]
    if decision.reason not in (Reason.PAUSED, Reason.SCALED_TO_ZERO_BY_HAND):
        found += _by_demand(model, concluded, trail)
        found += _by_forecast(model, concluded, remembered)
    return [text for text in found if text]


def thresholds_rps(model: InferenceDeployment, concluded: ModelPlan, trail: Trail) -> tuple[float | None, float | None]:
    """Rates above which the size that was decided would grow, and below which it would shrink; None = unknown or never.

    They are rates to size for: the upper bound of what arrives, and what drains the backlog.
    """
    decision, numbers = concluded.decision, trail.numbers(concluded.key)
    limit_rps = decision.evidence.get("replica_limit_rps") if decision else None
    safe_rps = numbers.get("safe_limit_rps")
    if decision is None or limit_rps is None or safe_rps is None:
        return None, None
    size, rules = decision.after, model.spec.behavior
    may_grow = size < model.spec.max_replicas and rules.scale_up.select_policy is not SelectPolicy.DISABLED
    may_shrink = size > model.spec.min_replicas and rules.scale_down.select_policy is not SelectPolicy.DISABLED
    up_rps = size * limit_rps * (1.0 + numbers.get("up_tolerance", 0.0))
    down_rps = safe_rps * min(size - 1.0, size * (1.0 - numbers.get("down_tolerance", 0.0)))
    return up_rps if may_grow else None, down_rps if may_shrink else None


def duration(seconds: float) -> str:
    """A span of time in its two largest units: ``40 s``, ``3 min 20 s``, ``2 h 5 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s" if whole == seconds or whole >= 10 else f"{number(seconds)} s"
    if whole < 3600:
        return _two(whole // 60, "min", whole % 60, "s")
    minutes = round(seconds / 60)
    if minutes < 1440:
        return _two(minutes // 60, "h", minutes % 60, "min")
    return _two(minutes // 1440, "d", minutes // 60 % 24, "h")


def _two(large: int, of_large: str, small: int, of_small: str) -> str:
    return f"{large} {of_large} {small} {of_small}" if small else f"{large} {of_large}"


def _in_the_way(concluded: ModelPlan, decision: Decision) -> str | None:
    active = _condition(concluded, ConditionType.SCALING_ACTIVE)
    if decision.is_enforced and (active is None or active.status is ConditionStatus.TRUE):
        return None
    if not decision.is_enforced and concluded.mode is Mode.RECOMMEND:
        return "spec.mode Enforce would let Lull scale the target" if decision.is_change else None
    return active.message if active is not None and concluded.mode is not Mode.PAUSED else None


def _settling(remembered: Recollection | None) -> str | None:
    in_s = remembered.settles_in_s if remembered else None
    if in_s is None:
        return None
    return f"the stabilisation window lets more of the change through in {duration(in_s)}, if the need stays as it is"


def _by_demand(model: InferenceDeployment, concluded: ModelPlan, trail: Trail) -> list[str | None]:
    decision = concluded.decision
    assert decision is not None  # noqa: S101 - the caller has looked
    now_rps = decision.evidence.get("sizing_rps")
    if now_rps is None:
        known = _condition(concluded, ConditionType.METRICS_AVAILABLE)
        return [f"while demand is unknown nothing is taken away: {known.message}" if known else None]
    up_rps, down_rps = thresholds_rps(model, concluded, trail)
    size, need = decision.after, int(decision.evidence.get("need", 0.0))
    up = down = None
    if up_rps is not None:
        up = f"above {number(up_rps)} requests/s to size for (now {number(now_rps)}) it grows beyond {size}"
    elif need > model.spec.max_replicas:
        up = f"maxReplicas {model.spec.max_replicas} holds; the need is {need}"
    if down_rps is not None:
        window_s = trail.numbers(concluded.key).get("down_window_s", 0.0)
        stays = f" for {duration(window_s)}" if window_s else ""
        down = f"below {number(down_rps)} requests/s{stays} it shrinks below {size}"
    elif size == model.spec.min_replicas:
        down = f"minReplicas {size} holds from below"
    return [up, down]


def _by_forecast(model: InferenceDeployment, concluded: ModelPlan, remembered: Recollection | None) -> list[str | None]:
    mode, foreseen, decision = model.spec.prediction.mode, concluded.foreseen, concluded.decision
    assert decision is not None  # noqa: S101 - the caller has looked
    if mode is PredictionMode.OFF:
        return ["spec.prediction.mode Recommend would show what the forecast asks for"]
    if foreseen is None:
        return ["the forecast speaks as soon as it has learned some steps"]
    if mode is PredictionMode.RECOMMEND and foreseen.start_to > decision.after:
        return [f"spec.prediction.mode Enforce would have {foreseen.start_to} replicas started ahead"]
    if mode is PredictionMode.RECOMMEND and decision.after < min(foreseen.keep_to, decision.before):
        return [f"spec.prediction.mode Enforce would keep {min(foreseen.keep_to, decision.before)} replicas"]
    return [_held(decision, remembered), _coming(decision, remembered, model.spec.max_replicas)]


def _held(decision: Decision, remembered: Recollection | None) -> str | None:
    """What the replica that would go first is held for."""
    last = _layer(remembered, decision.after)
    if decision.reason is not Reason.FORECAST_HOLD or last is None or last.worth_s is None or last.gap_s is None:
        return None
    return (
        f"replica {last.number} was needed last {duration(last.gap_s)} ago; a start and what is missed meanwhile cost "
        f"as much as holding it for {duration(last.worth_s)}"
    )


def _coming(decision: Decision, remembered: Recollection | None, most: int) -> str | None:
    """How likely the next replica is needed."""
    coming = _layer(remembered, decision.after + 1)
    if coming is None or coming.chance is None or decision.after >= most:
        return None
    return f"replica {coming.number} is needed before a start would be ready with a chance of {percent(coming.chance)}"


def percent(ratio: float) -> str:
    """A share in percent; what is small and not zero is told as such."""
    return f"{number(100.0 * ratio)} %" if ratio == 0.0 or ratio >= 0.001 else "less than 0.1 %"


def _layer(remembered: Recollection | None, wanted: int) -> LayerAccount | None:
    return next((layer for layer in remembered.layers if layer.number == wanted), None) if remembered else None


def _condition(concluded: ModelPlan, kind: ConditionType) -> Condition | None:
    return next((c for c in concluded.conditions if c.type is kind), None)
