"""Rest in the pod on an API server and a model server: what is written and called, and what becomes of failures."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from bodies import a_deployment, a_pod, a_slice, an_activator, an_object
from builders import a_body, a_spec, some_settings
from fake_cluster import DEPLOYMENTS, MODELS, PODS, SERVICES, SLICES, FakeCluster, refused
from lull.adapters.api import Api
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.sleepers import Sleepers, Where
from lull.model.doze import Rung
from lull.model.reason import Reason
from lull.model.route import HoldPort, StandIn, Wish
from lull.runtime.dozer import Dozer
from lull.runtime.router import Router
from lull.runtime.scaler import Scaler
from sleepy_server import SleepyServer, serving

ACTIVATORS = "/api/v1/namespaces/lull/pods"
KINDS = {
    "inferencedeployments": Kind.MODEL,
    "deployments": Kind.DEPLOYMENT,
    "services": Kind.SERVICE,
    "endpointslices": Kind.ENDPOINT_SLICE,
    "pods": Kind.POD,
}
UID = "uid-demo-chat"
POD = f"{PODS}/chat-0"
START_S = 2_000_000_000.0
LABELS = {"app": "chat", "lull.dev/awake": "true"}


def a_dozer(doze: str = "Enforce") -> dict[str, Any]:
    server = {"runtime": "vllm", "modelName": "m"}
    spec = a_spec(
        server=server,
        scaleTargetRef={"kind": "Deployment", "name": "chat"},
        serviceRef={"name": "chat"},
        scaleToZero={"mode": "Enforce", "doze": doze},
    )
    return a_body("chat", spec=spec, version=1, status={})


class Stage:
    """One vLLM model with one pod, two activators, a router and a dozer that have been there for long."""

    def __init__(self, server: SleepyServer | None = None) -> None:
        self.make_server = (lambda: server) if server is not None else SleepyServer
        self.cluster = FakeCluster()
        self.now_s = START_S
        selector = {"app": "chat", "lull.dev/awake": "true"}
        ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
        self.cluster.has(MODELS, a_dozer())
        front = {"selector": selector, "ports": ports, "ipFamilies": ["IPv4"]}
        self.cluster.has(SERVICES, an_object("chat", spec=front))
        self.cluster.has(DEPLOYMENTS, a_deployment("chat", replicas=1))
        self.cluster.has(ACTIVATORS, an_activator("act-1", "10.0.0.1"), an_activator("act-2", "10.0.0.2"))
        body = a_pod("chat-0", labels=LABELS)
        body["status"]["podIPs"] = [{"ip": "127.0.0.1"}]
        self.cluster.has(PODS, body)

    async def ask(self, _: StandIn, ports: tuple[HoldPort, ...], model_uid: str) -> bool | None:
        """In the prober's place."""
        assert ports
        assert model_uid
        return True

    def play(self, act: Callable[[Night], Awaitable[None]]) -> None:
        async def main(api: Api) -> None:
            self.server, sleepers = self.make_server(), Sleepers()
            mirror = Mirror(lambda: None, 60.0, clock=lambda: self.now_s)
            mirror.home = "lull"
            try:
                async with serving(self.server) as where:
                    settings = some_settings()
                    router = Router(api, mirror, self, settings, lambda: self.now_s)  # type: ignore[arg-type]
                    dozer = Dozer(api, mirror, sleepers, router, Scaler(api), lambda: self.now_s)
                    self.now_s += 100.0
                    await act(Night(self, router, dozer, where))
            finally:
                await sleepers.close()

        self.cluster.do(main)

    @property
    def pod(self) -> Any:
        return self.cluster.objects[POD]

    @property
    def is_listed(self) -> bool:
        return str(self.pod["metadata"]["labels"]["lull.dev/awake"]) == "true"


class Night:
    """What happens on the stage."""

    def __init__(self, stage: Stage, router: Router, dozer: Dozer, where: Where) -> None:
        self.stage, self.router, self.dozer, self.where = stage, router, dozer, where
        self.show()

    def show(self) -> None:
        """Kubernetes keeps the Service's slice, and the watches tell everything there is."""
        objects = self.stage.cluster.objects
        is_there = POD in objects and self.stage.is_listed
        ready = ("127.0.0.1",) if is_there else ()
        body = a_slice("chat-abc", service="chat", ready=ready, ports={"http": self.where[1]})
        body["metadata"]["resourceVersion"] = str(self.stage.cluster.turn())
        objects[f"{SLICES}/chat-abc"] = body
        seen = set()
        for path, found in objects.items():
            kind = KINDS[path.split("/")[-2]]
            self.router.mirror.feed(kind, copy.deepcopy(found))
            seen.add((kind, found["metadata"]["uid"]))
        for kind in KINDS.values():
            self.router.mirror.sweep(kind, [uid for of, uid in seen if of is kind], self.stage.now_s + 1.0)

    async def rounds(self, count: int = 1) -> None:
        for _ in range(count):
            self.stage.now_s += 1.0
            self.show()
            await self.router.round(self.stage.now_s)
            await self.dozer.round()
            if self.stage.server.is_sleeping:
                assert not self.stage.is_listed, "nobody is sent to a server that sleeps"
        self.show()

    async def rest(self, rung: Rung = Rung.LEVEL_1) -> None:
        self.router.want(UID, Wish.ASLEEP)
        self.dozer.want(UID, rung, may_scale=True)
        await self.rounds(30)

    def somebody_waits(self, held: int = 1) -> None:
        expires = "2099-01-01T00:00:00Z"
        model = self.stage.cluster.objects[f"{MODELS}/chat"]
        model["status"]["activation"] = [{"pod": "act-1", "held": held, "expires": expires}]
        model["metadata"]["resourceVersion"] = str(self.stage.cluster.turn())
        self.show()

    async def ask(self) -> str:
        """One request that reaches the pod."""
        url = f"http://{self.where[0]}:{self.where[1]}/v1/completions"
        async with aiohttp.ClientSession() as session, session.post(url, json={}) as answer:
            return str((await answer.json())["choices"][0]["text"])

    def doze(self) -> Any:
        model = self.router.mirror.models[next(iter(self.router.mirror.models))]
        return self.dozer.view(model)  # type: ignore[arg-type]


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
    assert stage.pod["metadata"]["annotations"] == {"lull.dev/doze": None}, "taken away, in a merge patch's words"
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
