"""Servers that sleep in their pods are awake, and behind their Services, before the installation goes."""

from __future__ import annotations

from typing import Any

import pytest

from bodies import a_deployment, a_pod, a_slice, an_object
from builders import a_body, a_spec
from fake_cluster import DEPLOYMENTS, MODELS, PODS, SLICES, FakeCluster
from loopback import Reply, Request
from lull.adapters.api import Api
from lull.runtime.leader import uptime_s
from lull.runtime.waking import Waking, Woken
from sleepy_server import CACHE, WEIGHTS, SleepyServer, serving

SCALE = f"{DEPLOYMENTS}/chat/scale"
POD = f"{PODS}/chat-0"


class Resting(FakeCluster):
    """A model with one pod, out of its Service; Kubernetes lists it again as soon as its label says so."""

    def answer(self, request: Request) -> Reply:
        if request.path == SLICES and request.verb == "GET":
            pod = self.objects.get(POD)
            is_listed = pod is not None and pod["metadata"]["labels"]["lull.dev/awake"] == "true"
            self.has(SLICES, a_slice("chat-abc", ready=("127.0.0.1",) if is_listed else ()))
        reply = super().answer(request)
        if request.path == SCALE and request.verb == "PATCH":
            size = self.objects[f"{DEPLOYMENTS}/chat"]["spec"]["replicas"]
            if size == 0:
                del self.objects[POD]
            else:
                self.has(PODS, a_pod("chat-0", labels={"app": "chat", "lull.dev/awake": "true"}))
        return reply


def a_night(level: int = 1, **server: Any) -> tuple[Resting, SleepyServer, list[Woken]]:
    cluster = Resting()
    spec = a_spec(server={"runtime": "vllm", "modelName": "m"}, scaleToZero={"mode": "Enforce", "doze": "Enforce"})
    cluster.has(MODELS, a_body(spec=spec) | {"status": {"route": "Hold"}}).has(DEPLOYMENTS, a_deployment(replicas=1))
    ours = {"kubernetes.io/service-name": "chat", "endpointslice.kubernetes.io/managed-by": "lull.dev"}
    cluster.has(SLICES, an_object("chat-lull", metadata={"labels": ours | {"lull.dev/model": "chat"}}))
    made: list[SleepyServer] = []

    async def wake(api: Api) -> list[Woken]:
        peer = SleepyServer(level=level, asleep={WEIGHTS, CACHE}, are_weights_right=level == 1, **server)
        made.append(peer)
        async with serving(peer) as (_, port):
            body = a_pod("chat-0", labels={"app": "chat", "lull.dev/awake": "false"})
            body["metadata"]["annotations"] = {"lull.dev/doze": f"{level}/{port}/0"}
            body["status"]["podIPs"] = [{"ip": "127.0.0.1"}]
            cluster.has(PODS, body)
            return await Waking(api, 5.0, uptime_s, lambda: 0.0).run()

    woken = cluster.do(wake)
    return cluster, made[0], woken


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lull.runtime.waking._LOOK_EVERY_S", 0.01)


@pytest.mark.parametrize("level", [1, 2])
def test_a_server_that_sleeps_is_woken_and_given_back(level: int) -> None:
    cluster, server, (one,) = a_night(level)
    assert one.fault == ""
    assert not server.is_sleeping
    assert server.are_weights_right
    assert cluster.objects[POD]["metadata"]["labels"]["lull.dev/awake"] == "true"
    assert f"{SLICES}/chat-lull" not in cluster.objects
    assert SCALE not in [path for _, path in cluster.writes()]


@pytest.mark.parametrize(
    "server",
    [
        pytest.param({"fails": {"/wake_up": 9}}, id="it will not wake"),
        pytest.param({"has_sleep_mode": False}, id="nobody who knows of sleep answers there"),
    ],
)
def test_one_that_cannot_be_woken_is_replaced_by_a_pod_that_is_awake(server: dict[str, Any]) -> None:
    cluster, _, (one,) = a_night(**server)
    assert one.fault == ""
    assert [path for _, path in cluster.writes()].count(SCALE) == 2
    assert cluster.objects[POD]["metadata"]["labels"]["lull.dev/awake"] == "true"
    assert f"{SLICES}/chat-lull" not in cluster.objects
