"""Prometheus' rows, joined to models through their pods."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from builders import START_S, a_model, some_settings
from lull.adapters.prometheus import Answer, Row
from lull.adapters.telemetry import Name, Pods, read_signals
from lull.errors import BadAnswer, LullError, Unreachable
from lull.model.fleet import Signals
from lull.model.reason import Reason
from lull.model.spec import InferenceDeployment, Runtime
from told import MLSERVER, TRITON, Told, World, a_pod, of_both, read, rows

GENERIC = {"runtime": "generic", "queries": {"requestsPerSecond": "sum(rate(done[1m]))", "backlog": "sum(queue)"}}


def test_triton_is_summed_over_its_pods() -> None:
    world = World().tell(
        completions=of_both(20.0),
        busy=of_both(0.5),
        waiting=of_both(3.0),
        growth=of_both(1.0),
        recent_completions=of_both(30.0),
        recent_growth=of_both(2.0),
    )
    assert world.signals() == Signals(
        completions_rps=40.0,
        waiting=6.0,
        in_flight=None,
        backlog_growth_rps=2.0,
        recent_rps=64.0,
        service_time_s=0.025,
        age_s=7.0,
    )


def test_mlserver_tells_what_is_in_flight_for_the_whole_server() -> None:
    in_flight, growth = rows({"a": 26.0, "b": 4.0}, model=None), rows({"a": 1.0, "b": 0.5}, model=None)
    world = World(Runtime.MLSERVER).tell(
        completions=of_both(5.0), busy=of_both(0.5), in_flight=in_flight, growth=growth
    )
    found = world.signals()
    assert (found.completions_rps, found.in_flight, found.waiting) == (10.0, 30.0, None)
    assert (found.backlog_growth_rps, found.service_time_s, found.fault) == (1.5, 0.1, None)
    assert found.has_wait_in_service


def test_a_scraped_mlserver_without_any_count_has_served_nothing_yet() -> None:
    """Its series appear with the first request."""
    found = World(Runtime.MLSERVER).signals()
    assert (found.completions_rps, found.fault) == (0.0, None)
    assert found.service_time_s is None


def test_a_pod_without_a_count_beside_one_that_counts_has_served_nothing() -> None:
    found = World(Runtime.MLSERVER).tell(completions=rows({"a": 5.0}), busy=rows({"a": 0.5})).signals()
    assert (found.completions_rps, found.service_time_s) == (5.0, 0.1)


def test_other_models_on_the_same_server_are_not_ours() -> None:
    others = rows({"a": 100.0, "b": 100.0}, model="other")
    found = World().tell(completions=[*of_both(5.0), *others], busy=[*of_both(0.5), *others]).signals()
    assert (found.completions_rps, found.service_time_s) == (10.0, 0.1)


def test_other_pods_are_not_ours() -> None:
    foreign = [*rows({"c": 100.0}), *rows({"a": 100.0}, namespace="elsewhere")]
    assert World().tell(completions=[*of_both(5.0), *foreign]).signals().completions_rps == 10.0


def test_requests_of_pods_that_went_are_still_in_the_rates() -> None:
    world = World().tell(completions=rows({"a": 5.0, "b": 5.0, "gone": 5.0}), busy=rows({"gone": 1.5}))
    world.pods = Pods(world.pods.live, [a_pod("gone", ready_for_s=None)])
    found = world.signals()
    assert (found.completions_rps, found.service_time_s) == (15.0, 0.1)


def test_the_queue_of_a_pod_that_went_is_gone_with_it() -> None:
    world = World().tell(completions=of_both(5.0), waiting=rows({"a": 1.0, "gone": 50.0}), growth=rows({"gone": -9.0}))
    world.pods = Pods(world.pods.live, [a_pod("gone", ready_for_s=None)])
    found = world.signals()
    assert (found.waiting, found.backlog_growth_rps) == (1.0, None)


def test_a_pod_on_its_way_out_still_counts() -> None:
    leaving = a_pod("b", ready_for_s=None)
    found = World(ready=[a_pod("a"), leaving]).tell(completions=of_both(5.0), waiting=of_both(2.0)).signals()
    assert (found.completions_rps, found.waiting, found.fault) == (10.0, 4.0, None)


@pytest.mark.parametrize("busy", [0.0, -1e-9])
def test_no_work_at_all_gives_no_service_time(busy: float) -> None:
    """The difference of two extrapolated rates may fall a hair below zero."""
    assert World().tell(completions=of_both(5.0), busy=of_both(busy)).signals().service_time_s is None


def test_recent_demand_is_never_negative() -> None:
    world = World().tell(completions=of_both(5.0), recent_completions=of_both(1.0), recent_growth=of_both(-9.0))
    assert world.signals().recent_rps == 0.0


def test_the_age_is_that_of_the_oldest_of_the_newest_scrapes() -> None:
    assert World().ages(a=2.0, b=31.0).tell(completions=of_both(5.0)).signals().age_s == 31.0


# Coverage: whose numbers are missing.


def test_without_ready_pods_nothing_can_be_measured() -> None:
    fault = World(ready=[a_pod("a", ready_for_s=None)]).tell(completions=of_both(5.0)).signals().fault
    assert fault is not None
    assert fault.reason is Reason.NO_READY_PODS


@pytest.mark.parametrize("ages", [{}, {"a": 61.0, "b": 400.0}], ids=["never scraped", "scraped long ago"])
def test_without_a_fresh_scrape_nothing_is_known(ages: dict[str, float]) -> None:
    found = World().ages(**ages).tell(completions=of_both(5.0)).signals()
    assert found.completions_rps is None
    assert found.fault is not None
    assert found.fault.reason is Reason.NO_DATA
    assert "no scrape of a, b within 60 s" in found.fault.message


@pytest.mark.parametrize("ages", [{"a": 4.0}, {"a": 4.0, "b": 61.0}], ids=["never scraped", "scraped long ago"])
def test_a_ready_pod_without_a_fresh_scrape_makes_the_sums_partial(ages: dict[str, float]) -> None:
    found = World().ages(**ages).tell(completions=rows({"a": 5.0})).signals()
    assert found.completions_rps == 5.0
    assert found.fault is not None
    assert found.fault.reason is Reason.PARTIAL_DATA
    assert "1 of 2 Ready pods" in found.fault.message
    assert "no scrape of b" in found.fault.message


def test_a_scrape_as_old_as_allowed_is_fresh() -> None:
    assert World().ages(a=60.0, b=60.0).tell(completions=of_both(5.0)).signals().fault is None


def test_a_pod_ready_a_moment_ago_had_no_time_to_be_scraped() -> None:
    world = World(ready=[a_pod("a"), a_pod("b", ready_for_s=20.0)])
    assert world.ages(a=4.0).tell(completions=rows({"a": 5.0})).signals().fault is None


def test_pods_that_are_all_ready_a_moment_ago_await_their_first_scrape() -> None:
    world = World(ready=[a_pod("a", ready_for_s=5.0), a_pod("b", ready_for_s=5.0)])
    found = world.ages().signals()
    assert found.completions_rps is None
    assert found.fault is not None
    assert found.fault.reason is Reason.AWAITING_FIRST_SCRAPE


def test_a_pod_that_was_scraped_once_has_no_rate_yet() -> None:
    """A rate takes two scrapes; until then nothing is wrong with the model's name."""
    world = World(ready=[a_pod("a", ready_for_s=12.0)]).ages(a=2.0)
    found = world.signals()
    assert found.completions_rps is None
    assert found.fault is not None
    assert found.fault.reason is Reason.AWAITING_FIRST_SCRAPE


