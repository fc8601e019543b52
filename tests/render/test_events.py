"""Events are told on change only: what went wrong, what came right, and what was done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import Story, a_model, a_view, plan_of, silence, some_signals
from lull.model.fleet import Fault, ModelView
from lull.model.plan import Condition, ConditionStatus, ConditionType, ModelPlan
from lull.model.reason import Reason
from lull.model.spec import Key
from lull.render.events import Event, events_of
from lull.render.status import status_of
from lull.settings import Mode

HPA = ("HorizontalPodAutoscaler/chat",)
CALM = a_view(replicas=2, signals=some_signals(5.0))


def planned(view: ModelView, mode: Mode = Mode.ENFORCE) -> ModelPlan:
    return plan_of(view, mode=mode).models[view.key]


def status_after(plan: ModelPlan) -> dict[str, Any]:
    return status_of(plan, generation=1, ready=2, before={}, now="2026-01-01T00:00:00Z")


def told(before: ModelView, after: ModelView, *, scaled: bool = False, mode: Mode = Mode.ENFORCE) -> list[Event]:
    return events_of(planned(after, mode), status_after(planned(before, mode)), scaled)


# Decisions.


def test_a_scaling_that_was_carried_out_is_told() -> None:
    (event,) = told(CALM, a_view(replicas=2, signals=some_signals(30.0)), scaled=True)
    assert (event.is_warning, event.reason) == (False, Reason.DEMAND_RISE)
    assert event.message.endswith("scale from 2 to 5")


def test_a_scaling_that_was_not_carried_out_is_not_told() -> None:
    assert told(CALM, a_view(replicas=2, signals=some_signals(30.0))) == []


def test_new_advice_is_told_once() -> None:
    rising = a_view(replicas=2, signals=some_signals(30.0))
    (event,) = told(CALM, rising, mode=Mode.RECOMMEND)
    assert "would scale from 2 to 5" in event.message
    assert told(rising, rising, mode=Mode.RECOMMEND) == []


def test_other_advice_is_told_again() -> None:
    rising, more = (a_view(replicas=2, signals=some_signals(rps)) for rps in (30.0, 60.0))
    (event,) = told(rising, more, mode=Mode.RECOMMEND)
    assert "would scale from 2 to" in event.message


def test_no_change_is_no_event() -> None:
    assert told(CALM, CALM) == []
    assert told(CALM, CALM, mode=Mode.RECOMMEND) == []


# Conditions.

WRONGS = [
    pytest.param({"replicas": 2, "ready": 0}, ConditionType.READY, Reason.NO_READY_PODS, id="no pod is Ready"),
    pytest.param({"replicas": 0}, ConditionType.READY, Reason.SCALED_TO_ZERO_BY_HAND, id="scaled to zero"),
    pytest.param(
        {"faults": (Fault(Reason.TEMPLATE_REFUSED, "x"),)},
        ConditionType.READY,
        Reason.TEMPLATE_REFUSED,
        id="the template is refused",
    ),
    pytest.param(
        {"signals": silence(Reason.NO_DATA)}, ConditionType.METRICS_AVAILABLE, Reason.NO_DATA, id="metrics are missing"
    ),
    pytest.param({"drains": False}, ConditionType.DRAIN_MISSING, Reason.NO_PRE_STOP, id="the drain is missing"),
    pytest.param({"contenders": HPA}, ConditionType.SCALING_ACTIVE, Reason.TARGET_CONTENDED, id="an HPA came"),
    pytest.param({"holder": Key("a", "b")}, ConditionType.SCALING_ACTIVE, Reason.TARGET_TAKEN, id="it is taken"),
]


def a_wrong(**seen: Any) -> ModelView:
    return a_view(**{"replicas": 2, "signals": some_signals(5.0)} | seen)


@pytest.mark.parametrize(("seen", "kind", "reason"), WRONGS)
def test_what_went_wrong_is_a_warning_once(seen: dict[str, Any], kind: ConditionType, reason: Reason) -> None:
    (event,) = told(CALM, a_wrong(**seen))
    assert (event.is_warning, event.reason) == (True, reason)
    assert event.message.startswith(f"{kind}: ")
    assert told(a_wrong(**seen), a_wrong(**seen)) == []


@pytest.mark.parametrize(("seen", "kind", "reason"), WRONGS)
def test_what_came_right_is_told(seen: dict[str, Any], kind: ConditionType, reason: Reason) -> None:
    (event,) = told(a_wrong(**seen), CALM)
    assert not event.is_warning
    assert event.message.startswith(f"{kind}: ")
    assert event.reason is not reason


def test_going_wrong_in_another_way_is_told() -> None:
    (event,) = told(a_wrong(signals=silence(Reason.NO_DATA)), a_wrong(signals=silence(Reason.PROMETHEUS_UNREACHABLE)))
    assert (event.is_warning, event.reason) == (True, Reason.PROMETHEUS_UNREACHABLE)


def test_the_same_wrong_in_other_words_is_not_told() -> None:
    first = a_wrong(signals=silence(Reason.NO_DATA))
    (message,) = (c.message for c in planned(first).conditions if c.type is ConditionType.METRICS_AVAILABLE)
    before = status_after(planned(first))
    for condition in before["conditions"]:
        condition["message"] = condition["message"].replace(message, f"{message}, still")
    assert events_of(planned(first), before, scaled=False) == []


@pytest.mark.parametrize("early", [Reason.NO_READY_PODS, Reason.AWAITING_FIRST_SCRAPE])
def test_from_wrong_to_unknown_is_no_recovery(early: Reason) -> None:
    kinds = [e.message for e in told(a_wrong(signals=silence(Reason.NO_DATA)), a_wrong(signals=silence(early)))]
    assert not any(message.startswith("MetricsAvailable") for message in kinds)


@pytest.mark.parametrize("mode", [Mode.RECOMMEND, Mode.PAUSED])
def test_another_mode_is_no_warning(mode: Mode) -> None:
    view = CALM
    assert events_of(planned(view, mode), status_after(planned(view)), scaled=False) == []


def test_that_a_new_model_is_not_ready_yet_is_no_news() -> None:
    fresh = a_view(replicas=1, ready=0, signals=silence(Reason.NO_READY_PODS))
    assert events_of(planned(fresh), {}, scaled=False) == []


def test_that_a_new_models_target_is_missing_is_news_once() -> None:
    """Whoever misspelt the reference shall see it; an owned Deployment is made before the first look."""
    missing = a_view(replicas=None, signals=silence(Reason.NO_READY_PODS))
    first = events_of(planned(missing), {}, scaled=False)
    assert len(first) <= 1
    assert events_of(planned(missing), status_after(planned(missing)), scaled=False) == []


def test_what_is_wrong_with_a_new_model_is_told() -> None:
    events = events_of(planned(a_wrong(drains=False)), {}, scaled=False)
    assert [event.reason for event in events] == [Reason.NO_PRE_STOP]


def test_a_calm_day_has_no_events() -> None:
    story, before, events = Story(a_model(), replicas=2), {}, []
    for rps in (5.0, 5.3, 4.8, 5.1, 5.0):
        story.goes_on(some_signals(rps))
        plan = story.plans[-1]
        events += events_of(plan, before, scaled=False)
        before = status_of(plan, generation=1, ready=2, before=before, now="2026-01-01T00:00:00Z")
    assert events == []


@pytest.mark.parametrize("kind", list(ConditionType), ids=str)
@pytest.mark.parametrize("status", list(ConditionStatus), ids=str)
def test_each_condition_may_come_and_change(kind: ConditionType, status: ConditionStatus) -> None:
    """At most one Event, and a warning only of what is not as it should be."""
    plan = planned(CALM)
    condition = Condition(kind, status, Reason.STEADY, "as it is")
    before = {"conditions": [{"type": str(kind), "status": "Unknown", "reason": "Steady"}]}
    events = events_of(replace(plan, conditions=(condition,), decision=None), before, scaled=False)
    assert len(events) <= 1
    assert not any(event.is_warning for event in events if kind in (ConditionType.ACTIVE, ConditionType.SLEEP_ALLOWED))


def test_a_refused_sleep_is_a_warning_but_of_a_new_model() -> None:
    refused = Condition(ConditionType.SLEEP_ALLOWED, ConditionStatus.FALSE, Reason.START_EXCEEDS_HOLD, "too long")
    plan = replace(planned(CALM), conditions=(refused,), decision=None)
    earlier = {"type": "SleepAllowed", "status": "True", "reason": "MaySleep"}
    assert events_of(plan, {}, scaled=False) == []
    (event,) = events_of(plan, {"conditions": [earlier]}, scaled=False)
    assert (event.is_warning, event.reason) == (True, Reason.START_EXCEEDS_HOLD)
