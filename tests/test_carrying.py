"""What a replica can be given, from a spec to a decision: stated, learned, or neither."""

from __future__ import annotations

import numpy as np
import pytest

from builders import Story, a_glimpse, a_model, a_view, plan_of, silence, some_settings, some_signals
from explained import explained
from lull.adapters.exposition import Exposition
from lull.model.fleet import Signals
from lull.model.plan import ConditionStatus, ConditionType
from lull.model.reason import Reason
from lull.model.spec import Key
from lull.render.events import events_of
from lull.render.status import status_of
from lull.settings import Mode

QUICK = {"scaleDown": {"stabilizationWindowSeconds": 0}}
VLLM = {"runtime": "vllm", "modelName": "chat"}


def a_free_story(replicas: int = 4, **spec: object) -> Story:
    """A model that states no capacity, watched from nothing."""
    return Story(a_model(**{"capacity": None, "maxReplicas": 100, "behavior": QUICK} | spec), replicas=replicas)


def capacity_known(story: Story) -> tuple[ConditionStatus, Reason]:
    (found,) = (c for c in story.plans[-1].conditions if c.type is ConditionType.CAPACITY_KNOWN)
    return found.status, found.reason


@pytest.mark.parametrize("rps", [0.0, 5.0, 500.0])
def test_a_capacity_nobody_knows_holds_the_size_and_says_how_to_state_it(rps: float) -> None:
    story = a_free_story()
    decision = story.goes_on(some_signals(rps, service_time_s=None), for_s=1000.0)
    assert set(story.sizes) == {4}
    assert decision.reason is Reason.CAPACITY_UNKNOWN
    assert capacity_known(story) == (ConditionStatus.FALSE, Reason.CAPACITY_UNKNOWN)
    assert "capacity_rps" not in decision.evidence


def test_a_capacity_that_is_not_stated_is_learned_from_the_time_of_work() -> None:
    """40 requests a second of 0.1 s on 8 replicas that work on one at a time, with the queue that makes."""
    story = a_free_story(replicas=8)
    story.goes_on(some_signals(40.0, waiting=4.0), for_s=60.0)
    assert set(story.sizes) == {8}, "a whole window is watched first"
    decision = story.goes_on(some_signals(40.0, waiting=4.0), for_s=120.0)
    assert decision.evidence["capacity_rps"] == pytest.approx(10.0)
    assert "capacity_prior_rps" not in decision.evidence
    assert decision.evidence["capacity_windows"] > 1.0
    assert capacity_known(story) == (ConditionStatus.TRUE, Reason.CAPACITY_LEARNED)


def test_replicas_that_work_on_many_at_a_time_are_not_multiplied_when_they_are_adopted() -> None:
    """One at a time would make sixteen times as many of them."""
    story = a_free_story(replicas=4)
    story.goes_on(some_signals(160.0, service_time_s=0.2), for_s=600.0)
    assert max(story.sizes) <= 6
    assert story.latest.evidence["capacity_rps"] == pytest.approx(40.0, rel=0.1)


def test_what_was_learned_without_a_statement_lasts_through_silence_and_idle_hours() -> None:
    story = a_free_story(replicas=8)
    story.goes_on(some_signals(40.0, waiting=4.0), for_s=200.0)
    story.goes_on(silence(), for_s=600.0)
    story.goes_on(some_signals(0.0, service_time_s=None), for_s=3600.0)
    assert story.replicas == 1
    assert story.latest.evidence["capacity_rps"] == pytest.approx(10.0)


def test_a_server_of_tokens_is_unknown_until_its_own_law_is_known() -> None:
    story = a_free_story(server=VLLM)
    story.goes_on(some_signals(5.0, service_time_s=10.0), for_s=600.0)
    assert set(story.sizes) == {4}
    assert story.latest.reason is Reason.CAPACITY_UNKNOWN


def overloaded(rps: float = 8.0) -> Signals:
    """Four replicas that do two requests a second each, with a queue that grows."""
    return some_signals(rps, waiting=200.0, backlog_growth_rps=1.0)


def test_a_prior_that_is_too_high_is_mended_by_overload() -> None:
    story = Story(a_model(capacity={"requestsPerSecond": 20}, mode="Recommend", maxReplicas=100), replicas=4)
    first = story.goes_on(overloaded()).evidence["need"]
    decision = story.goes_on(overloaded(), for_s=900.0)
    assert decision.evidence["capacity_rps"] == pytest.approx(2.0, rel=0.3)
    assert decision.evidence["capacity_prior_rps"] == pytest.approx(20.0)
    assert decision.evidence["need"] > 4.0 * first


