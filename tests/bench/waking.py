"""From the first held request to the scale patch, and from a ready endpoint to the request at the pod.

A whole operator and a whole activator, each a process of its own, over real sockets; the API server is some Python
threads in this process, so that the figures are upper bounds. It tells a watch at once, as the real one does.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from aiohttp import web
from figures import MODELS as FLEET
from figures import Figure, median_s

sys.path.append(str(Path(__file__).resolve().parents[1]))

from activator_cluster import LOOPBACK, SleepingCluster, a_sleeper, free_ports, until
from bodies import a_deployment, a_service, a_slice, an_activator, an_object
from builders import a_memory, some_settings
from fake_cluster import DEPLOYMENTS, MODELS, SERVICES, SLICES, Body
from loopback import Reply, Request
from lull.adapters.mirror import Kind, Mirror
from lull.adapters.snapshot import locate, snapshot_of
from lull.cycle import plan_cycle
from lull.model.spec import InferenceDeployment
from watched_cluster import Stage, staged

SLEEPERS = 200
WAKES = 100
PORTS_FROM = 20_000
_PODS = "/api/v1/namespaces/lull-system/pods"
_APART_S = 0.25
_WAIT_S = 60.0
_SETTLE_S = 20.0
"""An operator that has just come waits for what its predecessor may have sent, and for its watches."""
_NOW_S = 2_000_000_000.0
_PATIENCE = {"holdTimeout": "10m", "allowLongStart": True}


@dataclass
class Watchful(SleepingCluster):
    """A cluster that notes when sizes were patched, by the target's name."""

    scaled_at_s: dict[str, float] = field(default_factory=dict)

    def answer(self, request: Request) -> Reply:
        if request.verb == "PATCH" and request.path.endswith("/scale"):
            self.scaled_at_s.setdefault(request.path.split("/")[-2], time.perf_counter())
        return super().answer(request)


@dataclass
class Times:
    """Seconds of each wake."""

    to_patch_s: list[float] = field(default_factory=list)
    to_pod_s: list[float] = field(default_factory=list)
    to_answer_s: list[float] = field(default_factory=list)


def waking() -> list[Figure]:
    """Wakes one after the other, of models that sleep among others."""
    cluster = a_sleeping_cluster()
    with staged(cluster) as stage, _activator(stage):
        stage.start("op-0", LULL_MODE="Enforce", LULL_TICK="10s", LULL_DRAIN_PAUSE="5s")
        stage.until(lambda: all(_is_planned(cluster, f"m{n}") for n in range(SLEEPERS)), _WAIT_S)
        time.sleep(_SETTLE_S)
        try:
            times = asyncio.run(_wakes(cluster))
        finally:
            cluster.is_gone = True
    of = f"of {WAKES} wakes among {SLEEPERS} sleepers"
    return [
        *_quantiles(f"wake/first held request to scale patch, {of}", times.to_patch_s, 100.0),
        *_quantiles(f"wake/ready endpoint to first byte at the pod, {of}", times.to_pod_s, 50.0),
        *_quantiles(f"wake/ready endpoint to the whole answer at the client, {of}", times.to_answer_s, None),
        Figure("wake/seeing and planning one of 10000 sleepers", 1e3 * _one_of_many_s(), "CPU ms"),
    ]


def _one_of_many_s() -> float:
    """What the wake lane computes between hearing and writing, in a large fleet."""
    mirror = Mirror(lambda: None, 60.0, clock=lambda: _NOW_S)
    mirror.home = "lull-system"
    mirror.feed(Kind.POD, an_activator("act-0", LOOPBACK, namespace="lull-system"))
    for number in range(FLEET):
        name = f"m{number}"
        mirror.feed(Kind.MODEL, a_sleeper(name, 0, scaleTargetRef={"kind": "Deployment", "name": name}))
        mirror.feed(Kind.SERVICE, a_service(name, selector={"app": name}))
        mirror.feed(Kind.DEPLOYMENT, a_deployment(name, replicas=0))
    model = next(model for model in mirror.models.values() if isinstance(model, InferenceDeployment))
    memory, settings = a_memory(), some_settings()

    def plan() -> None:
        located = {model.key: locate(mirror, model, {})}
        plan_cycle(snapshot_of(mirror, located, {}, {}, {}, _NOW_S), memory, settings, _NOW_S)

    return median_s(5, plan)


