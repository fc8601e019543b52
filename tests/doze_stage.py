"""A stage for rest in the pod: an API server, a model server that sleeps, a router and a dozer, over loopback."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from bodies import a_deployment, a_pod, a_slice, an_activator, an_object
from builders import a_body, a_spec, some_settings
from fake_cluster import DEPLOYMENTS, MODELS, PODS, SERVICES, SLICES, FakeCluster
from loopback import Reply, as_json
from lull.adapters.api import Api
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.sleepers import Sleepers, Where
from lull.model.doze import Rung
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


class Cluster(FakeCluster):
    """One in which what is made anew under a name is another object, as the nights here make the same slice twice."""

    def _create(self, folder: str, body: dict[str, Any]) -> Reply:
        reply = super()._create(folder, body)
        made = self.objects.get(f"{folder}/{body['metadata'].get('name')}")
        if reply.status != 201 or made is None:
            return reply
        made["metadata"]["uid"] += f"-{made['metadata']['resourceVersion']}"
        return as_json(made, 201)


class Stage:
    """One vLLM model with one pod, two activators, a router and a dozer that have been there for long."""

    def __init__(self, server: SleepyServer | None = None) -> None:
        self.make_server = (lambda: server) if server is not None else SleepyServer
        self.cluster = Cluster()
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

    async def rounds(self, count: int = 1, *, every_s: float = 1.0) -> None:
        for _ in range(count):
            self.stage.now_s += every_s
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