@pytest.mark.parametrize("signals", [silence(), a_glimpse(8.0)], ids=["nothing", "a part"])
def test_what_is_not_whole_teaches_nothing(signals: Signals) -> None:
    story = Story(a_model(capacity={"requestsPerSecond": 20}, mode="Recommend"), replicas=4)
    story.goes_on(signals, for_s=3600.0)
    assert story.goes_on(some_signals(0.0)).evidence["capacity_rps"] == 20.0


@pytest.mark.parametrize("runtime", ["triton", "mlserver"])
def test_a_concurrency_that_does_more_works_on_more_and_is_no_faster(runtime: str) -> None:
    server = {"runtime": runtime, "modelName": "chat"}
    story = Story(a_model(capacity={"concurrency": 2}, server=server, mode="Recommend"), replicas=2)
    decision = story.goes_on(some_signals(80.0, service_time_s=0.7), for_s=300.0)
    assert decision.evidence["capacity_rps"] > 1.2 * 2 / 0.7
    assert decision.reason is not Reason.OBJECTIVE_UNREACHABLE


def test_a_queue_within_what_is_in_flight_is_seen_without_a_stated_capacity() -> None:
    """MLServer tells queue and work together, and a time of work that contains the wait."""
    server = {"runtime": "mlserver", "modelName": "chat"}
    story = a_free_story(server=server, mode="Recommend")
    calm = some_signals(20.0, waiting=None, in_flight=2.0, has_wait_in_service=True)
    story.goes_on(calm, for_s=200.0)
    full = some_signals(30.0, waiting=None, in_flight=90.0, has_wait_in_service=True, service_time_s=3.0)
    story.goes_on(full)
    assert story.plans[-1].demand.backlog == pytest.approx(86.0, abs=1.0)
    assert story.plans[-1].demand.service_time_s == pytest.approx(0.1, rel=0.02)


def test_that_a_capacity_came_to_be_known_is_an_event_and_that_a_new_one_is_not_yet_is_none() -> None:
    story = a_free_story(replicas=8)
    story.goes_on(some_signals(40.0, waiting=4.0))
    assert events_of(story.plans[0], {}, scaled=False) == []
    unknown = status_of(story.plans[0], generation=1, ready=8, before={}, now="now")
    story.goes_on(some_signals(40.0, waiting=4.0), for_s=200.0)
    (event,) = events_of(story.plans[-1], unknown, scaled=False)
    assert (event.is_warning, event.reason) == (False, Reason.CAPACITY_LEARNED)
    known = status_of(story.plans[-1], generation=1, ready=8, before=unknown, now="now")
    (event,) = events_of(story.plans[0], known, scaled=False)
    assert (event.is_warning, event.reason) == (True, Reason.CAPACITY_UNKNOWN)


def test_models_learn_apart() -> None:
    plan = plan_of(
        a_view(a_model("stated"), signals=some_signals(5.0)),
        a_view(a_model("free", capacity=None), signals=some_signals(5.0)),
    )
    found = {key.name: model.decision.evidence for key, model in plan.models.items() if model.decision}
    assert found["stated"]["capacity_rps"] == 10.0
    assert "capacity_rps" not in found["free"]


def test_the_window_tells_the_revision_and_what_is_stated() -> None:
    window = plan_of(
        a_view(a_model("a")), a_view(a_model("b", capacity={"concurrency": 3}), replicas=None)
    ).lesson.window
    assert (window.stated.tolist(), window.revision.tolist()) == (["10 a second"], [""])
    assert window.span_s == some_settings().rate_window_s


def test_the_learned_capacity_is_explained_and_exported() -> None:
    story = Story(a_model(mode="Recommend"), replicas=2)
    story.goes_on(some_signals(40.0), for_s=200.0)
    evidence = explained(story, some_signals(40.0))["decision"]["evidence"]
    assert evidence["capacity_rps"] > 15.0
    assert evidence["capacity_prior_rps"] == 10.0
    exposition = Exposition(api=_NoRequests())  # type: ignore[arg-type]
    exposition.plan = story.look(some_signals(40.0))
    decision = exposition.plan.models[Key("demo", "chat")].decision
    assert decision is not None
    line = 'lull_model_capacity_requests_per_second{name="chat",namespace="demo"}'
    (told,) = (text for text in exposition.text().decode().splitlines() if text.startswith(line))
    assert float(told.split()[-1]) == pytest.approx(decision.evidence["capacity_rps"])


class _NoRequests:
    requests: dict[tuple[str, str, str], int] = {}  # noqa: RUF012 - never written


def test_paused_and_recommend_learn_as_enforce_does() -> None:
    found = []
    for mode in Mode:
        story = Story(a_model(mode=str(mode), maxReplicas=2), replicas=2)
        story.goes_on(some_signals(40.0), for_s=300.0)
        found.append(story.latest.evidence["capacity_rps"])
    assert np.ptp(found) < 1e-9
    assert found[0] > 15.0