def test_a_pod_that_does_not_say_since_when_it_is_ready_needs_a_scrape() -> None:
    world = World(ready=[a_pod("a"), a_pod("b", ready_for_s=START_S)]).ages(a=4.0).tell(completions=rows({"a": 5.0}))
    assert world.pods.ready[1].ready_since_s == 0.0
    fault = world.signals().fault
    assert fault is not None
    assert fault.reason is Reason.PARTIAL_DATA


def test_a_long_list_of_pods_is_cut_short() -> None:
    world = World(ready=[a_pod(name) for name in "abcdefgh"]).ages(a=4.0).tell(completions=rows({"a": 5.0}))
    fault = world.signals().fault
    assert fault is not None
    assert "7 of 8 Ready pods" in fault.message
    assert "no scrape of b, c, d and 4 more within" in fault.message


# A model name that is wrong.


def test_a_wrong_model_name_is_told_with_the_names_there_are() -> None:
    found = World().tell(completions=[*rows({"a": 5.0}, model="chat-v2"), *rows({"b": 5.0}, model="rank")]).signals()
    assert found.completions_rps is None
    assert found.fault is not None
    assert found.fault.reason is Reason.NO_DATA
    assert "'chat'" in found.fault.message
    assert "they count: chat-v2, rank" in found.fault.message
    assert "spec.server.modelName" in found.fault.message


