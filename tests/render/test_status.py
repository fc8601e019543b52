"""The status: what the CRD says it is, with the times of what did not change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from builders import Story, a_glimpse, a_model, a_view, plan_of, silence, some_signals
from lull.cycle import plan_cycle
from lull.model.fleet import Fault, LastAwake, ModelView, Snapshot, Unreadable
from lull.model.plan import ModelPlan
from lull.model.reason import Reason
from lull.model.route import Front
from lull.model.spec import Key
from lull.model.start import Startup
from lull.render.status import state_of, status_of

CRD = yaml.safe_load((Path(__file__).parents[2] / "crds" / "inferencedeployments.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T09:00:00Z"


def planned(view: ModelView | None = None) -> ModelPlan:
    view = view or a_view(replicas=2, signals=some_signals(30.0, waiting=2.0))
    return plan_of(view).models[view.key]


def rendered(plan: ModelPlan, before: dict[str, Any] | None = None, now: str = EARLY, **rest: Any) -> dict[str, Any]:
    return status_of(plan, **{"generation": 3, "ready": 2, "before": before or {}, "now": now} | rest)


def closed(schema: Any) -> Any:
    """The schema with unknown names refused, as the API server prunes them."""
    if not isinstance(schema, dict):
        return schema
    found = {
        name: {k: closed(v) for k, v in child.items()} if name == "properties" else closed(child)
        for name, child in schema.items()
    }
    return found | ({"additionalProperties": False} if "properties" in schema else {})


def leaves(node: Any) -> Iterator[Any]:
    if isinstance(node, dict | list):
        for child in node.values() if isinstance(node, dict) else node:
            yield from leaves(child)
    else:
        yield node


VIEWS = {
    "rising": a_view(replicas=2, signals=some_signals(30.0, waiting=2.0)),
    "silent": a_view(replicas=2, signals=silence()),
    "partial": a_view(replicas=2, signals=a_glimpse(3.0)),
    "at zero": a_view(replicas=0),
    "without a target": a_view(replicas=None),
    "sleepy": a_view(replicas=3, signals=some_signals(5.0), front=Front("chat", None), last_awake=LastAwake(1, "abc")),
    "contended": a_view(contenders=("HorizontalPodAutoscaler/chat",)),
    "not draining": a_view(drains=False),
    "with a concurrency": a_view(
        a_model(capacity={"concurrency": 4}), signals=some_signals(3.0, service_time_s=0.1041)
    ),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_status_is_what_the_crd_says(view: ModelView) -> None:
    status = rendered(planned(view))
    jsonschema.Draft7Validator(closed(SCHEMA)).validate(status)
    assert all(type(leaf) in (str, int) for leaf in leaves(status)), "plain values, ready for any encoder"
    assert json.loads(json.dumps(status)) == status


def test_a_broken_spec_has_a_status_too() -> None:
    broken = Unreadable(Key("demo", "chat"), "uid", 3, Fault(Reason.SPEC_UNREADABLE, "no runtime"))
    story = Story()
    plan = plan_cycle(Snapshot((), (broken,)), story.memory, story.settings, story.now_s).models[broken.key]
    status = rendered(plan, ready=None)
    jsonschema.Draft7Validator(closed(SCHEMA)).validate(status)
    assert "replicas" not in status
    assert [c["reason"] for c in status["conditions"]] == ["SpecUnreadable"] * 2


def test_a_status_tells_sizes_demand_and_decision() -> None:
    status = rendered(planned())
    assert status["observedGeneration"] == 3
    assert status["mode"] == "Enforce"
    assert status["replicas"] == {"current": 2, "ready": 2, "desired": 5}
    assert status["demand"] == {"requestsPerSecond": "30", "backlog": "2", "serviceTime": "100ms"}
    assert status["decision"]["reason"] == "DemandRise"
    assert status["decision"]["message"].endswith("scale from 2 to 5")
    assert status["decision"]["at"] == EARLY
    assert status["decision"]["evidence"]["need"] == "5"


def test_the_unknown_is_absent() -> None:
    status = rendered(planned(VIEWS["silent"]))
    assert "demand" not in status
    assert "arrivals_rps" not in status["decision"]["evidence"]


def test_demand_of_nothing_is_told_as_nothing() -> None:
    assert rendered(planned(a_view(signals=some_signals(0.0))))["demand"]["requestsPerSecond"] == "0"


def test_without_a_target_there_are_no_replicas() -> None:
    status = rendered(planned(VIEWS["without a target"]), ready=None)
    assert "replicas" not in status
    assert "decision" not in status


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_the_same_plan_later_is_the_same_status(view: ModelView) -> None:
    """Or every round would write every status."""
    first = rendered(planned(view))
    assert rendered(planned(view), before=first, now=LATE) == first


def test_what_a_sleeper_has_to_know_outlives_a_round_in_which_nothing_is_known() -> None:
    """An apply takes away what it no longer names."""
    first = rendered(planned(VIEWS["sleepy"]))
    assert first["lastAwake"] == {"replicas": 3, "template": "abc"}
    lost = rendered(planned(VIEWS["without a target"]), before=first, ready=None)
    assert lost["lastAwake"] == first["lastAwake"]
    assert "lastAwake" not in rendered(planned())


def test_what_a_sleeper_has_to_know_is_written_at_once() -> None:
    first = rendered(planned(VIEWS["sleepy"]))
    assert state_of(first) != state_of(first | {"lastAwake": {"replicas": 3, "template": "xyz"}})


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = (c for c in status["conditions"] if c["type"] == kind)
    return dict(found)


def test_a_condition_that_turned_has_a_new_time_and_others_keep_theirs() -> None:
    before = rendered(planned())
    after = rendered(planned(VIEWS["silent"]), before=before, now=LATE)
    assert condition(after, "MetricsAvailable")["lastTransitionTime"] == LATE
    assert condition(after, "Ready")["lastTransitionTime"] == EARLY


def test_a_condition_with_another_reason_keeps_its_time() -> None:
    """The time is that of the status' last turn, as everywhere in Kubernetes."""
    before = rendered(planned(a_view(signals=silence(Reason.NO_DATA))))
    after = rendered(planned(a_view(signals=silence(Reason.PROMETHEUS_UNREACHABLE))), before=before, now=LATE)
    assert condition(after, "MetricsAvailable")["reason"] == "PrometheusUnreachable"
    assert condition(after, "MetricsAvailable")["lastTransitionTime"] == EARLY


