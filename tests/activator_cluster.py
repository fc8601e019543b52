"""A cluster with sleeping models, and an activator that runs beside it in the test's own event loop."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from activator_stand import Handler, echo
from bodies import a_slice
from builders import a_body, a_spec
from fake_cluster import MODELS, SLICES, Body
from loopback import Peer, Reply, Request, as_json, kubeconfig, serve
from lull.activator.run import serve as activate
from lull.activator.settings import ActivatorSettings
from lull.model.route import Timing
from watched_cluster import WatchedCluster

LOOPBACK = "127.0.0.1"
SOON_S = 5.0
POD = "lull-activator-0"


@dataclass
class SleepingCluster(WatchedCluster):
    """A watched cluster that keeps ``status.activation`` as server-side apply does: each manager its own entries."""

    reports: list[tuple[float, str, list[Body]]] = field(default_factory=list)
    """When a report came, of which model, and what it said."""
    owned: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def answer(self, request: Request) -> Reply:
        manager = request.query.get("fieldManager", "")
        if request.verb != "PATCH" or not manager.startswith("lull-activator-"):
            return super().answer(request)
        at_s, path = time.monotonic(), request.path.removesuffix("/status")
        refusal = self.refusals.get((request.verb, request.path))
        if refusal is not None:
            return refusal
        if path not in self.objects:
            return as_json({"message": "not found"}, 404)
        entries = json.loads(request.body)["status"].get("activation", [])
        self.reports.append((at_s, path.rpartition("/")[2], entries))

        def merge(body: Body) -> None:
            status = body.setdefault("status", {})
            before = self.owned.get((path, manager), [])
            kept = [entry for entry in status.get("activation", ()) if entry["pod"] not in before]
            status["activation"] = kept + entries
            self.owned[path, manager] = [entry["pod"] for entry in entries]

        self.changes(path, merge)
        return as_json(self.objects[path])

    def activation(self, name: str = "chat") -> list[Body]:
        found: list[Body] = self.objects[f"{MODELS}/{name}"]["status"].get("activation", [])
        return found

    def wakes(self, name: str, port: int) -> None:
        """A pod on loopback is ready."""
        self.adds(SLICES, a_slice(f"{name}-abc", service=name, ready=(LOOPBACK,), ports={"http": port}))


def a_sleeper(name: str, port: int, **changes: Any) -> Body:
    """A model for which ``port`` is held; ``hold`` and ``conditions`` are of its status."""
    hold = {"state": "Attached", "ports": [{"name": "http", "port": 80, "holdingPort": port}]}
    status = {"hold": hold | changes.pop("hold", {}), "conditions": changes.pop("conditions", [])}
    sleep = {"mode": "Enforce"} | changes.pop("sleep", {})
    spec = a_spec(serviceRef={"name": name}, scaleToZero=sleep, **changes)
    return a_body(name, spec=spec, status=status)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


@dataclass
class Activator:
    """One that runs."""

    health_port: int
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def asked(self, path: str) -> tuple[int, str]:
        """What its health server answers; 0 while there is none."""
        try:
            return await get(self.health_port, path)
        except OSError:
            return 0, ""

    async def standing(self) -> None:
        await until(self.is_ready)

    async def is_ready(self) -> bool:
        return (await self.asked("/readyz"))[0] == 200


@asynccontextmanager
async def an_activator(timing: Timing | None = None, **settings: Any) -> AsyncIterator[Activator]:
    (health,) = free_ports(1)
    told = {"pod": POD, "pod_uid": "uid-of-pod", "pod_ip": "10.0.0.1", "ports": range(1024, 65536), "drain_s": 20.0}
    stop = asyncio.Event()
    quick = timing or Timing(lag_s=0.1, write_s=0.1, mirror_s=0.1)
    task = asyncio.create_task(
        activate(ActivatorSettings(**{**told, "health_port": health, **settings}), stop, quick, LOOPBACK)
    )
    try:
        yield Activator(health, stop, task)
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def a_pod(handler: Handler = echo) -> AsyncIterator[int]:
    """A pod that answers; tells its port."""
    runner = web.ServerRunner(web.Server(handler), handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def get(port: int, path: str = "/v2/models/chat/infer", *headers: str) -> tuple[int, str]:
    """Status and body of one request's answer."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    with closing(writer):
        lines = [f"GET {path} HTTP/1.1", "Host: chat", "Connection: close", *headers, "", ""]
        writer.write("\r\n".join(lines).encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return int(head.split(b" ")[1]), body.decode()


async def until(is_so: Callable[[], Any], within_s: float = SOON_S) -> None:
    """Returns once it is so."""
    async with asyncio.timeout(within_s):
        while True:
            found = is_so()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.005)


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


@contextmanager
def beside(cluster: SleepingCluster) -> Iterator[Peer]:
    """The cluster's API server, for as long as the block lasts; its watches end before it does."""
    with serve(cluster.answer) as peer, kubeconfig(peer.url):
        try:
            yield peer
        finally:
            cluster.is_gone = True
