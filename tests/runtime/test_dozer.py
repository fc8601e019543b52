"""Rest in the pod on an API server and a model server: what is written and called, and what becomes of failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from bodies import a_pod
from doze_stage import LABELS, POD, UID, Night, Stage
from fake_cluster import DEPLOYMENTS, MODELS, PODS, SERVICES, refused
from lull.model.doze import Rung
from lull.model.reason import Reason
from lull.model.route import Wish
from sleepy_server import SleepyServer


@pytest.mark.parametrize("level", [Rung.LEVEL_1, Rung.LEVEL_2])
def test_a_quiet_server_sleeps_in_its_pod_and_a_request_wakes_it(level: Rung) -> None:
    stage = Stage()

    async def act(night: Night) -> None:
        await night.rest(level)
        assert stage.server.level == level
        assert night.doze().rung is level
        assert night.doze().since_s is not None
        assert stage.cluster.objects[f"{MODELS}/chat"]["status"]["route"] == "Hold"
        night.somebody_waits()
        await night.dozer.round()
        assert stage.is_listed, "in one look: no round of planning lies between"
        assert await night.ask() == "sense"
        night.router.want(UID, Wish.AWAKE)
        night.dozer.want(UID, Rung.AWAKE, may_scale=True)
        await night.rounds(30)
        assert stage.cluster.objects[f"{MODELS}/chat"]["status"]["route"] == "Own"
        (wake,) = night.dozer.take_wakes()
        assert wake.level is level
        assert night.doze().rung is Rung.AWAKE

    stage.play(act)
    assert stage.pod["metadata"]["annotations"] == {}
    assert stage.cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"] == 1


def test_others_answer_before_the_pod_leaves_its_service() -> None:
    stage = Stage()
    stage.play(lambda night: night.rest())
    way = [(verb, path.rpartition("/")[2]) for verb, path in stage.cluster.writes()]
    assert way.index(("POST", "endpointslices")) < way.index(("PATCH", "chat-0"))


def test_a_pod_that_rests_and_a_pod_that_serves_cost_no_writes() -> None:
    stage = Stage()

    async def act(night: Night) -> None:
        await night.rest()
        stage.cluster.forget()
        await night.rounds(20)

    stage.play(act)
    assert stage.cluster.writes() == []


def test_a_server_in_use_past_its_service_is_given_back() -> None:
    stage = Stage(SleepyServer(work_s=0.0))

    async def act(night: Night) -> None:
        night.router.want(UID, Wish.ASLEEP)
        night.dozer.want(UID, Rung.LEVEL_1, may_scale=True)
        was_out = False
        for _ in range(90):
            await night.rounds()
            was_out = was_out or not stage.is_listed
            await night.ask()
            assert not stage.server.is_sleeping
        assert was_out

    stage.play(act)


def test_a_request_over_an_old_connection_wakes_the_server_that_it_met_asleep() -> None:
    stage = Stage()

    async def act(night: Night) -> None:
        await night.rest()
        asked = asyncio.create_task(night.ask())
        for _ in range(200):
            await asyncio.sleep(0.005)
            if stage.server.waiting:
                break
        await night.rounds()
        assert await asked == "sense"
        assert stage.is_listed

    stage.play(act)


def test_a_wake_that_fails_is_tried_again_and_then_the_pod_is_replaced() -> None:
    stage = Stage()

    async def act(night: Night) -> None:
        woken: list[Any] = []
        night.router.mirror.on_wake = woken.append
        await night.rest()
        stage.server.fails["/wake_up"] = 99
        night.somebody_waits()
        await night.rounds(5)
        assert not stage.is_listed
        assert stage.cluster.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"] == 0
        await asyncio.sleep(1.1)
        assert woken, "what waits wakes the model in the ordinary way"
        assert stage.cluster.writes().count(("PATCH", f"{DEPLOYMENTS}/chat/scale")) == 1

    stage.play(act)
    assert stage.server.calls.count("/wake_up") == 3


def test_one_failed_wake_is_none() -> None:
    stage = Stage()

    async def act(night: Night) -> None:
        await night.rest()
        stage.server.fails["/wake_up"] = 1
        night.somebody_waits()
        await night.rounds(2)
        assert stage.is_listed
        assert night.doze().fault.reason is Reason.DOZE_FAILED, "and it is left alone for a while"

    stage.play(act)


def test_lull_scales_nothing_where_it_may_not() -> None:
    stage = Stage()

    async def act(night: Night) -> None:
        await night.rest()
        night.dozer.want(UID, Rung.AWAKE, may_scale=False)
        stage.server.fails["/wake_up"] = 5
        await night.rounds(10)

    stage.play(act)
    assert ("PATCH", f"{DEPLOYMENTS}/chat/scale") not in stage.cluster.writes()
    assert stage.is_listed, "it goes on trying"


def test_a_sleep_that_nobody_answered_is_undone_before_the_pod_is_given_back() -> None:
    stage = Stage()

    async def act(night: Night) -> None:
        stage.server.mutes["/sleep"] = 1
        await night.rest()
        assert stage.is_listed
        assert not stage.server.is_sleeping

    stage.play(act)
    assert [call.partition("?")[0] for call in stage.server.calls] == ["/sleep", "/wake_up"]


def test_a_new_leader_lets_rest_what_rests_until_the_plan_says_otherwise() -> None:
    stage = Stage()

    async def act(night: Night) -> None:
        await night.rest()
        night.dozer.begin()
        await night.rounds(5)
        assert stage.server.is_sleeping
        night.dozer.want(UID, Rung.AWAKE, may_scale=True)
        await night.rounds(1)
        assert stage.is_listed

    stage.play(act)


def test_a_pod_that_no_model_speaks_for_any_more_is_woken() -> None:
    stage = Stage()

    async def act(night: Night) -> None:
        await night.rest()
        del stage.cluster.objects[f"{MODELS}/chat"]
        await night.rounds(2)
        assert not stage.server.is_sleeping

    stage.play(act)
    assert stage.is_listed


def test_a_label_that_is_refused_leaves_the_server_awake() -> None:
    stage = Stage()
    stage.cluster.refusals["PATCH", POD] = refused(403, "pods is forbidden")
    stage.play(lambda night: night.rest())
    assert not stage.server.calls
    assert stage.cluster.writes().count(("PATCH", POD)) == 1, "what was refused is not asked for every second"


def test_a_server_that_restarts_while_it_rests_is_given_back_and_left_alone() -> None:
    """As one does that has no memory for its weights."""
    stage = Stage()

    async def act(night: Night) -> None:
        await night.rest()
        stage.server.asleep, stage.server.level = set(), 0
        stage.pod["status"]["containerStatuses"] = [{"name": "server", "restartCount": 1}]
        stage.pod["metadata"]["resourceVersion"] = str(stage.cluster.turn())
        await night.rounds(1)
        assert stage.is_listed
        assert night.doze().fault.reason is Reason.DOZE_FAILED
        await night.rounds(30)
        assert stage.is_listed

    stage.play(act)


def _of_two_pods(stage: Stage) -> None:
    other = a_pod("chat-1", labels=LABELS)
    other["status"]["podIPs"] = [{"ip": "127.0.0.1"}]
    stage.cluster.has(PODS, other)


def _without_label(stage: Stage) -> None:
    stage.cluster.objects[f"{SERVICES}/chat"]["spec"]["selector"] = {"app": "chat"}


@pytest.mark.parametrize(
    ("server", "change", "reason"),
    [
        pytest.param(SleepyServer, _without_label, Reason.AWAKE_LABEL_MISSING, id="the Service would send to it"),
        pytest.param(SleepyServer, _of_two_pods, None, id="it is not alone"),
        pytest.param(lambda: SleepyServer(version="0.11.0"), None, Reason.SERVER_TOO_OLD, id="it would crash"),
        pytest.param(lambda: SleepyServer(has_sleep_mode=False), None, Reason.SLEEP_MODE_OFF, id="it cannot sleep"),
    ],
)
def test_a_server_is_left_awake_where(
    server: Callable[[], SleepyServer], change: Callable[[Stage], None] | None, reason: Reason | None
) -> None:
    stage = Stage()
    stage.make_server = server
    if change is not None:
        change(stage)

    async def act(night: Night) -> None:
        await night.rest()
        fault = night.doze().fault
        assert (None if fault is None else fault.reason) is reason

    stage.play(act)
    assert not stage.server.calls
    assert stage.is_listed