def test_a_triton_without_any_count_is_a_mistake() -> None:
    """Triton counts from zero, so nothing at all means that the model or the metrics port is missing."""
    fault = World().signals().fault
    assert fault is not None
    assert fault.reason is Reason.NO_DATA
    assert "they count: none" in fault.message


def test_a_wrong_name_on_mlserver_shows_once_others_are_counted() -> None:
    fault = World(Runtime.MLSERVER).tell(completions=rows({"a": 5.0}, model="rank")).signals().fault
    assert fault is not None
    assert "they count: rank" in fault.message


# Failures and doubt.


@pytest.mark.parametrize("signal", ["completions", "busy", "waiting", "growth", "recent_completions"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unreachable("no answer within 10 s"), Reason.PROMETHEUS_UNREACHABLE),
        (BadAnswer("an HTML page"), Reason.PROMETHEUS_ANSWER_UNUSABLE),
    ],
)
def test_one_failed_query_makes_its_runtime_unknown(signal: str, error: LullError, reason: Reason) -> None:
    found = World().tell(**{"completions": of_both(5.0), signal: error}).signals()
    assert found.completions_rps is None
    assert found.fault is not None
    assert (found.fault.reason, found.fault.message) == (reason, str(error))


def test_without_scrape_ages_nothing_is_known() -> None:
    world = World().tell(completions=of_both(5.0))
    world.answers[None, "scrape_age"] = Unreachable("no answer")
    fault = world.signals().fault
    assert fault is not None
    assert fault.reason is Reason.PROMETHEUS_UNREACHABLE


@pytest.mark.parametrize("name", [(Runtime.TRITON, "completions"), (Runtime.TRITON, "waiting"), (None, "scrape_age")])
def test_a_warning_makes_the_sums_partial(name: Name) -> None:
    world = World().tell(completions=of_both(5.0))
    world.answers[name] = Answer(list(world.answers.get(name, ())), doubt="store gone")
    found = world.signals()
    assert found.completions_rps == 10.0
    assert found.fault is not None
    assert (found.fault.reason, found.fault.message) == (Reason.PARTIAL_DATA, "Prometheus warns: store gone")


def test_another_runtimes_failure_is_not_ours() -> None:
    triton, mlserver = a_model("chat", server=TRITON), a_model("rank", server=MLSERVER)
    found = read(
        {triton.key: (triton, Pods([a_pod("a")], [])), mlserver.key: (mlserver, Pods([a_pod("b")], []))},
        {
            (None, "scrape_age"): rows({"a": 4.0, "b": 4.0}, model=None),
            (Runtime.TRITON, "completions"): rows({"a": 5.0}),
            (Runtime.MLSERVER, "completions"): Unreachable("no answer"),
        },
    )
    assert found[triton.key].fault is None
    assert found[mlserver.key].fault is not None


# Generic models: their owners' queries.


def generic(answers: Mapping[str, Any], *, backlog: bool = True, namespace: str = "demo") -> Signals:
    queries = dict(GENERIC["queries"]) if backlog else {"requestsPerSecond": "sum(rate(done[1m]))"}
    model = a_model(namespace=namespace, server=GENERIC | {"queries": queries})
    return read({model.key: (model, Pods([], []))}, {(model.key, n): said for n, said in answers.items()})[model.key]