def test_every_condition_speaks_of_the_generation_it_was_concluded_from() -> None:
    assert {c["observedGeneration"] for c in rendered(planned(), generation=8)["conditions"]} == {8}


@pytest.mark.parametrize(
    ("rps", "at"),
    [
        pytest.param(30.4, EARLY, id="the same size for the same reason"),
        pytest.param(45.0, LATE, id="another size"),
        pytest.param(8.0, LATE, id="another reason"),
    ],
)
def test_a_decision_is_as_old_as_its_form(rps: float, at: str) -> None:
    before = rendered(planned())
    after = rendered(planned(a_view(replicas=2, signals=some_signals(rps))), before=before, now=LATE)
    assert after["decision"]["at"] == at


@pytest.mark.parametrize("before", [{}, {"conditions": None}, {"decision": None, "replicas": None}])
def test_a_status_that_somebody_emptied_is_filled_again(before: dict[str, Any]) -> None:
    assert rendered(planned(), before=before) == rendered(planned())


# What is written at once.


def test_telemetry_alone_is_no_other_state() -> None:
    one = rendered(planned(a_view(replicas=1, signals=some_signals(5.0, waiting=0.2))))
    other = rendered(planned(a_view(replicas=1, signals=some_signals(5.9, service_time_s=0.2))))
    assert one != other
    assert state_of(one) == state_of(other)


CALM = a_view(replicas=2, signals=some_signals(5.0))


@pytest.mark.parametrize(
    ("view", "rest"),
    [
        pytest.param(CALM, {"generation": 4}, id="another generation"),
        pytest.param(CALM, {"ready": 1}, id="another number of Ready replicas"),
        pytest.param(a_view(replicas=3, signals=some_signals(5.0)), {}, id="another size"),
        pytest.param(a_view(replicas=2, signals=some_signals(30.0)), {}, id="another wish"),
        pytest.param(a_view(a_model(mode="Paused"), replicas=2, signals=some_signals(5.0)), {}, id="another mode"),
        pytest.param(a_view(replicas=2, signals=silence()), {}, id="another condition"),
        pytest.param(a_view(replicas=2, ready=1, signals=some_signals(5.0)), {}, id="another reason of a condition"),
    ],
)
def test_another_state_is_written_at_once(view: ModelView, rest: dict[str, Any]) -> None:
    assert state_of(rendered(planned(view), **rest)) != state_of(rendered(planned(CALM)))


@pytest.mark.parametrize("status", [{}, {"conditions": None, "decision": None}])
def test_the_state_of_an_empty_status_is_none_of_ours(status: dict[str, Any]) -> None:
    assert state_of(status) == state_of({})
    assert state_of(status) != state_of(rendered(planned()))


def test_the_state_survives_the_way_through_the_api_server() -> None:
    """What is compared is what was written and what was read back."""
    status = rendered(planned())
    assert state_of(json.loads(json.dumps(status))) == state_of(status)


def test_what_is_known_of_starts_is_told_and_kept_while_nothing_is() -> None:
    plan = replace(planned(), startup=Startup(8.25, 14.0, "1 2 3"))
    told = rendered(plan)
    assert told["startup"] == {"p50": "8.25s", "p95": "14s", "learned": "1 2 3"}
    jsonschema.validate(told, closed(SCHEMA))
    after = rendered(planned(), before=told)
    assert after["startup"] == told["startup"], "a new leader has seen no start yet"