def a_sleeping_cluster() -> Watchful:
    """Models at zero that one activator stands in for, as an operator has left them."""
    cluster = Watchful()
    pod = an_activator("act-0", LOOPBACK, namespace="lull-system", uid="uid-of-act")
    cluster.has(_PODS, pod)
    for number in range(SLEEPERS):
        name, port = f"m{number}", PORTS_FROM + number
        ours = a_slice(f"{name}-lull", service=name, ready=(LOOPBACK,), ports={"http": port})
        ours["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] = "lull.dev"
        model = a_sleeper(name, port, sleep=_PATIENCE, scaleTargetRef={"kind": "Deployment", "name": name})
        owner = {"kind": "InferenceDeployment", "name": name, "uid": model["metadata"]["uid"]}
        ours["metadata"]["ownerReferences"] = [owner]
        front = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}], "ipFamilies": ["IPv4"]}
        cluster.has(MODELS, model).has(DEPLOYMENTS, a_deployment(name, replicas=0))
        cluster.has(SERVICES, an_object(name, spec=front))
        cluster.has(SLICES, ours, a_slice(f"{name}-abc", service=name, ready=()))
    return cluster


def _is_planned(cluster: Watchful, name: str) -> bool:
    status: Body = cluster.objects[f"{MODELS}/{name}"]["status"]
    return (status.get("decision") or {}).get("reason") == "Asleep"


@contextmanager
def _activator(stage: Stage) -> Iterator[None]:
    """An activator process that listens for all of them."""
    (health,) = free_ports(1)
    told = {
        "KUBECONFIG": str(stage._config("act-0")),
        "LULL_ACTIVATOR_PORTS": f"{PORTS_FROM}-{PORTS_FROM + SLEEPERS - 1}",
        "LULL_HEALTH_PORT": str(health),
        "POD_NAME": "act-0",
        "POD_UID": "uid-of-act",
        "POD_IP": LOOPBACK,
    }
    clean = {key: value for key, value in os.environ.items() if not key.startswith("LULL_")}
    log = stage.folder / "act-0.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "lull", "activator"]
        process = subprocess.Popen(command, env=clean | told, stdout=out, stderr=out)  # noqa: S603
    try:
        yield
    finally:
        process.kill()
        process.wait()


async def _wakes(cluster: Watchful) -> Times:
    times, arrived_s = Times(), asyncio.Queue[float]()

    async def answer(_: web.BaseRequest) -> web.Response:
        arrived_s.put_nowait(time.perf_counter())
        return web.Response(text="ok")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    await until(lambda: _is_listening(PORTS_FROM + SLEEPERS - 1), _WAIT_S)
    for number in range(WAKES):
        await asyncio.sleep(_APART_S)
        await _wake(cluster, number, runner.addresses[0][1], arrived_s, times)
    await runner.cleanup()
    return times


async def _wake(cluster: Watchful, number: int, pod: int, arrived_s: asyncio.Queue[float], times: Times) -> None:
    name = f"m{number}"
    began_s = time.perf_counter()
    asked = asyncio.create_task(_ask(PORTS_FROM + number))
    await until(lambda: name in cluster.scaled_at_s, _WAIT_S)
    times.to_patch_s.append(cluster.scaled_at_s[name] - began_s)
    ready_s = time.perf_counter()
    cluster.adds(SLICES, a_slice(f"{name}-abc", service=name, ready=(LOOPBACK,), ports={"http": pod}))
    times.to_pod_s.append(await arrived_s.get() - ready_s)
    times.to_answer_s.append(await asked - ready_s)


async def _ask(port: int) -> float:
    """When a request was answered, on a connection of its own."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    with closing(writer):
        writer.write(b"POST /infer HTTP/1.1\r\nHost: chat\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
        line = await reader.readline()
        if not line.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"a held request was answered {line!r}")
        await reader.read()
    return time.perf_counter()


async def _is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


def _quantiles(name: str, found_s: list[float], bar_ms: float | None) -> list[Figure]:
    p50, p95 = (1e3 * float(value) for value in np.quantile(found_s, [0.5, 0.95]))
    return [Figure(f"{name}, p50", p50, "ms"), Figure(f"{name}, p95", p95, "ms", bar_ms)]