def test_a_generic_model_is_what_its_queries_say() -> None:
    found = generic({"completions": [Row({}, 5.0)], "in_flight": [Row({"pod": "a"}, 2.0), Row({"pod": "b"}, 3.0)]})
    assert (found.completions_rps, found.in_flight, found.fault) == (5.0, 5.0, None)


def test_a_generic_model_may_have_no_backlog() -> None:
    found = generic({"completions": [Row({}, 5.0)]}, backlog=False)
    assert (found.completions_rps, found.in_flight, found.fault) == (5.0, None, None)


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ({"in_flight": [Row({}, 1.0)]}, "requestsPerSecond"),
        ({"completions": [Row({}, 1.0)]}, "backlog"),
    ],
)
def test_an_empty_answer_is_unknown_and_never_zero(answers: dict[str, Any], field: str) -> None:
    found = generic(answers)
    assert found.completions_rps is None
    assert found.fault is not None
    assert found.fault.reason is Reason.NO_DATA
    assert f"spec.server.queries.{field}" in found.fault.message


def test_a_generic_query_that_fails_says_why() -> None:
    found = generic({"completions": BadAnswer("parse error"), "in_flight": [Row({}, 1.0)]})
    assert found.fault is not None
    assert (found.fault.reason, found.fault.message) == (Reason.PROMETHEUS_ANSWER_UNUSABLE, "parse error")


def test_a_warning_makes_a_generic_model_partial() -> None:
    found = generic({"completions": Answer([Row({}, 5.0)], doubt="store gone"), "in_flight": [Row({}, 1.0)]})
    assert found.completions_rps == 5.0
    assert found.fault is not None
    assert found.fault.reason is Reason.PARTIAL_DATA


@pytest.mark.parametrize("trouble", [Unreachable("no answer"), Answer([Row({}, 1.0)], doubt="store gone")])
@pytest.mark.parametrize("namespace", ["triton", "demo"])
def test_a_generic_models_trouble_is_its_own(trouble: Answer | LullError, namespace: str) -> None:
    """Whatever its namespace is called."""
    triton = a_model("chat", namespace, server=TRITON)
    other = a_model("other", namespace, server=GENERIC)
    pods = Pods([a_pod("a", namespace=namespace)], [])
    found = read(
        {triton.key: (triton, pods), other.key: (other, Pods([], []))},
        {
            (None, "scrape_age"): rows({"a": 4.0}, model=None, namespace=namespace),
            (Runtime.TRITON, "completions"): rows({"a": 5.0}, namespace=namespace),
            (other.key, "completions"): trouble,
            (other.key, "in_flight"): [Row({}, 1.0)],
        },
    )
    assert found[triton.key].fault is None
    assert found[other.key].fault is not None


# What is asked.


def asked_for(*models: InferenceDeployment) -> dict[Name, str]:
    told: Any = Told({})
    asyncio.run(read_signals(told, {m.key: (m, Pods([], [])) for m in models}, some_settings(), START_S))
    return dict(told.asked)


def test_a_fleet_of_one_runtime_asks_as_much_as_one_model() -> None:
    one, many = asked_for(a_model("m0")), asked_for(*(a_model(f"m{i}") for i in range(50)))
    assert one == many
    assert one


def test_only_runtimes_that_are_there_are_asked_about() -> None:
    owners = {owner for owner, _ in asked_for(a_model(server=TRITON))}
    assert owners == {None, Runtime.TRITON}


def test_generic_models_ask_their_own_queries_and_nothing_else() -> None:
    model = a_model(server=GENERIC)
    assert asked_for(model) == {
        (model.key, "completions"): GENERIC["queries"]["requestsPerSecond"],
        (model.key, "in_flight"): GENERIC["queries"]["backlog"],
    }


def test_no_models_ask_nothing() -> None:
    assert asked_for() == {}
